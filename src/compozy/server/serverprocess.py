"""One of the processes of `compozy start --processes`, as the process that started it sees it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from compozy.clock import monotonic_s
from compozy.server.inherited import Inherited
from compozy.server.supervisor import LEFT, READY, RUNNING

# Reports of a process in the time after which it hangs.
REPORTS = 4
# Before its first report, a process may take so long to load and to connect.
_START_S = 300.0
# Its last reports are read within this time.
_READ_S = 1.0
# A process that ran for less ended early.
_EARLY_S = 30.0
_FIRST_PAUSE_S = 0.5
_MOST_PAUSE_S = 30.0
_MOST_UNREADY = 5


class ServerProcess:
    """A running process.

    Attributes:
        process: the process itself; it ends when its stdin closes.
        inherited: what it was given.
        pid: of the process that serves.
        is_ready: whether it answers requests.
        stopping: set when it reported the runs that it waits for, or ended.
        running: runs that it waits for before it ends.
        left: runs that it left unfinished.
    """

    def __init__(self, process: asyncio.subprocess.Process, inherited: Inherited) -> None:
        self.process = process
        self.inherited = inherited
        self.is_ready = False
        self.pid = process.pid
        self.stopping = asyncio.Event()
        self.running = 0
        self.left = 0
        self._began_s = monotonic_s()
        self._looks = 0
        self._has_reported = False

    @property
    def age_s(self) -> float:
        """Time since the process was started."""
        return monotonic_s() - self._began_s

    def is_hanging(self) -> bool:
        """Return whether the process reports nothing any more; called once in each `alive_s`.

        Calls are counted instead of time, so that the processes do not hang if all of them were stopped together.
        """
        self._looks += 1
        return self._looks > REPORTS if self._has_reported else self._looks * self.inherited.alive_s > _START_S

    def stop(self) -> None:
        """Ask the process to end gracefully."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        self._close_stdin()

    def kill(self) -> None:
        """Kill the process."""
        # The one-file program runs in a child of the process that was started.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def wait(self, reports: asyncio.StreamReader, on_ready: Callable[[], None]) -> int:
        """Read its reports until it ends; return its exit code, 128 and the number for a signal."""
        reading = asyncio.create_task(self._read(reports, on_ready))
        code = await self.process.wait()
        await asyncio.wait({reading}, timeout=_READ_S)
        reading.cancel()
        self._close_stdin()
        if code < 0:
            self.kill()
        self.stopping.set()
        return code if code >= 0 else 128 - code

    async def _read(self, reports: asyncio.StreamReader, on_ready: Callable[[], None]) -> None:
        async for line in reports:
            self._looks, self._has_reported = 0, True
            name, _, value = line.decode().strip().partition("=")
            if name == READY:
                self.is_ready, self.pid = True, int(value)
                on_ready()
            elif name == RUNNING:
                self.running = int(value)
                self.stopping.set()
            elif name == LEFT:
                self.left = int(value)

    def _close_stdin(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()


async def start_process(
    command: Sequence[str], inherited: Inherited, environ: Mapping[str, str]
) -> tuple[ServerProcess, asyncio.StreamReader]:
    """Start a process; return it and its reports. `inherited.reports` is replaced by that of a new pipe."""
    read, write = os.pipe()
    inherited = replace(inherited, reports=write)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            # The process ends when this pipe closes, however this process ends.
            stdin=asyncio.subprocess.PIPE,
            pass_fds=inherited.files,
            env={**environ, **inherited.to_environ()},
            # Ctrl-C reaches only this process, which then stops the others.
            start_new_session=True,
        )
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", buffering=0)
    )
    return ServerProcess(process, inherited), reader


@dataclass(kw_only=True)
class Restarts:
    """When one of the processes is started again, and whether it cannot run.

    Attributes:
        early: how often in a row it ended soon after its start.
        unready: how often in a row it ended before it was ready.
    """

    early: int = 0
    unready: int = 0

    def note_end(self, *, age_s: float, was_ready: bool, is_counted: bool = True) -> None:
        """Note that it ended; an end that does not count is one that running processes wait for to pass, too."""
        self.early = self.early + 1 if age_s < _EARLY_S else 0
        if was_ready:
            self.unready = 0
        elif is_counted:
            self.unready += 1

    @property
    def pause_s(self) -> float:
        """Time until the next start."""
        return min(_FIRST_PAUSE_S * 2 ** max(0, self.early - 1), _MOST_PAUSE_S)

    @property
    def has_failed(self) -> bool:
        """Whether it is not started again."""
        return self.unready >= _MOST_UNREADY
