"""A model server that remembers each request: the side effects of runs, outside of the database that is verified."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from compozy.ids import jitter

# Long enough that processes are killed while they wait for an answer.
_ANSWER_S = 0.05
_WORD = "verify"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, in the order of arrival: its run, its step, the answers of earlier steps in it, and its answer."""

    run: str
    step: str
    seen: tuple[str, ...]
    answer: str


def prompt_of(run: str, step: str, *seen: str) -> str:
    """Return the prompt of a step; parts can be templates."""
    return " ".join((_WORD, run, step, *seen))


class Answers:
    """The requests so far, and an answer for each that no other request gets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def answer(self, prompt: str) -> str:
        """Return the answer to a prompt, and remember the request.

        Raises:
            ValueError: it is not a prompt of `prompt_of`.
        """
        word, run, step, *seen = prompt.split()
        if word != _WORD:
            raise ValueError(f"unknown prompt {prompt!r}")
        with self._lock:
            answer = f"{run}.{step}.{len(self._requests)}"
            self._requests.append(Request(run=run, step=step, seen=tuple(seen), answer=answer))
        return answer

    def requests(self) -> Sequence[Request]:
        """Return the requests so far."""
        with self._lock:
            return tuple(self._requests)


@contextmanager
def serving(answers: Answers) -> Generator[str]:
    """Answer requests in the format of OpenAI on a free loopback port until the block ends; yields the base URL."""

    class Handler(_Handler):
        source = answers

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="compozy-answers", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that were killed."""


class _Handler(BaseHTTPRequestHandler):
    source: Answers

    def do_POST(self) -> None:
        """Answer a chat request."""
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = self.source.answer(_text_of(body["messages"][-1]["content"]))
        time.sleep(jitter(_ANSWER_S))
        message = {"role": "assistant", "content": text}
        document = {
            "id": text,
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        payload = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Print nothing on stderr."""


def _text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
