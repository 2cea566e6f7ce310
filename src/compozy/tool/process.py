"""Processes of tools: one JSON request in, one JSON answer out, and nothing that is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import structlog

from compozy.ids import new_process_mark
from compozy.jsoninput import parse_json
from compozy.tool.kind import ToolResult

_log = structlog.get_logger(__name__)

_MAX_LOG = 64 * 1024
_MAX_ERROR = 4000
_GRACE_S = 0.5
# How engines of JavaScript end when they run out of memory.
_OUT_OF_MEMORY = (-signal.SIGTRAP, -signal.SIGABRT, -signal.SIGILL)
# The end of its input is the end of this process. Processes that left the group still have the mark in their
# environment.
_WATCH = """read _; kill -9 "-$1"
for process in /proc/[0-9]*; do
    if grep -qs "$2" "$process/environ"; then kill -9 "${process#/proc/}"; fi
done
"""
_WATCHDOG = ("/bin/sh", "-c", _WATCH, "sh")
_MAX_SWEEPS, _SWEEP_S = 100, 0.02
MARK = "COMPOZY_TOOL_PROCESS"
"""Variable that marks all processes of one call."""
_PROC = Path("/proc")
_HAS_PROC = _PROC.is_dir()


@dataclass(frozen=True, kw_only=True)
class ProcessLimits:
    """Limits of a process: bytes of memory and output, seconds of processor and elapsed time.

    Attributes:
        reserved: with `prints_answer`, bytes of memory that the program itself needs; None if it bears no limit.
    """

    memory: int
    cpu_s: float
    output: int
    timeout_s: float
    reserved: int | None = None

    @property
    def cpu(self) -> int:
        """Whole seconds of the processor, at least one."""
        return max(1, round(self.cpu_s))

    @property
    def of_system(self) -> Mapping[int, int]:
        """The limits that the system sets from outside, for a program that reserves more addresses than it uses."""
        data = {} if self.reserved is None else {resource.RLIMIT_DATA: self.memory + self.reserved}
        return {**data, resource.RLIMIT_CPU: self.cpu}


async def run_worker(
    command: Sequence[str],
    request: Mapping[str, Any],
    *,
    limits: ProcessLimits,
    environment: Mapping[str, str],
    cwd: Path,
    name: str,
    prints_answer: bool = False,
) -> ToolResult:
    """Send `request` to a new process in a new process group, and return its answer.

    An answer has `ok` or `result`, or an `error`: a text, or an object with `name` and `message`. At the end, the group
    is killed, and every process that carries the mark of this call in its environment.

    Args:
        command: the program; `python_worker.py` and `typescript_worker.mjs` show the protocol.
        request: JSON; `fd`, `memory` and `cpu` are added, or `mark` if the answer is printed.
        limits: limits of the call.
        environment: all variables of the process.
        cwd: folder in which it starts.
        name: the tool, for the log.
        prints_answer: whether the answer is a line of standard output that begins with `mark`. Such a program is
            limited from outside, and a watchdog ends it with Compozy.
    """
    pipes = _Pipes.open()
    mark = new_process_mark()
    output = pipes.answer[1] if prints_answer else asyncio.subprocess.DEVNULL
    try:
        child = await _start(command, pipes, output, {**environment, MARK: mark}, cwd)
    except OSError as error:
        pipes.close_own_ends()
        return ToolResult(outcome="failed", content=f"the tool cannot be started: {error.strerror}")
    finally:
        pipes.close_given_ends()
    if prints_answer:
        limit_process(child.pid, limits.of_system)
    added = {"mark": mark} if prints_answer else {"fd": pipes.answer[1], "memory": limits.memory, "cpu": limits.cpu}
    sent = json.dumps({**request, **added}).encode() + b"\n"
    try:
        async with _conversation(child, mark, pipes, sent, name) as answer:
            if not prints_answer:
                return await _answer_of(child, _read(answer, limits.output), limits)
            async with watched(child.pid, mark):
                return await _answer_of(child, _read_marked(answer, mark, name, limits.output), limits)
    finally:
        # The process takes the end of its input for the end of Compozy.
        os.close(pipes.request[1])


@asynccontextmanager
async def _conversation(
    child: asyncio.subprocess.Process, mark: str, pipes: _Pipes, sent: bytes, name: str
) -> AsyncGenerator[asyncio.StreamReader, None]:
    """Send a request, log what the process reports, and yield where it answers; the process ends with the block."""
    async with reading(pipes.answer[0]) as answer, reading(pipes.log[0]) as lines:
        logging = asyncio.create_task(_log_lines(lines, name))
        # Written in a thread, which ends when the process has read or was killed.
        writing = asyncio.create_task(asyncio.to_thread(_write, pipes.request[1], sent))
        try:
            yield answer
        finally:
            await end_processes(child, mark)
            logging.cancel()
            await asyncio.gather(logging, writing, return_exceptions=True)


async def _start(
    command: Sequence[str], pipes: _Pipes, output: int, environment: Mapping[str, str], cwd: Path
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=pipes.request[0],
        stdout=output,
        stderr=pipes.log[1],
        pass_fds=() if output == pipes.answer[1] else (pipes.answer[1],),
        start_new_session=True,
        env=environment,
        cwd=cwd,
    )


@dataclass(frozen=True, kw_only=True)
class _Pipes:
    """Own pipes: those of `asyncio.subprocess` let `wait` wait until the last descendant has closed them.

    Each is its end for reading and its end for writing.
    """

    request: tuple[int, int]
    answer: tuple[int, int]
    log: tuple[int, int]

    @classmethod
    def open(cls) -> _Pipes:
        return cls(request=os.pipe(), answer=os.pipe(), log=os.pipe())

    def close_given_ends(self) -> None:
        for descriptor in (self.request[0], self.answer[1], self.log[1]):
            os.close(descriptor)

    def close_own_ends(self) -> None:
        for descriptor in (self.request[1], self.answer[0], self.log[0]):
            os.close(descriptor)


async def _answer_of(
    child: asyncio.subprocess.Process, read: Coroutine[Any, Any, bytes | None], limits: ProcessLimits
) -> ToolResult:
    try:
        async with asyncio.timeout(limits.timeout_s):
            text = await read
            if text is None:
                return ToolResult(outcome="failed", content=f"the result is larger than {limits.output} bytes")
            if not text:
                return ToolResult(outcome="failed", content=_words_of_end(await child.wait(), limits))
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), _GRACE_S)
        return ToolResult(outcome="unknown", content=f"the tool did not end within {limits.timeout_s:g} s")
    return await asyncio.to_thread(_read_answer, text)


def _write(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError):
        while data:
            data = data[os.write(descriptor, data) :]


def _read_answer(text: bytes) -> ToolResult:
    try:
        answer = cast("dict[str, Any]", parse_json(text.decode()))
    except ValueError as error:
        return ToolResult(outcome="failed", content=f"the tool did not answer with JSON: {error}")
    if answer.get("error") is not None:
        return ToolResult(outcome="failed", content=_words_of_error(answer["error"]))
    return ToolResult(outcome="ok", content=answer["result"] if "result" in answer else answer.get("ok"))


def _words_of_error(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    fields = cast("dict[str, Any]", error)
    return ": ".join(str(fields[key]) for key in ("name", "message") if fields.get(key))[:_MAX_ERROR]


def _words_of_end(status: int, limits: ProcessLimits) -> str:
    if status == -signal.SIGXCPU or status == -signal.SIGKILL:
        return f"the tool was killed: it needs more than {limits.cpu_s:g} s of processor time or too much memory"
    if status in _OUT_OF_MEMORY:
        return "the tool was aborted, probably because it needs more memory than `limits.memory` allows"
    if status < 0:
        return f"the tool was killed by {signal.Signals(-status).name} before it answered"
    return f"the tool ended with exit code {status} before it answered"


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes | None:
    """Return the first line of a stream, None if it has more than `limit` bytes.

    The end of the stream is not waited for: a process that the tool started can hold it open.
    """
    data = bytearray()
    while block := await stream.read(65536):
        data += block
        if len(data) > limit:
            return None
        if block.endswith(b"\n"):
            break
    return bytes(data)


async def _read_marked(stream: asyncio.StreamReader, mark: str, name: str, limit: int) -> bytes | None:
    """Return the line that begins with `mark`, without it, and log the other lines.

    The result is None if one line has more than `limit` bytes, and empty if the stream ended.
    """
    line, logged = bytearray(), 0
    start = mark.encode() + b" "
    while block := await stream.read(65536):
        *ends, rest = block.split(b"\n")
        for end in ends:
            line += end
            if line.startswith(start):
                return bytes(line[len(start) :]) if len(line) <= limit + len(start) else None
            if logged < _MAX_LOG and line.strip():
                _log.info("output of a tool", tool=name, line=line[: _MAX_LOG - logged].decode(errors="replace"))
            logged += len(line)
            line.clear()
        line += rest
        if len(line) > limit + len(start):
            return None
    return b""


async def _log_lines(lines: asyncio.StreamReader, name: str) -> None:
    size = 0
    while block := await lines.read(8192):
        # Always read to its end, or the tool would block on writing.
        if size < _MAX_LOG:
            for line in block[: _MAX_LOG - size].decode(errors="replace").splitlines():
                _log.info("output of a tool", tool=name, line=line)
        size += len(block)


@asynccontextmanager
async def reading(descriptor: int) -> AsyncGenerator[asyncio.StreamReader, None]:
    """Read from a pipe, which is closed at the end of the block."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb")
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        yield reader
    finally:
        transport.close()


