"""The MCP server over standard input and output: one message in each line, and nothing else on the output."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from compozy.project.loaded import LoadedProject
from compozy.server.mcp.runs import Runs
from compozy.server.mcp.tools import new_server
from compozy.tool.mcp.limits import MAX_MESSAGE

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    _Received = SessionMessage | Exception

_BLOCK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Wires:
    """Descriptors of the client's messages and of the answers."""

    receive: int
    send: int


def claim_stdio() -> Wires:
    """Return standard input and output, and put nothing and standard error in their place.

    Whatever this process, a library or a child prints from now on reaches the log of the client, not its messages.
    """
    sys.stdout.flush()
    wires = Wires(receive=os.dup(0), send=os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return wires


async def serve_stdio(project: LoadedProject, runs: Runs, wires: Wires) -> None:
    """Answer one client until its messages end. Its runs continue."""
    server = new_server(project, runs)
    async with _streams(wires) as (received, sent):
        await server.run(received, sent, server.create_initialization_options())


@asynccontextmanager
async def _streams(
    wires: Wires,
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[_Received], MemoryObjectSendStream[SessionMessage]]]:
    """Yield the messages of the client, and where answers go."""
    to_server, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    sent, to_client = anyio.create_memory_object_stream[SessionMessage](0)
    # A thread of the pool would keep the process alive until the client closes its end.
    reader = _Reader(fd=wires.receive, stream=to_server, loop=asyncio.get_running_loop())
    threading.Thread(target=reader.run, name="compozy-mcp-stdin", daemon=True).start()
    writing = asyncio.create_task(_write(to_client, wires.send))
    try:
        yield received, sent
    finally:
        received.close()
        sent.close()
        await writing


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Reads messages in a thread."""

    fd: int
    stream: MemoryObjectSendStream[_Received]
    loop: asyncio.AbstractEventLoop

    def run(self) -> None:
        """Pass on every line until the input ends, or the server does."""
        rest = b""
        is_open = True
        while is_open and (block := os.read(self.fd, _BLOCK)):
            *lines, rest = (rest + block).split(b"\n")
            is_open = all(self._pass_on(_message_of(line)) for line in lines if line.strip())
            if len(rest) > MAX_MESSAGE:
                is_open = self._pass_on(ValueError(f"a message is larger than {MAX_MESSAGE} bytes"))
                break
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.stream.close)

    def _pass_on(self, message: _Received) -> bool:
        """Wait until the server takes a message; return False if it takes none any more."""
        try:
            asyncio.run_coroutine_threadsafe(self.stream.send(message), self.loop).result()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, RuntimeError, asyncio.CancelledError):
            return False
        return True


def _message_of(line: bytes) -> _Received:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _write(messages: MemoryObjectReceiveStream[SessionMessage], fd: int) -> None:
    async with messages:
        async for message in messages:
            line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await asyncio.to_thread(_write_all, fd, line.encode() + b"\n")
            except OSError:
                # The client is gone; its messages end, too.
                return


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
