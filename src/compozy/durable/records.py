"""Rows that the runtime writes about whole runs; all other rows are written by their tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from compozy.database.documents import find_open_ingestion
from compozy.database.executions import NewExecution, finish_execution, insert_execution, lock_execution
from compozy.database.facts import lock_facts
from compozy.database.status import Status
from compozy.database.tasks import NewTask, end_open_tasks, insert_task
from compozy.database.usage import sum_usage
from compozy.errors import InternalError, NotFoundError

Also = Callable[[sa.Connection], None]
"""Stores what belongs to a new row, in its transaction."""


def accept(
    connection: sa.Connection,
    new: NewExecution,
    *,
    first_task: str,
    kind: str,
    owner: str | None,
    also: Also | None = None,
) -> bool:
    """Store a run with its first task, and what `also` stores with it.

    Returns:
        False when a run of this ID exists already, or another one excludes it; nothing is stored.
    """
    if new.is_alone:
        # Two processes would both see none, and both begin.
        lock_facts(connection)
        if find_open_ingestion(connection, new.workflow_id) is not None:
            return False
    if not insert_execution(connection, new, owner=owner):
        return False
    task = NewTask(
        workflow_exec_id=new.workflow_exec_id, workflow_id=new.workflow_id, path=first_task, execution_type=kind
    )
    insert_task(connection, task, Status.RUNNING if owner else Status.PENDING)
    if also is not None:
        also(connection)
    return True


def end_early(connection: sa.Connection, run_id: str, status: Status, error: dict[str, Any] | None) -> bool:
    """End a run and its open tasks before they are done; False when it had ended."""
    # The run before its tasks, as in every other transaction: two that lock in opposite order wait for one another.
    try:
        lock_execution(connection, run_id)
    except NotFoundError:
        return False
    end_open_tasks(connection, run_id, status)
    return finish_execution(connection, run_id, status, error=error, usage=sum_usage(connection, run_id) or None)


def end_unknown(connection: sa.Connection, run_id: str, *, is_canceled: bool) -> None:
    """End a run that the journal closed while the tables have it open."""
    if is_canceled:
        end_early(connection, run_id, Status.CANCELED, None)
        return
    error = InternalError("the journal of this run ended without a result")
    end_early(connection, run_id, Status.FAILED, error.to_json())
