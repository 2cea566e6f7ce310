"""Requests to hosts that data names: refusals, redirects, and the meaning of failures."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.harness.tls import Authority
from tests.harness.websites import Site, run_site

from compozy.outbound.rules import (
    OutboundError,
    OutboundPolicy,
    OutboundRequest,
    OutboundResponse,
    header_problem,
    is_listed,
    is_public,
    show_url,
)
from compozy.outbound.send import resolve_host, send

LOCAL = frozenset({"127.0.0.1", "localhost", "a.test", "b.test"})
OPEN = OutboundPolicy(max_bytes=100_000, total_s=5, private_hosts=LOCAL)
SECRETS = {"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret", "Cookie": "a=s3cret", "X-Own": "s3cret"}


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site() as found:
        yield found


def resolve(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"] if host in LOCAL else resolve_host(host, port)


async def ask(request: OutboundRequest, policy: OutboundPolicy = OPEN) -> OutboundResponse:
    return await send(request, policy, resolve=resolve)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_with_its_body_and_headers(site: Site, method: str) -> None:
    body = None if method in {"GET", "HEAD"} else b'{"a": 1}'
    request = OutboundRequest(method=method, url=site.url("/x?q=a%2Fb"), headers={"X-Own": "1"}, body=body)
    answer = await ask(request)
    assert (answer.status, answer.is_cut, answer.url) == (200, False, request.url)
    assert answer.body == (b"" if method == "HEAD" else b'{"path": "/x?q=a%2Fb"}')
    [seen] = site.seen
    assert (seen.method, seen.path, seen.body) == (method, "/x?q=a%2Fb", body or b"")
    assert seen.headers["host"] == f"a.test:{site.port}"
    assert seen.headers["x-own"] == "1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
@pytest.mark.parametrize("where", ["http://169.254.169.254/latest/meta-data/", "http://[::1]:9/", "http://10.0.0.1/"])
async def test_no_method_reaches_the_network_of_this_machine(method: str, where: str) -> None:
    with pytest.raises(OutboundError, match="not in the public network") as caught:
        await ask(OutboundRequest(method=method, url=where, body=b"x"))
    assert caught.value.is_private
    assert not caught.value.is_sent


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_redirect_to_the_metadata_service_is_refused(site: Site, method: str) -> None:
    site.redirects["/away"] = (303, "http://169.254.169.254/latest/meta-data/")
    with pytest.raises(OutboundError, match=r"169\.254\.169\.254, which is not in the public network") as caught:
        await ask(OutboundRequest(method=method, url=site.url("/away"), body=None))
    assert caught.value.is_sent


async def test_a_name_that_resolves_otherwise_a_moment_later_changes_nothing(site: Site) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    policy = OutboundPolicy(max_bytes=1000, private_hosts=frozenset({"a.test"}))
    answer = await send(OutboundRequest(method="POST", url=site.url("/pay"), body=b"5"), policy, resolve=rebinding)
    assert (answer.status, asked) == (200, ["a.test"])
    assert [(seen.method, seen.body) for seen in site.seen] == [("POST", b"5")]


async def test_the_host_of_a_redirect_is_checked_too(site: Site) -> None:
    site.redirects["/away"] = (307, site.url("/there", host="b.test"))
    policy = OutboundPolicy(max_bytes=1000, private_hosts=frozenset({"a.test"}))
    with pytest.raises(OutboundError, match=r"'b\.test' is at 127\.0\.0\.1, which is not in the public network"):
        await ask(OutboundRequest(url=site.url("/away")), policy)
    assert len(site.seen) == 1


async def test_one_private_address_among_several_blocks_a_host() -> None:
    def mixed(host: str, port: int) -> Sequence[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(OutboundError, match=r"at 10\.0\.0\.1"):
        await send(OutboundRequest(url="http://site.test/"), OPEN, resolve=mixed)


async def test_the_next_address_is_tried_if_one_accepts_no_connection(site: Site) -> None:
    def two(host: str, port: int) -> Sequence[str]:
        return ["::1", "127.0.0.1"]

    answer = await send(OutboundRequest(method="POST", url=site.url(), body=b"1"), OPEN, resolve=two)
    assert (answer.status, len(site.seen)) == (200, 1)


async def test_the_certificate_is_that_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    with run_site(authority.issue("site", "a.test")) as site:
        url = site.url().replace("http://", "https://")
        with pytest.raises(OutboundError, match="certificate verify failed") as untrusted:
            await ask(OutboundRequest(url=url, headers=SECRETS))
        monkeypatch.setattr("compozy.outbound.send.certificates", lambda: trusting)
        assert (await ask(OutboundRequest(url=url))).status == 200
        with pytest.raises(OutboundError, match=r"certificate is not valid for 'b\.test'"):
            await ask(OutboundRequest(url=url.replace("a.test", "b.test"), headers=SECRETS))
        assert not untrusted.value.is_sent
        assert [seen.headers["host"] for seen in site.seen] == [f"a.test:{site.port}"]


async def test_proxies_of_the_environment_are_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await ask(OutboundRequest(url=site.url()))).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_secret_goes_to_another_host(site: Site, status: int) -> None:
    site.redirects["/away"] = (status, site.url("/there", host="b.test"))
    headers = {**SECRETS, "Accept": "application/json"}
    answer = await ask(OutboundRequest(url=site.url("/away"), headers=headers))
    assert answer.status == 200
    first, second = site.seen
    assert first.headers["authorization"] == "Bearer s3cret"
    assert second.headers["accept"] == "application/json"
    assert "s3cret" not in str(second)


async def test_another_port_is_another_host(site: Site) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        site.redirects["/away"] = (307, f"http://a.test:{other.getsockname()[1]}/")
        with pytest.raises(OutboundError, match="to another host"):
            await ask(OutboundRequest(method="POST", url=site.url("/away"), body=b"1"))


async def test_secrets_stay_where_the_host_stays(site: Site) -> None:
    site.redirects["/old"] = (308, "/new")
    await ask(OutboundRequest(method="PATCH", url=site.url("/old"), headers=SECRETS, body=b"1"))
    assert [(seen.method, seen.path, seen.body) for seen in site.seen] == [
        ("PATCH", "/old", b"1"),
        ("PATCH", "/new", b"1"),
    ]
    assert site.seen[1].headers["x-api-key"] == "s3cret"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_body_is_sent_again_to_another_host(site: Site, method: str) -> None:
    site.redirects["/away"] = (307, site.url("/there", host="b.test"))
    with pytest.raises(OutboundError, match=f"to which a {method} request is not sent again") as caught:
        await ask(OutboundRequest(method=method, url=site.url("/away"), body=b"secret"))
    assert caught.value.is_sent
    assert len(site.seen) == 1


async def test_a_post_that_redirects_elsewhere_becomes_a_get_without_its_body(site: Site) -> None:
    site.redirects["/form"] = (303, site.url("/done", host="b.test"))
    headers = {**SECRETS, "Content-Type": "application/json", "Idempotency-Key": "k"}
    await ask(OutboundRequest(method="POST", url=site.url("/form"), headers=headers, body=b"secret"))
    second = site.seen[1]
    assert (second.method, second.body) == ("GET", b"")
    assert not {"content-type", "idempotency-key", "authorization"} & set(second.headers)


async def test_five_redirects_at_most(site: Site) -> None:
    site.redirects["/again"] = (302, "/again")
    with pytest.raises(OutboundError, match="redirects more than 5 times"):
        await ask(OutboundRequest(url=site.url("/again")))
    assert len(site.seen) == 6


async def test_hosts_bound_the_url_and_its_redirects(site: Site) -> None:
    policy = OutboundPolicy(max_bytes=1000, private_hosts=LOCAL, hosts=[f"a.test:{site.port}"])
    assert (await ask(OutboundRequest(url=site.url()), policy)).status == 200
    site.redirects["/away"] = (302, site.url("/there", host="b.test"))
    with pytest.raises(OutboundError, match=r"is not one of the allowed hosts, a\.test"):
        await ask(OutboundRequest(url=site.url("/away")), policy)
    assert len(site.seen) == 2


@pytest.mark.parametrize(
    ("entry", "host", "port", "scheme", "expected"),
    [
        ("a.com", "a.com", None, "https", True),
        ("a.com", "a.com", 80, "http", True),
        ("a.com", "a.com", 8080, "http", False),
        ("a.com:8080", "a.com", 8080, "https", True),
        ("A.com", "a.com", None, "https", True),
        ("a.com", "b.a.com", None, "https", False),
        ("*.a.com", "b.a.com", None, "https", True),
        ("*.a.com", "a.com", None, "https", False),
        ("*.a.com", "evila.com", None, "https", False),
        ("[::1]:80", "::1", None, "http", True),
    ],
)
def test_entries_of_hosts(entry: str, host: str, port: int | None, scheme: str, *, expected: bool) -> None:
    assert is_listed([entry], host, port, scheme=scheme) is expected


async def test_a_bomb_is_unpacked_no_further_than_the_limit(site: Site) -> None:
    packed = gzip.compress(b"0" * 20_000_000, 9)

    def bomb(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(packed)

    site.answers["/bomb"] = bomb
    with pytest.raises(OutboundError, match="larger than"):
        await ask(OutboundRequest(url=site.url("/bomb")))
    cut = OutboundPolicy(max_bytes=1000, private_hosts=LOCAL, cuts=True)
    answer = await ask(OutboundRequest(url=site.url("/bomb")), cut)
    assert (len(answer.body), answer.is_cut) == (1000, True)


@pytest.mark.parametrize(("encoding", "words"), [("gzip, gzip", "not supported"), ("br", "not supported")])
async def test_other_encodings_are_refused(site: Site, encoding: str, words: str) -> None:
    def strange(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", encoding)
        handler.end_headers()

    site.answers["/"] = strange
    with pytest.raises(OutboundError, match=words):
        await ask(OutboundRequest(url=site.url()))


async def test_compressed_answers_are_unpacked_and_damaged_ones_are_reported(site: Site) -> None:
    def packed(handler: BaseHTTPRequestHandler) -> None:
        data = gzip.compress(b"hello")
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(data if handler.path == "/fine" else b"nonsense")

    site.answers |= {"/fine": packed, "/damaged": packed}
    assert (await ask(OutboundRequest(url=site.url("/fine")))).body == b"hello"
    with pytest.raises(OutboundError, match="damaged compressed data"):
        await ask(OutboundRequest(url=site.url("/damaged")))


async def test_an_endless_answer_is_aborted(site: Site) -> None:
    ended = threading.Event()

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not ended.wait(0.01):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    site.answers["/"] = endless
    policy = OutboundPolicy(max_bytes=1000_000, total_s=0.3, private_hosts=LOCAL)
    with pytest.raises(OutboundError, match=r"did not answer within 0\.3 s") as caught:
        await ask(OutboundRequest(method="POST", url=site.url(), body=b"1"), policy)
    ended.set()
    assert caught.value.is_sent


async def test_a_connection_that_breaks_after_the_request_may_have_been_sent(site: Site) -> None:
    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.close()

    site.answers["/"] = broken
    with pytest.raises(OutboundError, match="failed to read") as caught:
        await ask(OutboundRequest(method="POST", url=site.url(), body=b"1"))
    assert caught.value.is_sent


async def test_a_refused_connection_has_sent_nothing() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(OutboundError, match="failed to read") as caught:
            await ask(OutboundRequest(method="POST", url=f"http://a.test:{port}/?key=s3cret", body=b"1"))
    assert not caught.value.is_sent
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "1\r\nX-B: 2"),
        ("X-A", "1\n"),
        ("X-A", "\0"),
        ("X-A", "\u010aX"),
        ("X A", "1"),
        ("X:A", "1"),
        ("", "1"),
        ("X-A\r\nX-B", "1"),
        ("Host", "evil.test"),
        ("transfer-encoding", "chunked"),
        ("Content-Length", "0"),
        ("Proxy-Authorization", "x"),
    ],
)
async def test_no_header_can_change_the_request(site: Site, name: str, value: str) -> None:
    assert header_problem(name, value)
    with pytest.raises(OutboundError) as caught:
        await ask(OutboundRequest(url=site.url(), headers={name: value}))
    assert not caught.value.is_sent
    assert site.seen == []


def test_a_url_is_shown_without_secrets() -> None:
    assert show_url("https://user:pw@a.com:8080/x?key=secret#f") == "https://a.com:8080/x"
    assert show_url("http://[::1]:80/x") == "http://[::1]:80/x"
    assert show_url("http://[::1") == "the URL"


def test_public_addresses_are() -> None:
    assert is_public(ipaddress.ip_address("93.184.216.34"))
    assert is_public(ipaddress.ip_address("2606:2800:220:1::1"))
    assert resolve_host("127.0.0.1", 80) == ["127.0.0.1"]
