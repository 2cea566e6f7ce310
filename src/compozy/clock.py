"""The only place that reads the time of day, so that tests can hold it and replays never depend on it."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return the time of day in whole milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back, for measuring durations and deadlines."""
    return time.monotonic()
