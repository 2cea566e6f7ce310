"""The only place that makes identifiers and random numbers."""

from __future__ import annotations

import os
import random

from compozy.clock import now_ms

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_execution_id() -> str:
    """Return a ULID: 26 characters that sort by creation time, 80 of their 130 bits random (github.com/ulid/spec)."""
    return _encode(now_ms(), 10) + _encode(int.from_bytes(os.urandom(10), "big"), 16)


def new_signal_id() -> str:
    """Return an id for a signal: a ULID, as for an execution."""
    return new_execution_id()


def new_database_id() -> str:
    """Return an id for a database: a ULID, as for an execution."""
    return new_execution_id()


def new_move_id() -> str:
    """Return an id for one move of runs from a database to another: a ULID, as for an execution."""
    return new_execution_id()


def new_executor_id() -> str:
    """Return an id for this process as an owner of runs; never repeated, so a lease never passes to a namesake."""
    return f"{os.getpid()}-{os.urandom(6).hex()}"


def jitter(seconds: float) -> float:
    """Return `seconds` changed by up to a fifth either way, so that retries of many do not fall together."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - it spreads load, it keeps no secret


def _encode(number: int, length: int) -> str:
    return "".join(_CROCKFORD[(number >> (5 * shift)) & 31] for shift in reversed(range(length)))
