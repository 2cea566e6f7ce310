"""The load of a database as metrics show it: its unfinished runs, its processes, its statements and connections."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from compozy.clock import monotonic_s, now_ms
from compozy.database.executors import list_live_executors
from compozy.database.status import OPEN, Status
from compozy.database.tables import workflow_states
from compozy.telemetry.metrics import DATABASE_QUERIES

_DRIVERS = {"postgresql": "postgres"}
_BEGAN = "compozy_began_s"


@dataclass(frozen=True, kw_only=True)
class Load:
    """Unfinished runs by state, the processes that execute runs, and the age of the oldest run without a slot."""

    open: dict[Status, int]
    executors: int
    oldest_pending_s: float


def read_load(connection: sa.Connection) -> Load:
    """Return the load of the database."""
    query = (
        sa.select(workflow_states.c.status, sa.func.count(), sa.func.min(workflow_states.c.created_ms))
        .where(workflow_states.c.status.in_(OPEN))
        .group_by(workflow_states.c.status)
    )
    rows = {Status(status): (int(count), int(oldest_ms)) for status, count, oldest_ms in connection.execute(query)}
    _, oldest_ms = rows.get(Status.PENDING, (0, now_ms()))
    return Load(
        open={status: rows.get(status, (0, 0))[0] for status in OPEN},
        executors=len(list_live_executors(connection)),
        oldest_pending_s=max(0, now_ms() - oldest_ms) / 1000,
    )


def count_foreign_formats(connection: sa.Connection, *, journal_format: int) -> dict[int, int]:
    """Return how many unfinished runs have another journal format, by that format."""
    formats = workflow_states.c.journal_format
    query = (
        sa.select(formats, sa.func.count())
        .where(workflow_states.c.status.in_(OPEN), formats != journal_format)
        .group_by(formats)
        .order_by(formats)
    )
    return {int(other): int(count) for other, count in connection.execute(query)}


def count_connections(*engines: sa.Engine) -> int:
    """Return how many connections of these engines are in use."""
    pools = {id(engine.pool): engine.pool for engine in engines}
    # A database in memory has one connection, which no pool counts.
    counts = (getattr(pool, "checkedout", None) for pool in pools.values())
    return sum(count() for count in counts if count is not None)


@contextmanager
def timing_queries() -> Generator[None, None, None]:
    """Measure each statement of every engine of this process until the block ends."""

    def before(connection: sa.Connection, *_: Any) -> None:
        connection.info[_BEGAN] = monotonic_s()

    def after(connection: sa.Connection, *_: Any) -> None:
        began_s = connection.info.pop(_BEGAN, None)
        if began_s is not None:
            name = connection.dialect.name
            DATABASE_QUERIES.observe(monotonic_s() - began_s, driver=_DRIVERS.get(name, name))

    listeners = (("before_cursor_execute", before), ("after_cursor_execute", after))
    for name, listener in listeners:
        event.listen(sa.Engine, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners:
            event.remove(sa.Engine, name, listener)
