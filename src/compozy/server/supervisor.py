"""Reports the state of a process to systemd: ready, alive, stopping."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import structlog

_log = structlog.get_logger(__name__)

READY = "READY"
ALIVE = "WATCHDOG"
# Reports to the parent process only: runs that a process waits for when it stops, and those that it leaves.
RUNNING = "RUNNING"
LEFT = "LEFT"


class Supervisor:
    """The service manager that started this process. Without one, all reports do nothing.

    Args:
        address: the socket of the manager, a path or `@` and an abstract name; None without a manager.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._is_failing = False

    def ready(self) -> None:
        """Report that the process accepts runs."""
        self._send(f"{READY}=1")

    def stopping(self) -> None:
        """Report that the process shuts down."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Report that the process is alive; systemd restarts it if reports stop."""
        self._send(f"{ALIVE}=1")

    def _send(self, state: str) -> None:
        if self._address is None:
            return
        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                # A manager that does not read must not hold up the event loop.
                sock.setblocking(False)
                sock.sendto(state.encode(), name)
        except OSError as error:
            if not self._is_failing:
                _log.warning("cannot report the state to systemd", state=state, cause=str(error))
            self._is_failing = True
        else:
            self._is_failing = False


class Parent(Supervisor):
    """The process that started this one and others that serve on its socket. It reads the same reports from a pipe.

    Args:
        file: descriptor of the pipe.
        interval_s: time between two reports that this process is alive.
    """

    def __init__(self, file: int, interval_s: float) -> None:
        super().__init__(None)
        os.set_blocking(file, False)
        self._file = file
        self.interval_s = interval_s

    def ready(self) -> None:
        """Report that this process answers requests, with its ID: a one-file program runs in a child."""
        self._send(f"{READY}={os.getpid()}")

    def draining(self, running: int) -> None:
        """Report that this process waits for its runs before it ends."""
        self._send(f"{RUNNING}={running}")

    def drained(self, left: int) -> None:
        """Report how many of its runs it leaves unfinished."""
        self._send(f"{LEFT}={left}")

    def _send(self, state: str) -> None:
        # A parent that does not read must not hold up the event loop, and one that died is noticed by stdin.
        with suppress(OSError):
            os.write(self._file, f"{state}\n".encode())


@asynccontextmanager
async def supervised(
    environ: Mapping[str, str] = os.environ, *, parent: Parent | None = None
) -> AsyncGenerator[Supervisor]:
    """Return the supervisor of this process, and report that the event loop is alive until the block ends."""
    address = environ.get("NOTIFY_SOCKET") or None
    supervisor = parent or Supervisor(address if address is None or address[0] in "@/" else None)
    interval_s = watchdog_interval_s(environ) if parent is None else parent.interval_s
    if interval_s is None:
        yield supervisor
        return
    task = asyncio.create_task(_report_alive(supervisor, interval_s), name="watchdog")
    try:
        yield supervisor
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    """Return the time between two reports, half of the limit; None if no reports are expected from this process."""
    limit = environ.get("WATCHDOG_USEC", "")
    # The one-file program unpacks itself in the process that systemd knows, and runs in its child.
    owners = {"", str(os.getpid()), str(os.getppid())}
    if not limit.isdecimal() or int(limit) == 0 or environ.get("WATCHDOG_PID", "") not in owners:
        return None
    return int(limit) / 2_000_000


async def _report_alive(supervisor: Supervisor, interval_s: float) -> None:
    while True:
        supervisor.alive()
        await asyncio.sleep(interval_s)
