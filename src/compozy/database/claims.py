"""Claims of runs: which process executes a run that has no owner."""

from __future__ import annotations

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.events import append_run_status, append_task_status
from compozy.database.status import Status
from compozy.database.tables import task_states, workflow_states

_CLAIMABLE = (Status.PENDING, Status.RUNNING, Status.WAITING)


def claim_pending(connection: sa.Connection, owner: str, *, journal_format: int, limit: int) -> list[str]:
    """Claim up to `limit` waiting runs for `owner`, oldest first, and return their IDs."""
    waiting = (
        sa.select(workflow_states.c.workflow_exec_id)
        .where(*_is_claimable(journal_format))
        .order_by(workflow_states.c.created_ms, workflow_states.c.workflow_exec_id)
        .limit(limit)
        # Skip runs that another process is claiming instead of waiting for it.
        .with_for_update(skip_locked=True)
    )
    return _claim(connection, waiting, owner)


def claim_one(connection: sa.Connection, workflow_exec_id: str, owner: str, *, journal_format: int) -> bool:
    """Claim one run without an owner for `owner`, even if it is suspended and not due.

    Returns:
        False if the run has an owner, is paused, has ended, or has another journal format.
    """
    wanted = (
        sa.select(workflow_states.c.workflow_exec_id)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .where(*_is_free(journal_format))
        .with_for_update()
    )
    return bool(_claim(connection, wanted, owner))


def has_claimable(connection: sa.Connection, *, journal_format: int) -> bool:
    """Return whether any run waits for a process."""
    waiting = sa.select(sa.literal(1)).where(*_is_claimable(journal_format)).limit(1)
    return connection.execute(waiting).first() is not None


def list_owned(connection: sa.Connection, owner: str) -> list[str]:
    """Return the runs that a process owns."""
    query = sa.select(workflow_states.c.workflow_exec_id).where(workflow_states.c.owner == owner)
    return list(connection.execute(query).scalars())


def _is_free(journal_format: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        workflow_states.c.owner.is_(None),
        workflow_states.c.status.in_(_CLAIMABLE),
        workflow_states.c.journal_format == journal_format,
    )


def _is_claimable(journal_format: int) -> tuple[sa.ColumnElement[bool], ...]:
    # A suspended run waits for its wake time; a signal sets it to now.
    is_due = sa.or_(workflow_states.c.wake_ms.is_(None), workflow_states.c.wake_ms <= now_ms())
    return (*_is_free(journal_format), is_due)


def _claim(connection: sa.Connection, chosen: sa.Select[str], owner: str) -> list[str]:
    """Claim the `chosen` runs for `owner`.

    Their rows are locked by a subquery that is evaluated once.
    """
    now = now_ms()
    locked = chosen.cte("chosen")
    claimed = connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id.in_(sa.select(locked.c.workflow_exec_id)))
        .values(
            owner=owner,
            status=Status.RUNNING,
            wake_ms=None,
            started_ms=sa.func.coalesce(workflow_states.c.started_ms, now),
            updated_ms=now,
        )
        .returning(workflow_states.c.created_ms, workflow_states.c.workflow_exec_id, workflow_states.c.started_ms)
    )
    rows = sorted(tuple(row) for row in claimed)
    ids = [run_id for _, run_id, _ in rows]
    for _, run_id, started_ms in rows:
        append_run_status(connection, run_id, Status.RUNNING, resumed=started_ms < now or None)
    if ids:
        # The first task of a waiting run was stored with it and starts now. A locked task is being canceled by a
        # transaction that waits for this one to end.
        waiting = (
            sa.select(task_states.c.task_exec_id)
            .where(task_states.c.workflow_exec_id.in_(ids))
            .where(task_states.c.status == Status.PENDING)
            .where(task_states.c.position == 0)
            .with_for_update(skip_locked=True)
            .cte("waiting")
        )
        begun = connection.execute(
            sa.update(task_states)
            .where(task_states.c.task_exec_id.in_(sa.select(waiting.c.task_exec_id)))
            .values(status=Status.RUNNING, attempts=1, started_ms=now, updated_ms=now)
            .returning(task_states.c.task_exec_id)
        )
        for task_exec_id in begun.scalars().all():
            append_task_status(connection, task_exec_id, Status.RUNNING, attempts=1)
    return ids
