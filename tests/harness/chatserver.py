"""A server on a free port that answers OpenAI's chat format with scripted replies."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply: a status, headers, a body. `cut` announces more bytes than it sends, `hang` sends nothing."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    cut: bool = False
    hang: bool = False


def chat_reply(
    text: str, *, finish_reason: str = "stop", usage: tuple[int, int] = (7, 3), model: str = "test-model"
) -> Reply:
    """Return the reply of a model whose text is `text`."""
    message = {"role": "assistant", "content": text}
    document = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    }
    return json_reply(document)


def streamed(reply: Reply, *, size: int = 2, events: int | None = None) -> Reply:
    """Return `chat_reply` as a server sends it for `stream: true`, with `size` characters in each event.

    `events` breaks it off after so many of them.
    """
    document = json.loads(reply.body)
    [choice] = document.pop("choices")
    usage = document.pop("usage", None)
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning_content", "content", "refusal"):
        text = message.get(name) or ""
        deltas += [{name: text[start : start + size]} for start in range(0, len(text), size)]
    for index, call in enumerate(message.get("tool_calls") or []):
        arguments = call["function"]["arguments"]
        deltas.append({"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": arguments[start : start + size]}}]}
            for start in range(0, len(arguments), size)
        ]
    chunk = {**document, "object": "chat.completion.chunk"}
    chunks = [{**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    chunks.append({**chunk, "choices": [], "usage": usage})
    lines = [f"data: {json.dumps(item)}\n\n" for item in chunks[:events]]
    return event_reply("".join(lines) + ("" if events else "data: [DONE]\n\n"), cut=events is not None)


def event_reply(text: str, *, cut: bool = False) -> Reply:
    """Return a reply of server-sent events."""
    return Reply(headers={"Content-Type": "text/event-stream"}, body=text.encode(), cut=cut)


def error_reply(status: int, message: str, *, headers: dict[str, str] | None = None, code: str | None = None) -> Reply:
    """Return an error reply in OpenAI's format."""
    return json_reply({"error": {"message": message, "code": code}}, status=status, headers=headers)


def json_reply(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Return a reply with any JSON document."""
    return Reply(status=status, headers=headers or {}, body=json.dumps(document).encode())


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as the server received it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class ChatServer:
    """Sends its replies in turn and repeats the last one."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.seen: list[Seen] = []
        self.release = threading.Event()
        self.url = ""

    def next_reply(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        return self.replies[min(len(self.seen), len(self.replies)) - 1]


@contextmanager
def serve_chat() -> Generator[ChatServer]:
    """Run a server. `release` ends the replies that hang."""
    chat = ChatServer()
    place = f"/{secrets.token_hex(4)}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            if not self.path.startswith(place):
                # A client of another test, whose server had this port before.
                self._send(Reply(status=404))
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = chat.next_reply(Seen(path=self.path.removeprefix(place), headers=headers, body=body))
            if reply.hang:
                chat.release.wait(30)
                self.close_connection = True
                return
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.headers.get("Content-Type", "application/json"))
            for name, value in reply.headers.items():
                if name != "Content-Type":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + (100 if reply.cut else 0)))
            self.end_headers()
            try:
                self.wfile.write(reply.body)
            except OSError:
                self.close_connection = True  # the client closed the connection
            if reply.cut:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that is overridden
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_address[1]}{place}/v1"
    try:
        yield chat
    finally:
        chat.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
