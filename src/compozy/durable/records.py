"""Rows that the runtime writes about whole runs; all other rows are written by their tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from compozy.clock import format_time
from compozy.database.documents import find_open_ingestion
from compozy.database.executions import (
    Execution,
    NewExecution,
    finish_execution,
    get_execution,
    insert_execution,
    lock_execution,
)
from compozy.database.facts import lock_facts
from compozy.database.status import Status
from compozy.database.tasks import NewTask, end_open_tasks, insert_task
from compozy.database.trigger import Trigger, TriggerType
from compozy.database.usage import sum_usage
from compozy.durable.format import JOURNAL_FORMAT, NOTIFIES
from compozy.errors import InternalError, NotFoundError

NOTIFICATION = "notification"
NOTIFY_TASK = "deliver"
_NOTIFIED = frozenset({Status.FAILED, Status.TIMED_OUT})
_MAX_WORKFLOW_ID = 128

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
    return finish_run(connection, run_id, status, error=error, usage=sum_usage(connection, run_id) or None)


def finish_run(
    connection: sa.Connection,
    run_id: str,
    status: Status,
    *,
    output: Any = None,
    error: dict[str, Any] | None = None,
    usage: list[dict[str, Any]] | None = None,
) -> bool:
    """Store the end of a run, and the run that notifies about it if it failed; False if it had ended."""
    if not finish_execution(connection, run_id, status, output=output, error=error, usage=usage):
        return False
    if status in _NOTIFIED:
        run = get_execution(connection, run_id)
        if run.definition.get(NOTIFIES):
            accept(connection, _notification(run), first_task=NOTIFY_TASK, kind=NOTIFICATION, owner=None)
    return True


def _notification(run: Execution) -> NewExecution:
    """Return the one run that notifies about the end of `run`."""
    data = {
        "execution_id": run.workflow_exec_id,
        "workflow_id": run.workflow_id,
        "status": run.status.value,
        "error": run.error,
        "created_at": format_time(run.created_ms),
        "started_at": format_time(run.started_ms),
        "finished_at": format_time(run.finished_ms),
        "trigger": None if run.trigger is None else run.trigger.to_json(),
        "labels": run.labels,
    }
    return NewExecution(
        workflow_exec_id=f"notify-{hashlib.sha256(run.workflow_exec_id.encode()).hexdigest()[:32]}",
        workflow_id=f"{NOTIFICATION}/{run.workflow_id}"[:_MAX_WORKFLOW_ID],
        input={"type": f"execution.{run.status.value.lower()}", "timestamp": data["finished_at"], "data": data},
        definition={"kind": NOTIFICATION},
        journal_format=JOURNAL_FORMAT,
        trigger=Trigger(type=TriggerType.RUN, id=run.workflow_exec_id),
        traceparent=run.traceparent,
        queue=run.queue,
    )


def end_unknown(connection: sa.Connection, run_id: str, *, is_canceled: bool) -> None:
    """End a run that the journal closed while the tables have it open."""
    if is_canceled:
        end_early(connection, run_id, Status.CANCELED, None)
        return
    error = InternalError("the journal of this run ended without a result")
    end_early(connection, run_id, Status.FAILED, error.to_json())
