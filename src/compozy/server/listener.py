"""uvicorn, as servers and workers use it: bounded connections, our signals and our log."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from compozy.errors import ServerError
from compozy.server.connections import ACCEPTED_AT_ONCE, BoundedProtocol
from compozy.server.ports import BACKLOG

_IDLE_S = 30
_LOOK_S = 0.01


class Listener(uvicorn.Server):
    """uvicorn, whose signals are ours: it would end the process with the signal that it caught."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield


def http_config(application: ASGIApp, *, limit: int, patience_s: float) -> uvicorn.Config:
    """Return how `application` is served: at most `limit` connections, and `patience_s` for answers at the end."""
    return uvicorn.Config(
        application,
        http=type("LimitedProtocol", (BoundedProtocol,), {"limit": limit}),
        # asyncio accepts as many in one round, before any of them is counted.
        backlog=ACCEPTED_AT_ONCE,
        ws="none",
        lifespan="off",
        # Its lines go where ours go; those of requests are written by `AccessLog`.
        log_config=None,
        access_log=False,
        server_header=False,
        # Clients cannot set their own address.
        proxy_headers=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=int(patience_s),
    )


async def until_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Wait until a server accepts requests.

    Raises:
        ServerError: it ended before.
    """
    while not server.started:
        if serving.done():
            await serving
            raise ServerError("the server ended before it was ready")
        await asyncio.sleep(_LOOK_S)


async def until_ended(serving: asyncio.Task[None]) -> None:
    """Wait for the answers that are being given; uvicorn cancels those that take too long."""
    with suppress(asyncio.CancelledError):
        await serving


@asynccontextmanager
async def listening(config: uvicorn.Config, sock: socket.socket) -> AsyncGenerator[None, None]:
    """Answer requests on a listening socket until the block ends.

    Raises:
        ServerError: the server did not start.
    """
    server = Listener(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    await until_started(server, serving)
    # uvicorn has made the queue of the kernel as short as its rounds.
    sock.listen(BACKLOG)
    try:
        yield
    finally:
        server.should_exit = True
        await until_ended(serving)