@asynccontextmanager
async def watched(group: int, mark: str) -> AsyncGenerator[None, None]:
    """Let a shell kill a group of processes, and those with its mark, if this process ends within the block."""
    read_end, write_end = os.pipe()
    watchdog: asyncio.subprocess.Process | None = None
    try:
        try:
            # Only this process holds the other end of its input. A container without a shell has no watchdog.
            with suppress(OSError):
                watchdog = await asyncio.create_subprocess_exec(
                    *_WATCHDOG,
                    str(group),
                    f"{MARK}={mark}",
                    stdin=read_end,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                    env={"PATH": "/usr/bin:/bin"},
                )
        finally:
            os.close(read_end)
        yield
    finally:
        # Before its input ends, or it would kill whatever has the number of the group by then.
        if watchdog is not None:
            with suppress(ProcessLookupError):
                watchdog.kill()
            await asyncio.shield(watchdog.wait())
        os.close(write_end)


def limit_process(pid: int, limits: Mapping[int, int]) -> None:
    """Limit the resources of a process, and refuse core dumps, where the system can do so from outside."""
    if not hasattr(resource, "prlimit"):
        return
    for which, value in {**limits, resource.RLIMIT_CORE: 0}.items():
        # It may have ended already.
        with suppress(OSError, ValueError):
            resource.prlimit(pid, which, (value, value))


async def end_processes(child: asyncio.subprocess.Process, mark: str) -> None:
    """Kill the process with its group, and those of its descendants that left the group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    if _HAS_PROC:
        await asyncio.shield(asyncio.to_thread(_kill_marked, f"{MARK}={mark}".encode()))
    await asyncio.shield(child.wait())


def _kill_marked(mark: bytes) -> None:
    """Kill every process with `mark` in its environment, until none is left, for two seconds at most."""
    own = os.getpid()
    for attempt in range(_MAX_SWEEPS):
        if attempt:
            # A process that was killed takes a moment to end.
            time.sleep(_SWEEP_S)
        found = False
        for folder in _PROC.iterdir():
            if not folder.name.isdigit() or int(folder.name) == own:
                continue
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)
                    found = True
        if not found:
            return
