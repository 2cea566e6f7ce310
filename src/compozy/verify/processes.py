"""Server processes on the scratch database: started, killed at random, replaced, and ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compozy.clock import monotonic_s
from compozy.errors import ServerError
from compozy.ids import random_below
from compozy.installation import own_command

READY_S = 120.0
_END_S = 60.0
_LOOK_S = 0.05
_LISTENING = re.compile(r"^Server listening on :\d+ \((\S+)\)$", re.MULTILINE)
_LOG_CHARACTERS = 2000
# Variables of the project that is verified, and of the service manager: these processes have their own.
_FOREIGN = ("DB_", "SERVER_", "RUNTIME_", "COMPOZY_", "OTEL_", "NOTIFY_SOCKET", "WATCHDOG_")


@dataclass(kw_only=True)
class Process:
    """One process: `printed` and `log` are its output, `url` is known when it is ready."""

    popen: subprocess.Popen[bytes]
    printed: Path
    log: Path
    url: str | None = None

    def look(self) -> str | None:
        """Return the URL if the process is ready."""
        if self.url is None and self.popen.poll() is None:
            found = _LISTENING.search(self.printed.read_text(encoding="utf-8", errors="replace"))
            self.url = found[1] if found else None
        return self.url


@dataclass(kw_only=True)
class Processes:
    """A number of servers of one project. A process that ends is replaced.

    Attributes:
        config: the project file.
        folder: for their output.
        environ: further variables of the processes.
        count: their number.
        kills: number of killed processes.
        exit_codes: codes of processes that ended without being killed.
    """

    config: Path
    folder: Path
    environ: Mapping[str, str]
    count: int
    kills: int = 0
    exit_codes: list[int] = field(default_factory=list[int])
    _running: list[Process] = field(default_factory=list[Process])
    _started: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Start all processes and wait until each is ready.

        Raises:
            ServerError: one ended, or was not ready in time.
        """
        deadline_s = monotonic_s() + READY_S
        for process in [self._start_one() for _ in range(self.count)]:
            while process.look() is None:
                code = process.popen.poll()
                if code is not None or monotonic_s() > deadline_s:
                    state = f"was not ready after {READY_S:g} s" if code is None else f"exited with code {code}"
                    raise ServerError(f"a server on the scratch database {state}: {_end_of(process.log)}")
                time.sleep(_LOOK_S)

    def urls(self) -> list[str]:
        """Return the URLs of the processes that are ready."""
        with self._lock:
            return [url for process in self._running if (url := process.look()) is not None]

    def kill_one(self, *, while_starting: bool) -> bool:
        """Kill a random process and start another one; with `while_starting` also one that is not ready yet."""
        with self._lock:
            process = self._running[random_below(len(self._running))]
            if process.popen.poll() is not None or (process.look() is None and not while_starting):
                return False
            # The one-file program runs in a child of the process that was started.
            os.killpg(process.popen.pid, signal.SIGKILL)
            process.popen.wait()
            self.kills += 1
            self._forget(process)
        self._start_one()
        return True

    def replace_ended(self) -> None:
        """Replace processes that ended by themselves, and note their exit codes."""
        with self._lock:
            ended = [process for process in self._running if process.popen.poll() is not None]
            for process in ended:
                self.exit_codes.append(process.popen.returncode)
                self._forget(process)
        for _ in ended:
            self._start_one()

    def stop(self) -> None:
        """End all processes gracefully, and note the exit codes of those that were ready; others are killed."""
        with self._lock:
            # Before it is ready, a process may not handle the signal yet.
            for process in [process for process in self._running if process.look() is None]:
                self._forget(process)
            for process in self._running:
                process.popen.terminate()
            for process in list(self._running):
                try:
                    self.exit_codes.append(process.popen.wait(_END_S))
                except subprocess.TimeoutExpired:
                    self.exit_codes.append(-signal.SIGKILL)
                self._forget(process)

    def close(self) -> None:
        """Kill the processes that still run."""
        with self._lock:
            for process in list(self._running):
                self._forget(process)

    def _start_one(self) -> Process:
        with self._lock:
            self._started += 1
            printed, log = (self.folder / f"{kind}-{self._started}.txt" for kind in ("printed", "log"))
            command = [*own_command(), "start", "--config", str(self.config), "--port", "0", "--until-stdin-ends"]
            with printed.open("wb") as output, log.open("wb") as errors:
                popen = subprocess.Popen(
                    command,
                    # The process ends when this pipe closes, also if this process is killed.
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=errors,
                    env=_environ_with(self.environ),
                    # Ctrl-C on the terminal does not reach it, and its group can be killed.
                    start_new_session=True,
                )
            process = Process(popen=popen, printed=printed, log=log)
            self._running.append(process)
            return process

    def _forget(self, process: Process) -> None:
        if process.popen.poll() is None:
            os.killpg(process.popen.pid, signal.SIGKILL)
            process.popen.wait()
        if process.popen.stdin is not None:
            process.popen.stdin.close()
        self._running.remove(process)


def _environ_with(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, **more}


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:].strip() or "it printed nothing"
