"""Startup messages and graceful shutdown, shared by server and worker."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from compozy.app import App
from compozy.database.database import Database
from compozy.database.load import count_foreign_formats
from compozy.database.tasks import TaskEnd
from compozy.durable.format import FINISH_ELSEWHERE, JOURNAL_FORMAT, describe_foreign_formats
from compozy.installation import end_with_stdin
from compozy.plural import plural
from compozy.storage import concurrency_warning

_log = structlog.get_logger(__name__)

# Time for runs to end after a stop request; the next start continues the others.
DRAIN_S = 5.0
# Further time for a graceful shutdown, after which the process exits.
GRACE_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Console:
    """The output of a process: lines on stdout, notes on stderr."""

    line: Callable[[str], None]
    note: Callable[[str], None]

    def draining(self, running: int) -> None:
        """Report that the process waits for its runs before it ends."""
        if running:
            self.note(
                f"stopping: waiting up to {DRAIN_S:g} s for {plural(running, 'run')} (signal again to exit immediately)"
            )

    def drained(self, left: int) -> None:
        """Report how many runs remain for the next start."""
        self.note(f"stopped; {plural(left, 'unfinished run')} will continue at the next start" if left else "stopped")


class Stop:
    """The request to end this process, from SIGINT or SIGTERM. A second one ends it immediately.

    Args:
        console: who is told.
        with_stdin: whether the end of stdin is such a wish too,
            which comes also when the program at its other end is killed.
        has_parent: whether another process decides when this one ends immediately. A service manager signals both
            processes, and the parent passes its signal on: a second signal here does not ask for an immediate end.
        before_exit: called before an immediate end.
    """

    def __init__(
        self,
        console: Console,
        *,
        with_stdin: bool = False,
        has_parent: bool = False,
        before_exit: Callable[[], None] | None = None,
    ) -> None:
        self._console = console
        self._has_parent = has_parent
        self._before_exit = before_exit
        loop = asyncio.get_running_loop()
        # Made where the loop runs, because a future belongs to one.
        self.requested: asyncio.Future[int] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._receive, number)
        if with_stdin:
            end_with_stdin()

    def _receive(self, number: int) -> None:
        if self.requested.done():
            if not self._has_parent:
                self._exit(128 + number)
            return
        self.requested.set_result(number)
        self._leave_later(128 + number)

    def _leave_later(self, status: int) -> None:
        """Make sure that the process ends even if its database or its runs do not."""

        def leave() -> None:
            self._console.note(
                f"shutdown did not end within {DRAIN_S + GRACE_S:g} s; unfinished runs continue at the next start"
            )
            self._exit(status)

        # If there is a parent, it is the first to lose patience.
        timer = threading.Timer(DRAIN_S + GRACE_S + self._has_parent, leave)
        timer.daemon = True
        timer.start()

    def _exit(self, status: int) -> None:
        """End now. The journal is consistent at any moment, and the next start continues what was running."""
        if self._before_exit is not None:
            self._before_exit()
        os._exit(status)


class LogReport:
    """Writes the progress of runs to the log."""

    def task_began(self, execution_id: str, path: str) -> None:
        """Log the event."""
        _log.info("task began", execution_id=execution_id, task=path)

    def budget_spent(self, execution_id: str, path: str, text: str, option: str) -> None:
        """Log the event."""
        _log.warning("budget is spent", execution_id=execution_id, task=path, reason=text, raise_with=option)

    def task_waits(self, execution_id: str, path: str, signal: str | None) -> None:
        """Log the event."""
        _log.info("task waits", execution_id=execution_id, task=path, signal=signal)

    def task_ended(self, execution_id: str, path: str, end: TaskEnd, *, replayed: bool, seconds: float) -> None:
        """Log the event."""
        _log.info(
            "task ended",
            execution_id=execution_id,
            task=path,
            status=end.status.value,
            replayed=replayed,
            seconds=round(seconds, 3),
        )


def database_line(database: Database) -> str:
    """Return the line about the open database."""
    driver = database.driver
    return f"Database initialized: driver={driver.name} {driver.location_key}={database.location}"


async def print_start_notes(app: App, console: Console) -> None:
    """Print warnings and notes before the first run."""
    if warning := concurrency_warning(app.project):
        console.note(f"warning: {warning}")
    if app.left_unfinished:
        console.note(f"note: continuing {plural(app.left_unfinished, 'unfinished run')} of a process that ended early")
    count = partial(count_foreign_formats, journal_format=JOURNAL_FORMAT)
    if foreign := await app.database.read_async(count):
        console.note(f"note: {describe_foreign_formats(foreign)}; {FINISH_ELSEWHERE}")


class DrainReport(Protocol):
    """Gets the progress of `drain`."""

    def draining(self, running: int) -> None:
        """Report that the process waits for its runs before it ends."""
        ...

    def drained(self, left: int) -> None:
        """Report how many runs remain for the next start."""
        ...


async def drain(app: App, report: DrainReport) -> None:
    """Accept nothing new, wait briefly for running runs, and report how many remain for the next start."""
    app.runtime.stop_claiming()
    report.draining(len(app.runtime.in_hand()))
    report.drained(await app.runtime.settle(DRAIN_S))
