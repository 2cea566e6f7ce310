"""What is asked of runs that others execute, and what their executors tell of them: pause, cancel, lay aside, resume.

Every change is made on a row that is locked first, so that two who want different things come one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.executions import Execution, describe_end, finish_execution, lock_execution, release_run
from compozy.database.status import OPEN, Status, may_follow
from compozy.database.tables import is_one_of, signals, workflow_states
from compozy.database.tasks import end_open_tasks
from compozy.database.usage import sum_usage
from compozy.errors import ConflictError

_THIS = workflow_states.c.workflow_exec_id == sa.bindparam("_id")
_MINE = workflow_states.c.owner == sa.bindparam("_owner")
# The row stays locked to the end of the transaction: of branches that end at once, one records after the other.
_HOLD = (
    sa.select(workflow_states.c.workflow_exec_id)
    .where(_THIS, _MINE, is_one_of(workflow_states.c.status, OPEN))
    .with_for_update()
)


def holds_run(connection: sa.Connection, workflow_exec_id: str, owner: str) -> bool:
    """Return whether `owner` may write to the run: it is open, and nobody else took it over."""
    return connection.execute(_HOLD, {"_id": workflow_exec_id, "_owner": owner}).first() is not None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the executor of a run is asked for: PAUSED, or CANCELED with the error that says why."""

    status: Status
    error: dict[str, Any] | None


def list_requests(connection: sa.Connection, owner: str) -> dict[str, Request]:
    """Return the runs of `owner` that it is asked to bring to another state, and to which."""
    query = sa.select(workflow_states.c.workflow_exec_id, workflow_states.c.requested, workflow_states.c.error).where(
        workflow_states.c.owner == owner, workflow_states.c.requested.is_not(None)
    )
    return {
        run_id: Request(status=Status(requested), error=error) for run_id, requested, error in connection.execute(query)
    }


def mark_run(connection: sa.Connection, workflow_exec_id: str, owner: str, status: Status) -> None:
    """Store that a run of `owner` waits, or that it goes on: WAITING or RUNNING."""
    before = Status.RUNNING if status is Status.WAITING else Status.WAITING
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id, workflow_states.c.owner == owner)
        .where(workflow_states.c.status == before)
        .values(status=status, updated_ms=now_ms())
    )


def lay_aside(
    connection: sa.Connection, workflow_exec_id: str, owner: str, *, wake_ms: int | None, names: Collection[str]
) -> None:
    """Give up a run that waits, until `wake_ms` or until one of the signals `names` comes; one may be there by now."""
    if not holds_run(connection, workflow_exec_id, owner):
        return
    # Asked after the lock: whoever sends a signal changes the row of the run as well.
    arrived = connection.execute(
        sa.select(sa.literal(1))
        .where(signals.c.workflow_exec_id == workflow_exec_id, signals.c.taken_by.is_(None))
        .where(signals.c.name.in_(names))
        .limit(1)
    ).first()
    run = lock_execution(connection, workflow_exec_id)
    # Far away where only a signal wakes it: without a time it would be taken up at once.
    wake_ms = min(time for time in (wake_ms, run.deadline_ms, _NEVER_MS) if time is not None)
    if arrived or run.requested is not None:
        # Whoever takes it up does as it was asked.
        wake_ms = now_ms()
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .values(status=Status.WAITING, owner=None, updated_ms=now_ms(), wake_ms=wake_ms)
    )


def pause_held(connection: sa.Connection, workflow_exec_id: str, owner: str) -> None:
    """Store that a run of `owner` has come to a halt, as it was asked to; meanwhile it may be asked otherwise."""
    if not holds_run(connection, workflow_exec_id, owner):
        return
    run = lock_execution(connection, workflow_exec_id)
    if run.requested is Status.CANCELED:
        _cancel(connection, workflow_exec_id, run.error)
    elif run.requested is Status.PAUSED:
        _pause(connection, workflow_exec_id)
    else:
        # Resumed before it stood still: it goes on with whoever takes it next.
        release_run(connection, workflow_exec_id, owner)


