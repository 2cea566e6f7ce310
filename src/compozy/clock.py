"""The only module that reads the clock, so that tests can control it and replays never depend on it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the current time in whole milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back, for durations and deadlines."""
    return time.monotonic()


def format_time(milliseconds: int | None) -> str | None:
    """Format a time as RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
