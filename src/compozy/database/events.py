"""Rows of `execution_events`: the log of a run, written in the transactions that change the run.

The events of a run are numbered from 1 without a gap, in the order of their commits, because the row of the run is
locked before an event is written. A reader that remembers the last number therefore misses nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.changes import note_change
from compozy.database.status import Status
from compozy.database.tables import execution_events, workflow_states

WORKFLOW_STATUS = "workflow_status"
TASK_STATUS = "task_status"
TOOL_CALL = "tool_call"
SIGNAL = "signal"
BUDGET = "budget"
KINDS = (WORKFLOW_STATUS, TASK_STATUS, TOOL_CALL, SIGNAL, BUDGET)

# Characters of an error's message, and of every other text: an event refers to the run, it does not repeat it.
_TEXT_MAX = 500

_NEXT_SEQ = (
    sa.select(sa.func.coalesce(sa.func.max(execution_events.c.seq), sa.literal_column("0")) + sa.literal_column("1"))
    .where(execution_events.c.execution_id == sa.bindparam("execution_id"))
    .scalar_subquery()
)
# Inline: the number of the event is not needed, so it is not returned.
_APPEND = (
    sa.insert(execution_events)
    .inline()
    .values(
        execution_id=sa.bindparam("execution_id"),
        seq=_NEXT_SEQ,
        kind=sa.bindparam("kind"),
        path=sa.bindparam("path"),
        data=sa.bindparam("data"),
        created_ms=sa.bindparam("created_ms"),
    )
)
# Several events are one statement, whose rows do not see each other: they come with their numbers.
_APPEND_NUMBERED = sa.insert(execution_events).inline()
# The last number of each run is found without reading the others, unlike with GROUP BY.
_LAST_NUMBER = (
    sa.select(sa.func.max(execution_events.c.seq))
    .where(execution_events.c.execution_id == workflow_states.c.workflow_exec_id)
    .scalar_subquery()
)
_LAST_NUMBERS = sa.select(workflow_states.c.workflow_exec_id, _LAST_NUMBER.label("last")).where(
    workflow_states.c.workflow_exec_id.in_(sa.bindparam("ids", expanding=True))
)
# Where a connection keeps the events of its transaction until the commit.
_COLLECTED = "compozy_events"
# Positions in one query.
_POSITIONS_MAX = 64

Position = tuple[str, int]
"""A run, and the number of the last known event of its log."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a run, as stored. `path` is the path of the task, None for events of the whole run."""

    execution_id: str
    seq: int
    kind: str
    path: str | None
    data: dict[str, Any]
    created_ms: int


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event to be stored; see `Event`."""

    kind: str
    data: Mapping[str, Any]
    path: str | None = None


def append_events(connection: sa.Connection, execution_id: str, events: Sequence[NewEvent]) -> None:
    """Add events to the log of a run whose row this transaction has locked, changed or inserted.

    They are stored when the transaction ends (see `collect_events`): it does not read them.
    """
    if not events:
        return
    now = now_ms()
    rows = [
        {
            "execution_id": execution_id,
            "kind": event.kind,
            "path": event.path,
            "data": {name: _shortened(value) for name, value in event.data.items() if value is not None},
            "created_ms": now,
        }
        for event in events
    ]
    collected = connection.info.get(_COLLECTED)
    if collected is None:
        _store(connection, rows)
    else:
        collected.extend(rows)
    note_change(execution_id)


@contextmanager
def collect_events(connection: sa.Connection) -> Generator[None, None, None]:
    """Store the events of a transaction at its end, together: a statement for each costs three times more."""
    rows: list[dict[str, Any]] = []
    # A connection that is lost meanwhile does not have it any more.
    info = connection.info
    info[_COLLECTED] = rows
    try:
        yield
        if rows:
            _store(connection, rows)
    finally:
        info.pop(_COLLECTED, None)


def _store(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if len(rows) == 1:
        connection.execute(_APPEND, rows[0])
        return
    last = list_last_numbers(connection, {row["execution_id"] for row in rows})
    numbered: list[dict[str, Any]] = []
    for row in rows:
        last[row["execution_id"]] += 1
        numbered.append({**row, "seq": last[row["execution_id"]]})
    connection.execute(_APPEND_NUMBERED, numbered)


def append_run_status(
    connection: sa.Connection,
    execution_id: str,
    status: Status,
    *,
    error: Mapping[str, Any] | None = None,
    resumed: bool | None = None,
    cost: Mapping[str, Any] | None = None,
) -> None:
    """Log the status of a run; `resumed` if a process continues what another one began, `cost` at its end."""
    data = {"status": status.value, "error": brief_error(error), "resumed": resumed, **(cost or {})}
    append_events(connection, execution_id, [NewEvent(kind=WORKFLOW_STATUS, data=data)])


def append_task_status(connection: sa.Connection, task_exec_id: str, status: Status, **data: Any) -> None:
    """Log the status of a task, with further `data`; values that are None are left out."""
    execution_id, event = task_event(task_exec_id, status, **data)
    append_events(connection, execution_id, [event])


def task_event(task_exec_id: str, status: Status, **data: Any) -> tuple[str, NewEvent]:
    """Return the run of a task, and the event with its status."""
    execution_id, _, path = task_exec_id.partition("/")
    return execution_id, NewEvent(kind=TASK_STATUS, path=path, data={"status": status.value, **data})


def brief_error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what an event says about an error: its code and the start of its message."""
    if error is None:
        return None
    return {name: error[name] for name in ("code", "message") if name in error}