def wake_run(connection: sa.Connection, workflow_exec_id: str) -> None:
    """Let a run that was laid aside be taken up at once."""
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id, workflow_states.c.status == Status.WAITING)
        .values(wake_ms=now_ms())
    )


def ask_to_pause(connection: sa.Connection, workflow_exec_id: str) -> Execution:
    """Pause a run that nobody executes, or ask its executor to; return it as it is then.

    Raises:
        NotFoundError: there is none of this id.
        ConflictError: it has ended.
    """
    run = lock_execution(connection, workflow_exec_id)
    if run.status is not Status.PAUSED:
        if not may_follow(run.status, Status.PAUSED):
            raise _ended(run, "paused")
        if run.owner is None:
            _pause(connection, workflow_exec_id)
        elif run.requested is not Status.CANCELED:
            _request(connection, workflow_exec_id, Status.PAUSED)
    return lock_execution(connection, workflow_exec_id)


def ask_to_cancel(connection: sa.Connection, workflow_exec_id: str, error: dict[str, Any]) -> Execution:
    """Cancel a run that nobody executes, or ask its executor to; return it as it is then.

    Raises:
        NotFoundError: there is none of this id.
        ConflictError: it has ended otherwise.
    """
    run = lock_execution(connection, workflow_exec_id)
    if run.status is not Status.CANCELED:
        if not may_follow(run.status, Status.CANCELED):
            raise _ended(run, "canceled")
        if run.owner is None:
            _cancel(connection, workflow_exec_id, error)
        else:
            _request(connection, workflow_exec_id, Status.CANCELED, error)
    return lock_execution(connection, workflow_exec_id)


def resume_run(connection: sa.Connection, workflow_exec_id: str) -> Execution:
    """Let a paused run go on, as soon as a process has a place for it; return it as it is then.

    Raises:
        NotFoundError: there is none of this id.
        ConflictError: it is not paused.
    """
    run = lock_execution(connection, workflow_exec_id)
    if run.status is Status.PAUSED:
        status = Status.PENDING if run.started_ms is None else Status.RUNNING
        values: dict[str, Any] = {"status": status, "wake_ms": None}
    elif run.requested is Status.PAUSED:
        values = {"requested": None}
    elif run.status.is_final:
        raise _ended(run, "resumed", hint="`compozy workflow rerun` begins it anew")
    else:
        raise ConflictError(f"execution {workflow_exec_id!r} is not paused: it is {run.status.value}")
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .values(updated_ms=now_ms(), **values)
    )
    return lock_execution(connection, workflow_exec_id)


# 9999-12-31, in milliseconds.
_NEVER_MS = 253_402_214_400_000


def _cancel(connection: sa.Connection, workflow_exec_id: str, error: dict[str, Any] | None) -> None:
    end_open_tasks(connection, workflow_exec_id, Status.CANCELED)
    usage = sum_usage(connection, workflow_exec_id) or None
    finish_execution(connection, workflow_exec_id, Status.CANCELED, error=error, usage=usage)


def _pause(connection: sa.Connection, workflow_exec_id: str) -> None:
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .values(status=Status.PAUSED, owner=None, requested=None, wake_ms=None, updated_ms=now_ms())
    )


def _request(
    connection: sa.Connection, workflow_exec_id: str, status: Status, error: dict[str, Any] | None = None
) -> None:
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .values(requested=status, error=error, updated_ms=now_ms())
    )


def _ended(run: Execution, what: str, *, hint: str = "") -> ConflictError:
    return ConflictError(
        f"execution {run.workflow_exec_id!r} cannot be {what}: {describe_end(run)}",
        hint="" if run.status is Status.MOVED else hint,
        details={"execution_id": run.workflow_exec_id, "status": run.status.value},
    )
