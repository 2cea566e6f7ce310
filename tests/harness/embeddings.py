"""An embeddings server in OpenAI's format that counts its requests. The vector of a text is made of its words."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSION = 64


class Embeddings:
    """Requests so far. `texts` counts each text that was answered; the first `failures` requests are answered with 500.

    A batch with a text that holds `refused` is refused.

    Nothing is answered while `gate` is not set; it closes by itself after `last` requests.
    """

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter()
        self.requests = 0
        self.failures = 0
        self.status = 500
        self.refused: str | None = None
        self.dimension = DIMENSION
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}
        self.last: int | None = None
        self.gate = threading.Event()
        self.gate.set()

    def answer(self, body: dict[str, Any]) -> tuple[int, bytes]:
        """Return the status and content of one reply."""
        self.requests += 1
        if self.last is not None and self.requests > self.last:
            self.gate.clear()
        self.gate.wait()
        if self.failures:
            self.failures -= 1
            return self.status, b'{"error": {"message": "told to fail, key sk-secret-0123456789"}}'
        if self.body is not None:
            return 200, self.body
        texts: list[str] = body["input"]
        if self.refused is not None and any(self.refused in text for text in texts):
            return 400, b'{"error": {"message": "this text is not accepted"}}'
        self.texts.update(texts)
        return 200, json.dumps(embeddings_of(body, self.dimension)).encode()


def embeddings_of(body: dict[str, Any], dimension: int = DIMENSION) -> dict[str, Any]:
    """Return the answer to a request; its vectors are in the opposite order."""
    data = [{"index": i, "embedding": vector_of(text, dimension)} for i, text in enumerate(body["input"])]
    return {"data": data[::-1], "model": body["model"]}


def vector_of(text: str, dimension: int = DIMENSION) -> list[float]:
    """Return the vector of a text. Texts that share many words have similar vectors."""
    vector = [0.0] * dimension
    for word in text.lower().split():
        digest = hashlib.sha256(word.strip(".,?!#").encode()).digest()
        vector[digest[0] % dimension] += 1.0 if digest[1] % 2 else -1.0
    return vector if any(vector) else [1.0, *vector[1:]]


@contextlib.contextmanager
def serve_embeddings() -> Generator[tuple[str, Embeddings]]:
    """Serve on this machine and yield the base URL and the request counter."""
    state = Embeddings()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            state.headers = dict(self.headers.items())
            status, content = state.answer(json.loads(self.rfile.read(length)))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
