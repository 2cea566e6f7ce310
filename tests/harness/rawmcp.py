"""An MCP server without a library, in both eras, over stdio or HTTP. It starts fast and fails on request.

As a program: `python rawmcp.py ERA LEDGER`. The era is `modern` (2026-07-28, stateless) or `legacy` (2025-11-25, with a
handshake). Each call writes a line into the ledger before it does anything else.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ANY = {"type": "object", "properties": {"text": {"type": "string"}, "size": {"type": "integer"}}}
FORM = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
TOOLS: list[dict[str, Any]] = [
    {"name": "echo", "description": "Repeat a text.", "inputSchema": ANY},
    {"name": "die", "description": "End the server.", "inputSchema": ANY, "annotations": {"readOnlyHint": True}},
    {"name": "hang", "description": "Never answer.", "inputSchema": ANY},
    {"name": "huge", "description": "Answer with much text.", "inputSchema": ANY},
    {"name": "refuse", "description": "Answer with an error.", "inputSchema": ANY},
    {"name": "ask", "description": "Ask before it answers.", "inputSchema": ANY},
]
_COMPLETE = {"resultType": "complete"}
_CAPABILITIES: dict[str, Any] = {"capabilities": {"tools": {}}}
_CACHE = {"ttlMs": 0, "cacheScope": "private"}


class Died(Exception):
    """The server exits during a call."""


@dataclass(kw_only=True)
class RawServer:
    """Answers messages. `sessions` are the sessions that a handshake over HTTP started."""

    era: str
    ledger: Path
    tools: list[dict[str, Any]] = field(default_factory=lambda: TOOLS)
    sessions: set[str] = field(default_factory=set[str])
    cancelled: list[Any] = field(default_factory=list[Any])
    is_deadly: bool = True

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer to a message, or None if it gets none.

        Raises:
            Died: the server exits.
        """
        method: str = message.get("method", "")
        params: dict[str, Any] = message.get("params") or {}
        if method == "notifications/cancelled":
            self.cancelled.append(params.get("requestId"))
        if "id" not in message or not method:
            return None
        found = self._result(method, params)
        key = "error" if "code" in found else "result"
        return {"jsonrpc": "2.0", "id": message["id"], key: found}

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        is_modern = self.era == "modern"
        if method == "server/discover" and is_modern:
            versions = {"supportedVersions": ["2026-07-28"]}
            return {**_COMPLETE, **_CACHE, **versions, **_CAPABILITIES}
        if method == "initialize" and not is_modern:
            version = params.get("protocolVersion", "2025-11-25")
            info = {"serverInfo": {"name": "raw", "version": "1"}}
            return {"protocolVersion": version, **_CAPABILITIES, **info}
        if method == "tools/list":
            return {"tools": self.tools, **({**_COMPLETE, **_CACHE} if is_modern else {})}
        if method == "tools/call":
            return {**(_COMPLETE if is_modern else {}), **self._call(params)}
        return {"code": -32601, "message": f"unknown method {method}"}

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        name: str = params["name"]
        given: dict[str, Any] = params.get("arguments") or {}
        meta: dict[str, Any] = params.get("_meta") or {}
        key = meta.get("compozy/idempotencyKey")
        with self.ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"tool": name, "key": key}) + "\n")
        if name == "die" and self.is_deadly:
            raise Died
        if name == "ask" and self.era == "modern":
            return self._ask(params)
        if name == "hang":
            time.sleep(given.get("size", 3600))
        if name == "refuse":
            return {"code": -32050, "message": "the server refuses"}
        text = "x" * given["size"] if name == "huge" else str(given.get("text", ""))
        pictures = [{"type": "image", "mimeType": "image/png", "data": each} for each in given.get("pictures", ())]
        return {"content": [{"type": "text", "text": text}, *pictures]}

    def _ask(self, params: dict[str, Any]) -> dict[str, Any]:
        """Ask, or answer if the question was answered. Another server does not know the question."""
        own = f"state-{id(self)}"
        if "inputResponses" not in params:
            question = {"mode": "form", "message": "Delete it?", "requestedSchema": FORM}
            requests = {"sure": {"method": "elicitation/create", "params": question}}
            return {"resultType": "input_required", "inputRequests": requests, "requestState": own}
        if params.get("requestState") != own:
            return {"code": -32602, "message": "Invalid or expired requestState"}
        return {"content": [{"type": "text", "text": json.dumps(params["inputResponses"]["sure"])}]}


def calls_in(ledger: Path) -> list[tuple[str, str | None]]:
    """Return the calls in a ledger: tool and idempotency key."""
    if not ledger.exists():
        return []
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    return [(line["tool"], line["key"]) for line in lines]


@contextmanager
def serve(server: RawServer, port: int = 0) -> Generator[int]:
    """Serve over HTTP, without streams, and yield the port, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            pass

        def do_DELETE(self) -> None:
            self._send(200, None)

        def do_GET(self) -> None:
            self._send(405, None)

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            session = self.headers.get("Mcp-Session-Id")
            begins = message.get("method") in {"initialize", "server/discover"}
            if server.era == "legacy" and not begins and session not in server.sessions:
                self._send(404, None)
                return
            try:
                answer = server.answer(message)
            except Died:
                self.close_connection = True
                return
            if message.get("method") == "initialize":
                session = f"session-{len(server.sessions)}-{id(server)}"
                server.sessions.add(session)
                self._send(200, answer, session)
                return
            self._send(202 if answer is None else 200, answer)

        def _send(self, status: int, answer: dict[str, Any] | None, session: str | None = None) -> None:
            body = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            if answer is not None:
                self.send_header("Content-Type", "application/json")
            if session is not None:
                self.send_header("Mcp-Session-Id", session)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    listener = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield listener.server_address[1]
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def main(era: str, ledger: str) -> None:
    """Serve over stdio, with a thread for each message."""
    server = RawServer(era=era, ledger=Path(ledger))
    writing = threading.Lock()

    def handle(line: str) -> None:
        try:
            answer = server.answer(json.loads(line))
        except Died:
            os._exit(3)
        if answer is not None:
            with writing:
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()

    for line in sys.stdin:
        threading.Thread(target=handle, args=(line,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
