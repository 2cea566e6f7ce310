"""URLs that lead into the network of this machine are not requested, whatever their form."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from compozy.errors import DocumentError
from compozy.knowledge.web import WebPolicy, fetch
from compozy.outbound.send import MAX_REDIRECTS

CLOSED = WebPolicy(max_bytes=1000)


class Site:
    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[tuple[str, str]] = []

    @property
    def open(self) -> WebPolicy:
        return WebPolicy(max_bytes=1000, private_hosts=frozenset({"127.0.0.1", "site.test"}))


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, self.headers["host"]))
            where = {
                "/away": "http://169.254.169.254/latest/meta-data/",
                "/local": f"http://localhost:{found.port}/page",
                "/file": "file:///etc/passwd",
                "/again": "/again",
                "/page2": "/page",
            }.get(self.path)
            self.send_response(302 if where else 404 if self.path == "/none" else 200)
            if where:
                self.send_header("location", where)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"x" * 2000 if self.path == "/large" else b"<p>hello</p>")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Site(int(server.server_address[1]))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "0.0.0.0", "0"),
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[::1]", "[::]"),
        *("[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fc00::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("224.0.0.1", "255.255.255.255", "[ff02::1]", "LOCALHOST.", "127.0.0.1."),
    ],
)
async def test_no_address_of_this_network_is_requested(site: Site, host: str) -> None:
    with pytest.raises(DocumentError, match=r"not in the public network|is not known|failed to read"):
        await fetch(f"http://{host}:{site.port}/page", CLOSED)
    assert site.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://a/",
        "ftp://a/",
        "http://",
        "http:///x",
        "https://user:pw@a/",
        "//a",
        "",
        "http://[::1",
    ],
)
async def test_a_url_that_is_not_the_address_of_a_page(url: str) -> None:
    with pytest.raises(DocumentError) as caught:
        await fetch(url, CLOSED)
    assert "pw" not in caught.value.message


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/away", r"169\.254\.169\.254"),
        ("/local", "'localhost' is at"),
        ("/file", "is not a URL of the web"),
        ("/again", f"more than {MAX_REDIRECTS} times"),
        ("/none", "answered 404"),
        ("/large", "larger than"),
    ],
)
async def test_redirects_are_checked_and_answers_are_limited(site: Site, path: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        await fetch(f"http://127.0.0.1:{site.port}{path}", site.open)
    assert ("/page", f"localhost:{site.port}") not in site.asked


async def test_redirects_are_followed(site: Site) -> None:
    assert (await fetch(f"http://127.0.0.1:{site.port}/page2", site.open)).data == b"<p>hello</p>"


async def test_the_hint_names_the_setting_of_knowledge_bases(site: Site) -> None:
    with pytest.raises(DocumentError) as caught:
        await fetch(f"http://127.0.0.1:{site.port}/page", CLOSED)
    assert caught.value.hint == "name the host in `knowledge.access.private_hosts` if that is meant"
