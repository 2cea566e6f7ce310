"""Rows of `task_states`: one for each task of a run, written in the same transactions as the journal.

The key of a row is the run and the task's path in it: `01H.../load/fetch-2` is the third child of `load`. A replay
derives the same key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.events import append_events, append_task_status, brief_error, task_event
from compozy.database.status import OPEN, Status, sources_of
from compozy.database.tables import insert_if_new, is_one_of, task_states
from compozy.database.usage import shown_cost

# Built once, see executions.py.
_THIS = task_states.c.task_exec_id == sa.bindparam("_id")
_NEXT_POSITION = (
    sa.select(sa.func.coalesce(sa.func.max(task_states.c.position), -1) + 1)
    .where(task_states.c.workflow_exec_id == sa.bindparam("workflow_exec_id"))
    .scalar_subquery()
)
_INSERT = (
    insert_if_new(task_states)
    .values(
        position=_NEXT_POSITION,
        **{
            name: sa.bindparam(name)
            for name in (
                "task_exec_id",
                "workflow_exec_id",
                "workflow_id",
                "task_id",
                "execution_type",
                "status",
                "parent_state_id",
                "attempts",
                "created_ms",
                "started_ms",
                "updated_ms",
            )
        },
    )
    .returning(task_states.c.task_exec_id)
)
_BEGIN = (
    sa.update(task_states)
    .where(_THIS, task_states.c.status == Status.PENDING.value)
    .values(
        status=Status.RUNNING.value,
        attempts=1,
        started_ms=sa.bindparam("_now"),
        updated_ms=sa.bindparam("_now"),
    )
)
_STORE_USAGE = sa.update(task_states).where(_THIS).values(usage=sa.bindparam("_usage"), updated_ms=sa.bindparam("_now"))
_END_ALL = (
    sa.update(task_states)
    .where(task_states.c.workflow_exec_id == sa.bindparam("_run"), is_one_of(task_states.c.status, OPEN))
    .values(
        status=sa.bindparam("_status"),
        finished_ms=sa.bindparam("_now"),
        updated_ms=sa.bindparam("_now"),
    )
    .returning(task_states.c.position, task_states.c.task_exec_id)
)
_start_of_id = sa.func.substr(task_states.c.task_exec_id, 1, sa.bindparam("_length", type_=sa.Integer))
_END_BELOW = _END_ALL.where(sa.or_(_start_of_id == sa.bindparam("_inside"), _start_of_id == sa.bindparam("_again")))
_MAX_REFUSED = 5
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
    waits_for: str | None

    @property
    def path(self) -> str:
        """Return the task's path in its run, `load/fetch-2`."""
        return self.task_exec_id.removeprefix(f"{self.workflow_exec_id}/")


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task that starts, or is known to follow. `path` is its path in the run, `parent` its container's."""

    workflow_exec_id: str
    workflow_id: str
    path: str
    execution_type: str = "basic"
    parent: str | None = None

    @property
    def task_exec_id(self) -> str:
        """The key of its row; a replay derives the same one."""
        return task_key(self.workflow_exec_id, self.path)

    @property
    def task_id(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class TaskEnd:
    """How a task ended; the journal keeps it as JSON."""

    status: Status
    attempts: int
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    usage: list[dict[str, Any]] | None = None


def task_key(workflow_exec_id: str, path: str) -> str:
    """Return the row key of the task at `path`."""
    return f"{workflow_exec_id}/{path}"


def restore_task_end(stored: dict[str, Any]) -> TaskEnd:
    """Return the end that `dataclasses.asdict` stored; other recorded fields are ignored."""
    values: dict[str, Any] = {name: stored.get(name) for name in _END_COLUMNS}
    values["status"] = Status(stored["status"])
    return TaskEnd(**values)


def insert_task(connection: sa.Connection, new: NewTask, status: Status) -> bool:
    """Store a task that is RUNNING, or PENDING until it starts; False if its row exists, which is not changed."""
    row = _row(new, status, now_ms())
    if connection.execute(_INSERT, row).first() is None:
        return False
    append_task_status(connection, new.task_exec_id, status, **_begun(row))
    return True


def insert_pending_tasks(connection: sa.Connection, tasks: Sequence[NewTask]) -> None:
    """Store tasks of one run that start later, in this order."""
    if not tasks:
        return
    now = now_ms()
    rows = [_row(task, Status.PENDING, now) for task in tasks]
    first = connection.execute(sa.select(_NEXT_POSITION), rows[0]).scalar_one()
    inserted = connection.execute(
        insert_if_new(task_states).returning(task_states.c.task_exec_id),
        [{**row, "position": first + index} for index, row in enumerate(rows)],
    )
    new = set(inserted.scalars())
    events = [
        task_event(row["task_exec_id"], Status.PENDING, **_begun(row))[1] for row in rows if row["task_exec_id"] in new
    ]
    append_events(connection, tasks[0].workflow_exec_id, events)


def start_task(connection: sa.Connection, new: NewTask) -> None:
    """Mark a task as started, whether its row exists or not; a started task is not changed."""
    if not _begin(connection, new):
        insert_task(connection, new, Status.RUNNING)


def start_new_task(connection: sa.Connection, new: NewTask) -> None:
    """Do the same as `start_task`, with one statement less for a task without a row."""
    if not insert_task(connection, new, Status.RUNNING):
        _begin(connection, new)


def _begin(connection: sa.Connection, new: NewTask) -> bool:
    if connection.execute(_BEGIN, {"_id": new.task_exec_id, "_now": now_ms()}).rowcount == 0:
        return False
    append_task_status(connection, new.task_exec_id, Status.RUNNING, attempts=1)
    return True


def count_attempt(connection: sa.Connection, task_exec_id: str, attempts: int) -> None:
    """Store that a task is in its `attempts`-th attempt."""
    change = sa.update(task_states).where(task_states.c.task_exec_id == task_exec_id)
    counted = change.values(attempts=attempts, updated_ms=now_ms()).returning(task_states.c.status)
    for status in connection.execute(counted).scalars().all():
        append_task_status(connection, task_exec_id, Status(status), attempts=attempts)


def wait_in_task(connection: sa.Connection, task_exec_id: str, *, waits_for: str, output: Any) -> None:
    """Store that a task waits for the signal `waits_for`; `output` describes the request."""
    changed = connection.execute(
        sa.update(task_states)
        .where(task_states.c.task_exec_id == task_exec_id)
        .where(is_one_of(task_states.c.status, sources_of(Status.WAITING)))
        .values(status=Status.WAITING, waits_for=waits_for, output=output, updated_ms=now_ms())
    )
    if changed.rowcount:
        append_task_status(connection, task_exec_id, Status.WAITING, waits_for=waits_for)


def note_refused(connection: sa.Connection, task_exec_id: str, refused: dict[str, Any]) -> None:
    """Add a signal that a waiting task refused to its output, under `refused`, which keeps the last few."""
    this = task_states.c.task_exec_id == task_exec_id
    output: dict[str, Any] = connection.execute(sa.select(task_states.c.output).where(this)).scalar_one() or {}
    output["refused_count"] = output.get("refused_count", len(output.get("refused", ()))) + 1
    output["refused"] = [*output.get("refused", ()), refused][-_MAX_REFUSED:]
    connection.execute(sa.update(task_states).where(this).values(output=output, updated_ms=now_ms()))


def note_declined(connection: sa.Connection, task_exec_id: str, declined: int) -> None:
    """Store how many answers the condition of a waiting task has declined so far."""
    this = sa.and_(task_states.c.task_exec_id == task_exec_id, task_states.c.status == Status.WAITING)
    output: dict[str, Any] | None = connection.execute(sa.select(task_states.c.output).where(this)).scalar_one_or_none()
    if output is not None:
        values = {"output": {**output, "declined": declined}, "updated_ms": now_ms()}
        connection.execute(sa.update(task_states).where(this).values(values))


def store_input(connection: sa.Connection, task_exec_id: str, shown: Mapping[str, Any]) -> None:
    """Store the input of a task without a recorded end."""
    change = sa.update(task_states).where(task_states.c.task_exec_id == task_exec_id)
    connection.execute(change.values(input=shown))


def store_usage(connection: sa.Connection, task_exec_id: str, usage: list[dict[str, Any]]) -> None:
    """Store a task's usage so far; it is kept if the task is canceled."""
    connection.execute(_STORE_USAGE, {"_id": task_exec_id, "_usage": usage, "_now": now_ms()})


def finish_task(connection: sa.Connection, task_exec_id: str, end: TaskEnd) -> bool:
    """Store the end of a task; False if it had already ended."""
    now = now_ms()
    values = {f"_{column}": getattr(end, column) for column in _END_COLUMNS}
    if connection.execute(_finish(end.status), {"_id": task_exec_id, "_now": now, **values}).rowcount != 1:
        return False
    about = {"attempts": end.attempts, "error": brief_error(end.error), **shown_cost(end.usage or ())}
    append_task_status(connection, task_exec_id, end.status, **about)
    return True


def end_open_tasks(connection: sa.Connection, workflow_exec_id: str, status: Status) -> None:
    """End the open tasks of a run that ends: CANCELED or TIMED_OUT."""
    _end_open(connection, _END_ALL, workflow_exec_id, status)


def end_open_below(connection: sa.Connection, workflow_exec_id: str, path: str) -> None:
    """Cancel the open tasks in the container at `path`, which ends."""
    # Further attempts of a container have its path followed by a number.
    inside, again = (task_key(workflow_exec_id, f"{path}{mark}") for mark in "/@")
    _end_open(
        connection, _END_BELOW, workflow_exec_id, Status.CANCELED, _length=len(inside), _inside=inside, _again=again
    )


def list_waiting_tasks(connection: sa.Connection, workflow_exec_id: str) -> list[TaskState]:
    """Return the tasks of a run that wait for a signal, in start order."""
    query = (
        sa.select(task_states)
        .where(task_states.c.workflow_exec_id == workflow_exec_id)
        .where(task_states.c.status == Status.WAITING)
        .order_by(task_states.c.position)
    )
    return [_task_state(row) for row in connection.execute(query).mappings()]


def list_tasks(connection: sa.Connection, workflow_exec_id: str) -> list[TaskState]:
    """Return the tasks of a run in start order."""
    query = (
        sa.select(task_states)
        .where(task_states.c.workflow_exec_id == workflow_exec_id)
        .order_by(task_states.c.position)
    )
    return [_task_state(row) for row in connection.execute(query).mappings()]


def _end_open(
    connection: sa.Connection, statement: sa.Executable, workflow_exec_id: str, status: Status, **which: Any
) -> None:
    values = {"_run": workflow_exec_id, "_status": status.value, "_now": now_ms()}
    ended = connection.execute(statement, {**values, **which})
    keys = [key for _, key in sorted(tuple(row) for row in ended)]
    append_events(connection, workflow_exec_id, [task_event(key, status)[1] for key in keys])


@cache
def _finish(status: Status) -> sa.Update:
    now: sa.BindParameter[int] = sa.bindparam("_now")
    return (
        sa.update(task_states)
        .where(_THIS)
        .where(is_one_of(task_states.c.status, sources_of(status)))
        .values(
            **{column: sa.bindparam(f"_{column}") for column in _END_COLUMNS},
            started_ms=sa.func.coalesce(task_states.c.started_ms, now),
            finished_ms=now,
            updated_ms=now,
        )
    )


def _row(new: NewTask, status: Status, now: int) -> dict[str, Any]:
    is_running = status is Status.RUNNING
    return {
        "task_exec_id": new.task_exec_id,
        "workflow_exec_id": new.workflow_exec_id,
        "workflow_id": new.workflow_id,
        "task_id": new.task_id,
        "execution_type": new.execution_type,
        "status": status,
        "parent_state_id": None if new.parent is None else task_key(new.workflow_exec_id, new.parent),
        "attempts": 1 if is_running else 0,
        "created_ms": now,
        "started_ms": now if is_running else None,
        "updated_ms": now,
    }


def _begun(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": row["execution_type"], "attempts": row["attempts"]}


def _task_state(row: sa.RowMapping) -> TaskState:
    values: dict[str, Any] = dict(row)
    values["status"] = Status(values["status"])
    return TaskState(**values)
