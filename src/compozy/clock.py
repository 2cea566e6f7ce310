"""The only module that reads the clock, so that tests can control it and replays never depend on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the current time in whole milliseconds since 1970-01-01 UTC; of the virtual clock where one is set."""
    virtual = _virtual.get()
    return time.time_ns() // 1_000_000 if virtual is None else virtual.time_ms


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back, for durations and deadlines."""
    return time.monotonic()


def processor_s() -> float:
    """Return the seconds of processor time that this thread has used."""
    return time.thread_time()


def format_time(milliseconds: int | None) -> str | None:
    """Format a time as RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class VirtualClock:
    """The time of one run in a test. It stands still until `advance` moves it to the next alarm.

    Args:
        time_ms: the time at the start, in milliseconds since 1970.
        on_idle: called when everything in the run waits.
    """

    def __init__(self, time_ms: int, on_idle: Callable[[], None]) -> None:
        self.time_ms = time_ms
        self.on_idle = on_idle
        self._alarms: dict[object, tuple[int, Callable[[], None]]] = {}

    @contextmanager
    def alarm(self, at_ms: int, ring: Callable[[], None]) -> Generator[None]:
        """Call `ring` if the clock comes to `at_ms` inside the block."""
        key = object()
        self._alarms[key] = (at_ms, ring)
        try:
            yield
        finally:
            self._alarms.pop(key, None)

    def advance(self) -> bool:
        """Move to the earliest alarm and ring all that are due; False if there is none."""
        if not self._alarms:
            return False
        self.time_ms = max(self.time_ms, min(at_ms for at_ms, _ in self._alarms.values()))
        for key, (at_ms, ring) in list(self._alarms.items()):
            if at_ms <= self.time_ms:
                self._alarms.pop(key, None)
                ring()
        return True


def stopped_clock() -> VirtualClock:
    """Return a clock that stands at the present time."""
    return VirtualClock(now_ms(), lambda: None)


_virtual: ContextVar[VirtualClock | None] = ContextVar("compozy_virtual_clock", default=None)


def virtual_clock() -> VirtualClock | None:
    """Return the virtual clock of this run, None if it has none."""
    return _virtual.get()


@contextmanager
def by_clock(clock: VirtualClock | None) -> Generator[None]:
    """Read the time from `clock` inside the block, and in all tasks that start in it; None is the real time."""
    token = _virtual.set(clock)
    try:
        yield
    finally:
        _virtual.reset(token)
