"""Clients of our MCP server without a socket: the SDK's client, and raw messages of clients with a handshake."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitResult, TextContent
from starlette.types import ASGIApp

URL = "http://127.0.0.1:8080/mcp"
HANDSHAKE = "2025-06-18"
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
Answers = Callable[[str, dict[str, Any]], ElicitResult]
Era = Literal["auto", "legacy"]


@contextlib.asynccontextmanager
async def connect(
    app: ASGIApp, *, era: Era = "auto", answer: Answers | None = None, api_key: str | None = None
) -> AsyncGenerator[Client]:
    """Connect the SDK's client. `answer` gets the message and the fields of each question."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key is not None else {}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, headers=headers, timeout=60) as http:

        async def elicit(context: Any, params: Any) -> ElicitResult:
            assert answer is not None
            return answer(params.message, params.requested_schema)

        streams = streamable_http_client(URL, http_client=http)
        async with Client(streams, mode=era, elicitation_callback=elicit if answer is not None else None) as client:
            yield client


def text_of(result: CallToolResult) -> str:
    """Return the text of a result."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@dataclass(kw_only=True)
class RawClient:
    """Sends single messages like clients with a handshake do."""

    app: ASGIApp
    headers: dict[str, str] = field(default_factory=dict[str, str])
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def post(self, method: str, params: Any = None, **headers: str) -> httpx2.Response:
        """Send a request and return the HTTP response. `_` in the name of a header stands for `-`."""
        message: dict[str, Any] = {
            "jsonrpc": "2.0",
            "id": next(self._numbers),
            "method": method,
            "params": params or {},
        }
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", json.dumps(message).encode(), **{**ACCEPT, **self.headers, **more})

    async def send(self, verb: str, content: bytes = b"", **headers: str) -> httpx2.Response:
        """Send any content."""
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), timeout=60) as http:
            return await http.request(verb, URL, content=content, headers=headers)

    async def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        """Send a request and return the result, or the error."""
        answer = await self.post(method, params, mcp_protocol_version=HANDSHAKE)
        assert answer.status_code == 200, answer.text
        text = answer.text
        if answer.headers["content-type"].startswith("text/event-stream"):
            text = next(line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {"))
        document: dict[str, Any] = json.loads(text)
        return document.get("result") or document["error"]

    async def call(self, tool: str, arguments: Any, **meta: Any) -> dict[str, Any]:
        """Call a tool and return its result."""
        return await self.ask("tools/call", {"name": tool, "arguments": arguments, "_meta": meta})