def list_events(connection: sa.Connection, execution_id: str, *, after: int, limit: int) -> list[Event]:
    """Return the events of a run with numbers above `after`, the oldest first, at most `limit`."""
    query = (
        sa.select(execution_events)
        .where(execution_events.c.execution_id == execution_id, execution_events.c.seq > after)
        .order_by(execution_events.c.seq)
        .limit(limit)
    )
    return [Event(**dict(row)) for row in connection.execute(query).mappings()]


def list_new_events(
    connection: sa.Connection, positions: Iterable[Position], *, limit: int
) -> dict[Position, list[Event]]:
    """Return the events after each position, the oldest first, at most `limit` for each, with one query for many."""
    wanted = list(dict.fromkeys(positions))
    found: dict[Position, list[Event]] = {}
    for start in range(0, len(wanted), _POSITIONS_MAX):
        part = wanted[start : start + _POSITIONS_MAX]
        events: defaultdict[str, list[Event]] = defaultdict(list)
        for row in connection.execute(_after_positions(_rounded_up(len(part))), _bounds(part, limit)).mappings():
            events[row["execution_id"]].append(Event(**dict(row)))
        for execution_id, after in part:
            page = (event for event in events[execution_id] if after < event.seq <= after + limit)
            found[execution_id, after] = list(page)
    return found


@cache
def _after_positions(count: int) -> sa.Select[Any]:
    """Return the query for events after `count` positions. It is built once: that takes longer than executing it."""
    events = execution_events.c
    ranges = (
        sa.and_(
            events.execution_id == sa.bindparam(f"run_{number}"),
            events.seq > sa.bindparam(f"after_{number}"),
            events.seq <= sa.bindparam(f"to_{number}"),
        )
        for number in range(count)
    )
    return sa.select(execution_events).where(sa.or_(*ranges)).order_by(events.seq)


def _bounds(positions: Sequence[Position], limit: int) -> dict[str, str | int]:
    """Return the parameters of the query; the last position stands for those that round the number up."""
    bounds: dict[str, str | int] = {}
    for number in range(_rounded_up(len(positions))):
        execution_id, after = positions[min(number, len(positions) - 1)]
        # A log has no gaps, so that a number of events is a range of numbers.
        bounds |= {f"run_{number}": execution_id, f"after_{number}": after, f"to_{number}": after + limit}
    return bounds


def _rounded_up(count: int) -> int:
    return 1 << (count - 1).bit_length()


def list_last_numbers(connection: sa.Connection, execution_ids: Iterable[str]) -> dict[str, int]:
    """Return the number of the last event of each run that exists, 0 if it has none."""
    rows = connection.execute(_LAST_NUMBERS, {"ids": list(execution_ids)})
    return {row.workflow_exec_id: row.last or 0 for row in rows}


def count_run_states(connection: sa.Connection, execution_id: str) -> int:
    """Return how many states of a run are logged; the number grows when another process resumes the run."""
    query = sa.select(sa.func.count()).where(
        execution_events.c.execution_id == execution_id, execution_events.c.kind == WORKFLOW_STATUS
    )
    return connection.execute(query).scalar_one()


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _TEXT_MAX else f"{value[:_TEXT_MAX]}..."
    if isinstance(value, dict):
        return {name: _shortened(below) for name, below in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
