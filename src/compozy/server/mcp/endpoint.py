"""`/mcp`: streamable HTTP, without sessions, so that clients of both protocol eras continue after a restart."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from compozy.errors import StoppingError, UsageError
from compozy.jsoninput import MAX_BYTES
from compozy.server.problems import problem
from compozy.server.service import Service

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"
# Waiting calls answer immediately when the server shuts down; others get this long.
_CLOSE_S = 2.0


def new_entry(service: Service) -> McpEndpoint:
    """Return the endpoint; it loads the SDK with the first request, or before."""
    return McpEndpoint(service=service)


@dataclass(kw_only=True)
class McpEndpoint:
    """The MCP server of a project behind the guard of its HTTP server."""

    service: Service
    path: str = PATH
    _manager: StreamableHTTPSessionManager | None = None
    _serving: asyncio.Task[None] | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _requests: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] != "POST":
            # Sessions do not exist here, and the only messages are answers.
            error = UsageError(f"{scope['method']} {self.path}: method not allowed", hint="send messages with POST")
            refusal = problem(error, status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
            await refusal(scope, receive, send)
            return
        if self._closing.is_set():
            raise StoppingError("the server is shutting down", hint="retry when it runs again")
        manager = await self._started()
        self._requests += 1
        self._idle.clear()
        try:
            await manager.handle_request(scope, receive, send)
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    async def preload(self) -> None:
        """Load the SDK in a thread."""
        await self._started()

    async def aclose(self) -> None:
        """Let waiting calls answer, then end what is left."""
        async with self._lock:
            if self._serving is None:
                return
            if self._requests:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._idle.wait(), _CLOSE_S)
            self._closing.set()
            await self._serving

    async def _started(self) -> StreamableHTTPSessionManager:
        """Return what answers requests, which has to run for that."""
        async with self._lock:
            if self._manager is None:
                await asyncio.to_thread(import_module, "compozy.server.mcp.tools")
                self._manager = self._new_manager()
                ready = asyncio.Event()
                self._serving = asyncio.create_task(self._serve(self._manager, ready))
                await ready.wait()
        return self._manager

    def _new_manager(self) -> StreamableHTTPSessionManager:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from compozy.server.mcp.runs import OwnRuns
        from compozy.server.mcp.tools import new_server

        server = new_server(self.service.app.project, OwnRuns(service=self.service))
        return StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=MAX_BYTES)

    async def _serve(self, manager: StreamableHTTPSessionManager, ready: asyncio.Event) -> None:
        # Its cancel scope has to be left by the task that entered it.
        async with manager.run():
            ready.set()
            await self._closing.wait()
