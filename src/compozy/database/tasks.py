"""Rows of `task_states`: one for each task of a run, written in the same transactions as the journal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.status import OPEN, Status, sources_of
from compozy.database.tables import is_one_of, task_states

# Built once, see executions.py.
_INSERT = sa.insert(task_states)
_END_COLUMNS = ("status", "attempts", "input", "output", "error", "usage")


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """One task of one run, as stored. Times are milliseconds since 1970 UTC."""

    task_exec_id: str
    workflow_exec_id: str
    workflow_id: str
    task_id: str
    position: int
    execution_type: str
    status: Status
    parent_state_id: str | None
    attempts: int
    input: Any
    output: Any
    error: dict[str, Any] | None
    usage: list[dict[str, Any]] | None
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    updated_ms: int


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task that begins. `position` counts the tasks of the run from 0."""

    workflow_exec_id: str
    workflow_id: str
    task_id: str
    position: int
    execution_type: str = "basic"

    @property
    def task_exec_id(self) -> str:
        """The key of its row; a replay derives the same one."""
        return f"{self.workflow_exec_id}/{self.position}"


@dataclass(frozen=True, kw_only=True)
class TaskEnd:
    """How a task ended; as JSON, what the journal keeps of it."""

    status: Status
    attempts: int
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    usage: list[dict[str, Any]] | None = None


def restore_task_end(stored: dict[str, Any]) -> TaskEnd:
    """Return the end that `dataclasses.asdict` made JSON of."""
    values = dict(stored)
    values["status"] = Status(values["status"])
    return TaskEnd(**values)


def insert_task(connection: sa.Connection, new: NewTask, status: Status) -> None:
    """Store a task that is RUNNING, or PENDING while its run waits for a process."""
    now = now_ms()
    values: dict[str, Any] = {
        "task_exec_id": new.task_exec_id,
        "workflow_exec_id": new.workflow_exec_id,
        "workflow_id": new.workflow_id,
        "task_id": new.task_id,
        "position": new.position,
        "execution_type": new.execution_type,
        "status": status,
        "attempts": 1 if status is Status.RUNNING else 0,
        "created_ms": now,
        "started_ms": now if status == Status.RUNNING else None,
        "updated_ms": now,
    }
    connection.execute(_INSERT, values)


def finish_task(connection: sa.Connection, task_exec_id: str, end: TaskEnd) -> bool:
    """Write the end of a task; False when it had already ended."""
    now = now_ms()
    values = {f"_{column}": getattr(end, column) for column in _END_COLUMNS}
    return connection.execute(_finish(end.status), {"_id": task_exec_id, "_now": now, **values}).rowcount == 1


def end_open_tasks(connection: sa.Connection, workflow_exec_id: str, status: Status) -> None:
    """End what was still open in a run that ends: CANCELED or TIMED_OUT."""
    now = now_ms()
    connection.execute(
        sa.update(task_states)
        .where(task_states.c.workflow_exec_id == workflow_exec_id)
        .where(task_states.c.status.in_(OPEN))
        .values(status=status, finished_ms=now, updated_ms=now)
    )


def list_tasks(connection: sa.Connection, workflow_exec_id: str) -> list[TaskState]:
    """Return the tasks of a run in the order in which they began."""
    query = (
        sa.select(task_states)
        .where(task_states.c.workflow_exec_id == workflow_exec_id)
        .order_by(task_states.c.position)
    )
    return [_task_state(row) for row in connection.execute(query).mappings()]


@cache
def _finish(status: Status) -> sa.Update:
    now: sa.BindParameter[int] = sa.bindparam("_now")
    return (
        sa.update(task_states)
        .where(task_states.c.task_exec_id == sa.bindparam("_id"))
        .where(is_one_of(task_states.c.status, sources_of(status)))
        .values(
            **{column: sa.bindparam(f"_{column}") for column in _END_COLUMNS},
            started_ms=sa.func.coalesce(task_states.c.started_ms, now),
            finished_ms=now,
            updated_ms=now,
        )
    )


def _task_state(row: sa.RowMapping) -> TaskState:
    values: dict[str, Any] = dict(row)
    values["status"] = Status(values["status"])
    return TaskState(**values)
