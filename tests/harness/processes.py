"""Processes that run the real command line, forked from a server that has imported the program once."""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

# Everything that a run imports, so that each process starts quickly.
PROGRAM = (
    "alembic.command",
    "alembic.config",
    "openai",
    "pydantic_ai.models.openai",
    "compozy.agent.run",
    "compozy.cli.executions",
    "compozy.cli.main",
    "compozy.cli.run",
    "compozy.durable.runtime",
    "compozy.model.scripted",
    "compozy.cli.remote",
    "compozy.project.load",
    "compozy.server.serve",
    "compozy.server.worker",
    "compozy.workflow.execute",
)
NOBODY = 65534
_STEP_S = 0.01

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([*PROGRAM, "tests.harness.warm"])


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The result of a command: its exit status, negative for a signal, and its output."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Conditions of a process. `kill_at` counts the points before and after each commit from 1; 0 is never."""

    kill_at: int = 0
    user: int | None = None
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    before: Callable[[], None] | None = None


class Command:
    """A running command line. Its output is written to files in its own folder."""

    def __init__(self, folder: Path, arguments: Sequence[str], output: Path, conditions: Conditions) -> None:
        self._output = output
        output.mkdir(parents=True)
        if conditions.user is not None:
            os.chown(output, conditions.user, conditions.user)
        self._process: ForkServerProcess = _forks.Process(
            target=_run, args=(str(folder), list(arguments), str(output), conditions, dict(os.environ))
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Return the process ID."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def out(self) -> str:
        """Return its stdout so far."""
        return _read(self._output / "out")

    @property
    def err(self) -> str:
        """Return its stderr so far."""
        return _read(self._output / "err")

    @property
    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> Finished:
        """Wait until the process has ended."""
        self._process.join()
        assert self._process.exitcode is not None
        return Finished(status=self._process.exitcode, out=self.out, err=self.err)

    def until(self, seen: Callable[[], bool]) -> None:
        """Wait until `seen` is true, which must happen before the process ends."""
        while not seen():
            alive = self.is_alive
            if not alive and not seen():
                raise AssertionError(f"it ended first, with {self._process.exitcode}: {self.out}{self.err}")
            time.sleep(_STEP_S)

    def end(self) -> None:
        """Kill the process if it runs, and forget it."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._process.close()


class Commands:
    """Starts commands, and ends those that still run after the test."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._started: list[Command] = []

    def start(self, folder: Path, *arguments: str, conditions: Conditions | None = None) -> Command:
        """Start `compozy ARGUMENTS` in `folder`."""
        output = self._output / f"command-{len(self._started)}"
        command = Command(folder, arguments, output, conditions or Conditions())
        self._started.append(command)
        return command

    def run(self, folder: Path, *arguments: str, conditions: Conditions | None = None) -> Finished:
        """Run `compozy ARGUMENTS` in `folder` and return its result."""
        return self.start(folder, *arguments, conditions=conditions).wait()

    def end(self) -> None:
        """End all processes."""
        for command in self._started:
            command.end()


@contextlib.contextmanager
def other_process(body: Callable[..., None], *arguments: object) -> Generator[ForkServerProcess]:
    """Run `body`, a function of a module, in another process while the block lasts."""
    process = _forks.Process(target=body, args=arguments)
    process.start()
    try:
        yield process
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        process.close()


def forked_cpu_s() -> float:
    """Return the processor time of all commands that have ended. They are children of the fork server."""
    pid: int | None = forkserver._forkserver._forkserver_pid  # pyright: ignore
    if pid is None:
        return 0.0
    # The times of its children are fields 16 and 17. The name, field 2, may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def _run(folder: str, arguments: list[str], output: str, conditions: Conditions, environ: dict[str, str]) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}/{name}", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = os.fdopen(0, closefd=False)
    # The environment of this test, not of the first test that forked.
    os.environ.clear()
    os.environ.update({**environ, **conditions.environ})
    if conditions.user is not None:
        os.setgroups([])
        os.setgid(conditions.user)
        os.setuid(conditions.user)
    # As on a terminal, however these tests were started.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    if conditions.before is not None:
        conditions.before()
    sys.argv[1:] = arguments
    # As the program does. A collection would copy all pages that this process shares with the fork server.
    gc.disable()
    if conditions.kill_at:
        _kill_at(conditions.kill_at)
    sys.exit(importlib.import_module("compozy.cli.main").run(arguments))


def _kill_at(place: int) -> None:
    passed = 0

    def hook(_when: str) -> None:
        nonlocal passed
        passed += 1
        if passed == place:
            os.kill(os.getpid(), signal.SIGKILL)

    importlib.import_module("compozy.database.commits").add_commit_hook(hook)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
