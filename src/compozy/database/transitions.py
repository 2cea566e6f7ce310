"""State transitions of runs that other processes execute: pause, cancel, suspend, resume.

Every change locks the row first, so that concurrent requests are applied one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.events import append_run_status
from compozy.database.executions import Execution, describe_end, finish_execution, lock_execution, release_run
from compozy.database.status import OPEN, Status, may_follow
from compozy.database.tables import is_one_of, signals, workflow_states
from compozy.database.tasks import end_open_tasks
from compozy.database.usage import sum_usage
from compozy.errors import ConflictError

_THIS = workflow_states.c.workflow_exec_id == sa.bindparam("_id")
_MINE = workflow_states.c.owner == sa.bindparam("_owner")
# Selects a run that a process may write to, by `_id` and `_owner`. The row stays locked until the transaction ends:
# branches that end concurrently record one after the other.
HOLD_RUN = (
    sa.select(workflow_states.c.workflow_exec_id)
    .where(_THIS, _MINE, is_one_of(workflow_states.c.status, OPEN))
    .with_for_update(of=workflow_states)
)


def holds_run(connection: sa.Connection, workflow_exec_id: str, owner: str) -> bool:
    """Return whether `owner` may write to the run: it is open, and no other process has claimed it."""
    return connection.execute(HOLD_RUN, {"_id": workflow_exec_id, "_owner": owner}).first() is not None


@dataclass(frozen=True, kw_only=True)
class PendingTransition:
    """The state requested from a run's executor: PAUSED, or CANCELED with the error that says why."""

    status: Status
    error: dict[str, Any] | None


def list_pending_transitions(connection: sa.Connection, owner: str) -> dict[str, PendingTransition]:
    """Return the pending transitions of the runs of `owner`, by run ID."""
    query = sa.select(workflow_states.c.workflow_exec_id, workflow_states.c.requested, workflow_states.c.error).where(
        workflow_states.c.owner == owner, workflow_states.c.requested.is_not(None)
    )
    return {
        run_id: PendingTransition(status=Status(requested), error=error)
        for run_id, requested, error in connection.execute(query)
    }


def mark_run(connection: sa.Connection, workflow_exec_id: str, owner: str, status: Status) -> None:
    """Store that a run of `owner` waits or continues: WAITING or RUNNING."""
    before = Status.RUNNING if status is Status.WAITING else Status.WAITING
    changed = connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id, workflow_states.c.owner == owner)
        .where(workflow_states.c.status == before)
        .values(status=status, updated_ms=now_ms())
    )
    if changed.rowcount:
        append_run_status(connection, workflow_exec_id, status)


def suspend_run(
    connection: sa.Connection, workflow_exec_id: str, owner: str, *, wake_ms: int | None, names: Collection[str]
) -> None:
    """Suspend a waiting run until `wake_ms` or until a signal in `names` arrives; it may have arrived already."""
    if not holds_run(connection, workflow_exec_id, owner):
        return
    # Queried after the lock: sending a signal changes the run's row as well.
    arrived = connection.execute(
        sa.select(sa.literal(1))
        .where(signals.c.workflow_exec_id == workflow_exec_id, signals.c.taken_by.is_(None))
        .where(signals.c.name.in_(names))
        .limit(1)
    ).first()
    run = lock_execution(connection, workflow_exec_id)
    # Without a wake time the run would be claimed immediately. If only a signal wakes it, the time is far away.
    wake_ms = min(time for time in (wake_ms, run.deadline_ms, _NEVER_MS) if time is not None)
    if arrived or run.requested is not None:
        # The next owner carries out the pending transition.
        wake_ms = now_ms()
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .values(status=Status.WAITING, owner=None, updated_ms=now_ms(), wake_ms=wake_ms)
    )
    if run.status is not Status.WAITING:
        append_run_status(connection, workflow_exec_id, Status.WAITING)


def pause_owned_run(connection: sa.Connection, workflow_exec_id: str, owner: str) -> None:
    """Store that a run of `owner` has paused as requested; the request may have changed meanwhile."""
    if not holds_run(connection, workflow_exec_id, owner):
        return
    run = lock_execution(connection, workflow_exec_id)
    if run.requested is Status.CANCELED:
        _cancel(connection, workflow_exec_id, run.error)
    elif run.requested is Status.PAUSED:
        _pause(connection, workflow_exec_id)
    else:
        # Resumed before it paused: the next owner continues it.
        release_run(connection, workflow_exec_id, owner)


def wake_run(connection: sa.Connection, workflow_exec_id: str) -> None:
    """Make a suspended run claimable immediately."""
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id, workflow_states.c.status == Status.WAITING)
        .values(wake_ms=now_ms())
    )


def request_pause(connection: sa.Connection, workflow_exec_id: str) -> Execution:
    """Pause a run without an owner, or request it from its executor; return the run afterwards.

    Raises:
        NotFoundError: the run does not exist.
        ConflictError: the run has ended.
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


def request_cancel(connection: sa.Connection, workflow_exec_id: str, error: dict[str, Any]) -> Execution:
    """Cancel a run without an owner, or request it from its executor; return the run afterwards.

    Raises:
        NotFoundError: the run does not exist.
        ConflictError: the run has ended in another state.
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
    """Resume a paused run as soon as a process has a free slot for it; return the run afterwards.

    Raises:
        NotFoundError: the run does not exist.
        ConflictError: the run is not paused.
    """
    run = lock_execution(connection, workflow_exec_id)
    if run.status is Status.PAUSED:
        status = Status.PENDING if run.started_ms is None else Status.RUNNING
        values: dict[str, Any] = {"status": status, "wake_ms": None}
    elif run.requested is Status.PAUSED:
        values = {"requested": None}
    elif run.status.is_final:
        raise _ended(
            run,
            "resumed",
            hint="run it again with `compozy workflow rerun`",
            http_hint=f"run it again: POST /api/v0/executions/workflows/{workflow_exec_id}/rerun",
        )
    else:
        raise ConflictError(f"execution {workflow_exec_id!r} is not paused; its status is {run.status.value}")
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .values(updated_ms=now_ms(), **values)
    )
    if "status" in values:
        append_run_status(connection, workflow_exec_id, values["status"])
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
    append_run_status(connection, workflow_exec_id, Status.PAUSED)


def _request(
    connection: sa.Connection, workflow_exec_id: str, status: Status, error: dict[str, Any] | None = None
) -> None:
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .values(requested=status, error=error, updated_ms=now_ms())
    )


def _ended(run: Execution, what: str, *, hint: str = "", http_hint: str = "") -> ConflictError:
    return ConflictError(
        f"execution {run.workflow_exec_id!r} cannot be {what}: {describe_end(run)}",
        hint="" if run.status is Status.MOVED else hint,
        http_hint="" if run.status is Status.MOVED else http_hint,
        details={"execution_id": run.workflow_exec_id, "status": run.status.value},
    )
