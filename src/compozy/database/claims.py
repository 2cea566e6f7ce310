"""Claims of runs: which process executes a run that has no owner."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.admission import CAN_RUN, ORDER
from compozy.database.events import append_run_status, append_task_status
from compozy.database.executors import list_executors
from compozy.database.status import Status
from compozy.database.tables import task_states, workflow_states

# Suspended runs that one claim wakes.
_WAKES = 1000
# The conditions of two partial indexes, in their words: the planner compares them.
_IS_FREE = (workflow_states.c.owner.is_(None), CAN_RUN)
_IS_ADMITTED = workflow_states.c.held_ms.is_(None)
_IS_UNCLAIMED = (*_IS_FREE, workflow_states.c.wake_ms.is_(None), _IS_ADMITTED)


def claim_pending(
    connection: sa.Connection, owner: str, *, journal_format: int, limit: int, queues: Sequence[str] = ()
) -> list[str]:
    """Claim up to `limit` waiting runs of `queues`, or of all, for `owner`, and return their IDs.

    Runs with a higher priority are first, and of the same priority the oldest.
    """
    _wake_due(connection)
    found: list[tuple[int, int, str]] = []
    # One query for each queue: each reads the first rows of the index and no others.
    for queue in queues or list_waiting_queues(connection):
        # Skip runs that another process is claiming instead of waiting for it.
        first = _first_of(queue, journal_format, limit).with_for_update(skip_locked=True)
        found += [(-priority, created_ms, run_id) for priority, created_ms, run_id in connection.execute(first)]
    return _claim(connection, [run_id for *_, run_id in sorted(found)[:limit]], owner)


def claim_one(connection: sa.Connection, workflow_exec_id: str, owner: str, *, journal_format: int) -> bool:
    """Claim one run without an owner for `owner`, even if it is suspended and not due.

    Returns:
        False if the run has an owner, waits for a place in its group, is paused, has ended, or has another journal
        format.
    """
    wanted = (
        sa.select(workflow_states.c.workflow_exec_id)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .where(*_IS_FREE, _IS_ADMITTED, workflow_states.c.journal_format == journal_format)
        .with_for_update()
    )
    return bool(_claim(connection, list(connection.execute(wanted).scalars()), owner))


def has_claimable(connection: sa.Connection, *, journal_format: int, queues: Sequence[str] = ()) -> bool:
    """Return whether a run of `queues`, or of any queue, waits for a process, or a suspended run is due."""
    due = sa.select(workflow_states.c.wake_ms).where(*_IS_FREE, workflow_states.c.wake_ms <= now_ms())
    if connection.execute(due.order_by(workflow_states.c.wake_ms).limit(1)).first() is not None:
        return True
    waiting = (_first_of(queue, journal_format, 1) for queue in queues or list_waiting_queues(connection))
    return any(connection.execute(query).first() is not None for query in waiting)


def list_waiting_queues(connection: sa.Connection) -> list[str]:
    """Return the queues in which runs wait for a process, each found by one look into the index."""
    first = sa.select(sa.func.min(workflow_states.c.queue).label("queue")).where(*_IS_UNCLAIMED)
    names = first.cte("names", recursive=True)
    following = first.where(workflow_states.c.queue > names.c.queue).correlate(names).scalar_subquery()
    names = names.union_all(sa.select(following).where(names.c.queue.is_not(None)))
    return list(connection.execute(sa.select(names.c.queue).where(names.c.queue.is_not(None))).scalars())


def list_unserved_queues(connection: sa.Connection) -> list[str]:
    """Return the queues in which runs wait although none of the processes that execute runs serves them."""
    served = [row.queues for row in list_executors(connection)]
    if not served or None in served:
        return []
    return sorted(set(list_waiting_queues(connection)).difference(*(queues or () for queues in served)))


def list_owned(connection: sa.Connection, owner: str) -> list[str]:
    """Return the runs that a process owns."""
    query = sa.select(workflow_states.c.workflow_exec_id).where(workflow_states.c.owner == owner)
    return list(connection.execute(query).scalars())


def _wake_due(connection: sa.Connection) -> None:
    """Make suspended runs claimable whose time has come; a signal sets it to now."""
    due = (
        sa.select(workflow_states.c.workflow_exec_id)
        .where(*_IS_FREE, workflow_states.c.wake_ms <= now_ms())
        .order_by(workflow_states.c.wake_ms)
        .limit(_WAKES)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id.in_(sa.select(due.c.workflow_exec_id)))
        .values(wake_ms=None)
    )


def _first_of(queue: str, journal_format: int, limit: int) -> sa.Select[int, int, str]:
    return (
        sa.select(workflow_states.c.priority, workflow_states.c.created_ms, workflow_states.c.workflow_exec_id)
        .where(*_IS_UNCLAIMED, workflow_states.c.journal_format == journal_format, workflow_states.c.queue == queue)
        .order_by(*ORDER)
        .limit(limit)
    )


def _claim(connection: sa.Connection, chosen: Sequence[str], owner: str) -> list[str]:
    """Claim the runs `chosen`, whose rows this transaction has locked, for `owner`."""
    if not chosen:
        return []
    now = now_ms()
    claimed = connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id.in_(chosen))
        .values(
            owner=owner,
            status=Status.RUNNING,
            wake_ms=None,
            started_ms=sa.func.coalesce(workflow_states.c.started_ms, now),
            updated_ms=now,
        )
        .returning(workflow_states.c.workflow_exec_id, workflow_states.c.started_ms)
    )
    started = {row.workflow_exec_id: row.started_ms for row in claimed}
    for run_id in chosen:
        append_run_status(connection, run_id, Status.RUNNING, resumed=started[run_id] < now or None)
    _begin_first_tasks(connection, chosen, now)
    return list(chosen)


def _begin_first_tasks(connection: sa.Connection, run_ids: Sequence[str], now: int) -> None:
    """Start the first tasks of runs that waited, which were stored with them.

    A locked task is being canceled by a transaction that waits for this one to end.
    """
    waiting = (
        sa.select(task_states.c.task_exec_id)
        .where(task_states.c.workflow_exec_id.in_(run_ids))
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
