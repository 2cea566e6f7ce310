"""A scripted site on loopback that records each request, redirects and responds."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Seen:
    """A request that a site received. Names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """A server on loopback: its requests, the redirects of its paths, and their responses.

    A path in neither `redirects` nor `answers` answers with `{"path": ...}`.
    """

    port: int = 0
    seen: list[Seen] = field(default_factory=list[Seen])
    redirects: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(
        default_factory=dict[str, Callable[[BaseHTTPRequestHandler], None]]
    )

    def respond(self, path: str, data: bytes | str, *, status: int = 200, **headers: str) -> None:
        """Set the body of the response for a path. `_` in the name of a header stands for `-`."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            content = data.encode() if isinstance(data, str) else data
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(content)

        self.answers[path] = answer

    def respond_in_turn(self, path: str, *statuses: int) -> None:
        """Set the statuses of the first responses for a path, without bodies; all later ones have the last."""
        left = list(statuses)
        lock = threading.Lock()

        def answer(handler: BaseHTTPRequestHandler) -> None:
            with lock:
                status = left.pop(0) if len(left) > 1 else left[0]
            handler.send_response(status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers[path] = answer

    def url(self, path: str = "/", host: str = "a.test") -> str:
        """Return the URL of a path."""
        return f"http://{host}:{self.port}{path}"


@contextmanager
def run_site(certificate: tuple[Path, Path] | None = None) -> Generator[Site, None, None]:
    """Serve a site while the block lasts, over TLS if there is a certificate with its key."""
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            """Record the request and respond."""
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.seen.append(Seen(self.command, self.path, headers, body))
            if self.path in found.answers:
                found.answers[self.path](self)
                return
            status, location = found.redirects.get(self.path, (200, ""))
            text = json.dumps({"path": self.path}).encode()
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    found.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
