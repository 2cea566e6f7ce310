"""An MCP server as a process: messages as lines of its input and output, and nothing that is left behind.

The transport of the SDK passes errors of the server to the terminal, reads lines of any length, and leaves the process
running when Compozy is killed.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import structlog
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, jsonrpc_message_adapter

from compozy.ids import new_process_mark
from compozy.tool.mcp.limits import MAX_MESSAGE, TOO_LARGE
from compozy.tool.process import MARK, end_processes, reading, watched

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    _Received = SessionMessage | Exception

_log = structlog.get_logger(__name__)

_MAX_LOG = 64 * 1024
_LAST_LINES = 5
_BLOCK = 256 * 1024
# Between the end of its input and SIGTERM, and between SIGTERM and SIGKILL.
_GRACE_S = 1.0
_NOTE_S = 0.2
# Lines that are not messages, such as those that a library prints: so many are shown, and after so many it is over.
_MAX_OTHER_LINES, _MOST_OTHER_LINES = 3, 1000
_ID = re.compile(rb'"id"\s*:\s*(\d{1,15})\b')
_HEAD = 300


@dataclass(frozen=True, kw_only=True)
class ServerCommand:
    """How a server is started.

    Attributes:
        command: program and arguments.
        environment: all its variables.
        cwd: folder in which it starts.
        name: of the server, for the log.
        secrets: values that the log does not show.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    cwd: str
    name: str
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(kw_only=True)
class ServerProcess:
    """The state of the process: its last lines on stderr, and its exit code once it has ended."""

    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=_LAST_LINES))
    exit_code: int | None = None

    @property
    def end(self) -> str:
        """How it ended, and what it wrote last; "" if it is running and wrote nothing."""
        words = [] if self.exit_code is None else [_words_of(self.exit_code)]
        return ": ".join([*words, *([" / ".join(self.lines)] if self.lines else [])])


@asynccontextmanager
async def run_server(
    start: ServerCommand, process: ServerProcess
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[_Received], MemoryObjectSendStream[SessionMessage]], None]:
    """Start a server and exchange messages with it until the block ends; then it and its descendants are gone.

    Raises:
        OSError: it cannot be started.
    """
    process.lines.clear()
    process.exit_code = None
    mark = new_process_mark()
    child, (given, answers, errors) = await _start(start, mark)
    to_session, received = anyio.create_memory_object_stream["SessionMessage | Exception"](0)  # pyrefly: ignore[not-a-type]
    sent, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    async with reading(answers) as output, reading(errors) as lines, _writing(given) as pipe:
        tasks = [
            asyncio.create_task(_receive(output, to_session, process)),
            asyncio.create_task(_send(pipe, from_session, to_session)),
            asyncio.create_task(_log_lines(lines, start, process)),
        ]
        try:
            async with watched(child.pid, mark):
                yield received, sent
        finally:
            await asyncio.shield(_note_end(child, output, process))
            # The end of its input asks a server to end.
            if not pipe.is_closing():
                pipe.close()
            await asyncio.shield(_end(child, mark))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for stream in (to_session, received, sent, from_session):
                stream.close()


async def _start(start: ServerCommand, mark: str) -> tuple[asyncio.subprocess.Process, tuple[int, int, int]]:
    """Start a server, and return it with the ends of its pipes: to its input, from its output, from its errors.

    Pipes of `asyncio.subprocess` would let `wait` wait until the last descendant has closed them.
    """
    given, answers, errors = os.pipe(), os.pipe(), os.pipe()
    try:
        child = await asyncio.create_subprocess_exec(
            *start.command,
            stdin=given[0],
            stdout=answers[1],
            stderr=errors[1],
            start_new_session=True,
            env={**start.environment, MARK: mark},
            cwd=start.cwd,
        )
    except OSError:
        for descriptor in (given[1], answers[0], errors[0]):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (given[0], answers[1], errors[1]):
            os.close(descriptor)
    return child, (given[1], answers[0], errors[0])


async def _note_end(child: asyncio.subprocess.Process, output: asyncio.StreamReader, process: ServerProcess) -> None:
    """Note how a server ended that ended by itself."""
    if output.at_eof():
        with suppress(TimeoutError):
            process.exit_code = await asyncio.wait_for(child.wait(), _NOTE_S)


async def _end(child: asyncio.subprocess.Process, mark: str) -> None:
    for number in (None, signal.SIGTERM):
        if number is not None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), _GRACE_S)
            break
    await end_processes(child, mark)


async def _receive(
    output: asyncio.StreamReader, session: MemoryObjectSendStream[SessionMessage | Exception], process: ServerProcess
) -> None:
    """Pass on each line of the server; a line over the limit is an error of its request."""
    other_lines = 0
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with session:
            async for line, is_whole in _lines_of(output):
                message = _parse(line) if is_whole else _too_large(line)
                if message is not None:
                    await session.send(message)
                    continue
                other_lines += 1
                if other_lines <= _MAX_OTHER_LINES:
                    shown = line[:_HEAD].decode(errors="replace")
                    _log.warning("an MCP server wrote a line that is not a message", line=shown)
                    process.lines.append(f"not a message: {shown[:100]}")
                elif other_lines > _MOST_OTHER_LINES:
                    return


async def _lines_of(output: asyncio.StreamReader) -> AsyncGenerator[tuple[bytes, bool], None]:
    """Yield lines, and whether each is whole: of one over the limit only the beginning is kept."""
    line = bytearray()
    is_whole = True
    while block := await output.read(_BLOCK):
        *ends, rest = block.split(b"\n")
        for end in ends:
            is_whole = is_whole and len(line) + len(end) <= MAX_MESSAGE
            yield bytes(line + end) if is_whole else bytes(line), is_whole
            line.clear()
            is_whole = True
        if is_whole and len(line) + len(rest) > MAX_MESSAGE:
            is_whole = False
            line = bytearray((line + rest)[:_HEAD])
        elif is_whole:
            line += rest


def _parse(line: bytes) -> SessionMessage | None:
    """Return the message of a line; None for what is not a message, such as a line that a library printed."""
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return None


def _too_large(head: bytes) -> SessionMessage | None:
    found = _ID.search(head[:_HEAD])
    if found is None:
        return None
    error = ErrorData(code=TOO_LARGE, message=f"the answer is larger than {MAX_MESSAGE // 2**20} MiB")
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))


async def _send(
    pipe: asyncio.WriteTransport,
    messages: MemoryObjectReceiveStream[SessionMessage],
    session: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    try:
        async with messages:
            async for message in messages:
                if pipe.is_closing():
                    break
                pipe.write(message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        pass
    # The server does not read any more: requests that wait must not wait for ever.
    session.close()


async def _log_lines(lines: asyncio.StreamReader, start: ServerCommand, process: ServerProcess) -> None:
    from compozy.tool.environment import mask_values

    size = 0
    while block := await lines.read(8192):
        # Always read to its end, or the server would block on writing.
        for line in block.decode(errors="replace").splitlines():
            shown = mask_values(line, start.secrets)[:_HEAD]
            if shown.strip():
                process.lines.append(shown)
            if size < _MAX_LOG:
                _log.info("output of an MCP server", server=start.name, line=shown)
        size += len(block)


@asynccontextmanager
async def _writing(descriptor: int) -> AsyncGenerator[asyncio.WriteTransport, None]:
    """Write to a pipe, which is closed at the end of the block."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(descriptor, "wb"))
    try:
        yield transport
    finally:
        if not transport.is_closing():
            transport.abort()


def _words_of(code: int) -> str:
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"
