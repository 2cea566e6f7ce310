"""Rows of `schedules`: where each schedule of the project stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.status import Status
from compozy.database.tables import schedules, workflow_states


@dataclass(frozen=True, kw_only=True)
class StoredSchedule:
    """One row. Times are milliseconds since 1970 UTC; `changes` is None if nothing differs from the file."""

    schedule_id: str
    workflow_id: str
    spec: dict[str, Any]
    spec_hash: str
    changes: dict[str, Any] | None
    tick_ms: int | None
    next_ms: int | None
    buffered_ms: int | None
    open_runs: list[str]
    last_tick_ms: int | None
    last_execution_id: str | None
    fired: int
    skipped: dict[str, int]
    last_skip: dict[str, Any] | None
    created_ms: int
    updated_ms: int


def list_schedules(connection: sa.Connection) -> list[StoredSchedule]:
    """Return all schedules, ordered by ID."""
    query = sa.select(schedules).order_by(schedules.c.schedule_id)
    return [StoredSchedule(**dict(row)) for row in connection.execute(query).mappings()]


def get_schedule(connection: sa.Connection, schedule_id: str) -> StoredSchedule | None:
    """Return one schedule, None if it does not exist."""
    row = connection.execute(_one(schedule_id)).mappings().first()
    return None if row is None else StoredSchedule(**dict(row))


def lock_schedule(connection: sa.Connection, schedule_id: str, *, skip_locked: bool = False) -> StoredSchedule | None:
    """Lock one schedule until the end of this transaction and return it.

    None if it does not exist, or with `skip_locked` if another transaction has locked it.
    """
    query = _one(schedule_id).with_for_update(skip_locked=skip_locked)
    row = connection.execute(query).mappings().first()
    return None if row is None else StoredSchedule(**dict(row))


def insert_schedule(connection: sa.Connection, schedule_id: str, *, workflow_id: str, **values: Any) -> None:
    """Store a schedule that is new in the files; `values` are its `spec`, `spec_hash`, `tick_ms` and `next_ms`."""
    now = now_ms()
    row: dict[str, Any] = {
        "schedule_id": schedule_id,
        "workflow_id": workflow_id,
        "open_runs": [],
        "fired": 0,
        "skipped": {},
        "created_ms": now,
        "updated_ms": now,
        **values,
    }
    connection.execute(sa.insert(schedules).values(row))


def update_schedule(connection: sa.Connection, schedule_id: str, **values: Any) -> None:
    """Change columns of a schedule that this transaction has locked."""
    change = sa.update(schedules).where(schedules.c.schedule_id == schedule_id)
    connection.execute(change.values(updated_ms=now_ms(), **values))


def delete_schedules(connection: sa.Connection, schedule_ids: Collection[str]) -> None:
    """Delete schedules that the files no longer have."""
    connection.execute(sa.delete(schedules).where(schedules.c.schedule_id.in_(schedule_ids)))


def read_statuses(connection: sa.Connection, run_ids: Collection[str]) -> dict[str, Status]:
    """Return the states of the runs that exist."""
    if not run_ids:
        return {}
    run_id = workflow_states.c.workflow_exec_id
    query = sa.select(run_id, workflow_states.c.status).where(run_id.in_(run_ids))
    return {found: Status(status) for found, status in connection.execute(query)}


def _one(schedule_id: str) -> sa.Select[Any]:
    return sa.select(schedules).where(schedules.c.schedule_id == schedule_id)
