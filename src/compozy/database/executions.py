"""Rows of `workflow_states`: accept, claim, finish, list. Every change of state is one guarded UPDATE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.config.settings import DEFAULT_QUEUE
from compozy.database.admission import Admission, admit, held_columns
from compozy.database.events import append_run_status
from compozy.database.idprefix import MAX_CANDIDATES, choose_by_prefix
from compozy.database.status import OPEN, Status, sources_of
from compozy.database.tables import insert_if_new, is_one_of, workflow_states
from compozy.database.trigger import Trigger, insert_labels, labels_column, read_labels
from compozy.database.usage import shown_cost
from compozy.errors import NotFoundError, UsageError

_ID_MAX = 128


# Statements that every run uses are built once: building one takes SQLAlchemy five times as long as executing it.
_THIS = workflow_states.c.workflow_exec_id == sa.bindparam("_id")
_INSERT = insert_if_new(workflow_states).returning(workflow_states.c.workflow_exec_id)
ALL = sa.select(workflow_states, labels_column())
_GET = ALL.where(_THIS)
_LOCK = _GET.with_for_update()
_GET_STATUS = sa.select(workflow_states.c.status).where(_THIS)
_THESE = workflow_states.c.workflow_exec_id.in_(sa.bindparam("_ids", expanding=True))
_GET_STATUSES = sa.select(workflow_states.c.workflow_exec_id, workflow_states.c.status).where(_THESE)
_GET_ENDED = sa.select(
    *(workflow_states.c[name] for name in ("workflow_exec_id", "workflow_id", "status")),
    *(workflow_states.c[name] for name in ("created_ms", "started_ms", "finished_ms")),
).where(_THESE)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a workflow, as stored. Times are milliseconds since 1970 UTC."""

    workflow_exec_id: str
    workflow_id: str
    status: Status
    owner: str | None
    journal_format: int
    parent_exec_id: str | None
    input: Any
    output: Any
    error: dict[str, Any] | None
    usage: list[dict[str, Any]] | None
    definition: dict[str, Any]
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    deadline_ms: int | None
    updated_ms: int
    requested: Status | None
    wake_ms: int | None
    rerun_of: str | None
    kept: dict[str, dict[str, Any]] | None
    origin: dict[str, Any] | None
    moved: dict[str, Any] | None
    trigger_type: str | None = None
    trigger_id: str | None = None
    started_by: str | None = None
    traceparent: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    admission_group: str | None = None
    concurrency_limit: int | None = None
    rate_limit: int | None = None
    rate_period_ms: int | None = None
    held_ms: int | None = None
    admitted_ms: int | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def trigger(self) -> Trigger | None:
        """The trigger of the run; None if an earlier version accepted it."""
        if self.trigger_type is None:
            return None
        return Trigger(type=self.trigger_type, id=self.trigger_id, by=self.started_by)


@dataclass(frozen=True, kw_only=True)
class NewExecution:
    """A run as accepted.

    Args:
        definition: the workflow at that time.
        rerun_of: the run that this one repeats.
        kept: the ends of that run's tasks that are not run again, by task ID.
        is_alone: it is not accepted while another run of the workflow is open.
        trigger: what starts it, and who.
        labels: names and values, which `check_labels` has accepted.
        traceparent: the W3C trace context of the request that starts it.
        queue: only processes that serve this queue execute it.
        priority: runs with a higher one are claimed first.
        admission: the limits that it is subject to.
    """

    workflow_exec_id: str
    workflow_id: str
    input: Any
    definition: dict[str, Any]
    journal_format: int
    is_alone: bool = False
    deadline_ms: int | None = None
    rerun_of: str | None = None
    kept: dict[str, dict[str, Any]] | None = None
    trigger: Trigger | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    traceparent: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    admission: Admission | None = None


def insert_execution(connection: sa.Connection, new: NewExecution, *, owner: str | None) -> bool:
    """Store an accepted run: RUNNING if `owner` executes it immediately, else PENDING until a process claims it.

    A run with limits has no owner yet: it is claimed when it has a place.

    Returns:
        False if a run with this ID already exists; nothing is changed then.
    """
    now = now_ms()
    values: dict[str, Any] = {
        "workflow_exec_id": new.workflow_exec_id,
        "workflow_id": new.workflow_id,
        "status": Status.RUNNING if owner else Status.PENDING,
        "owner": owner,
        "journal_format": new.journal_format,
        "input": new.input,
        "definition": new.definition,
        "deadline_ms": new.deadline_ms,
        "created_ms": now,
        "started_ms": now if owner else None,
        "updated_ms": now,
        "rerun_of": new.rerun_of,
        "kept": new.kept,
        "trigger_type": None if new.trigger is None else new.trigger.type,
        "trigger_id": None if new.trigger is None else new.trigger.id,
        "started_by": None if new.trigger is None else new.trigger.by,
        "traceparent": new.traceparent,
        "queue": new.queue,
        "priority": new.priority,
        **held_columns(new.admission, now),
    }
    if connection.execute(_INSERT, values).first() is None:
        return False
    insert_labels(connection, new.workflow_exec_id, new.labels)
    append_run_status(connection, new.workflow_exec_id, values["status"])
    if new.admission is not None:
        admit(connection, new.admission.group)
    return True


def finish_execution(
    connection: sa.Connection,
    workflow_exec_id: str,
    status: Status,
    *,
    output: Any = None,
    error: dict[str, Any] | None = None,
    usage: list[dict[str, Any]] | None = None,
) -> bool:
    """Store the end of a run, from any state that allows it.

    Returns:
        False if the run had already ended; the stored end is kept then.
    """
    now = now_ms()
    values: dict[str, Any] = {"_status": status, "_output": output, "_error": error, "_usage": usage, "_now": now}
    ended = connection.execute(_finish(status), {"_id": workflow_exec_id, **values}).first()
    if ended is None:
        return False
    append_run_status(connection, workflow_exec_id, status, error=error, cost=shown_cost(usage or ()))
    if ended.admission_group is not None:
        admit(connection, ended.admission_group)
    return True


def release_run(connection: sa.Connection, workflow_exec_id: str, owner: str) -> None:
    """Release one open run of `owner`."""
    connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.workflow_exec_id == workflow_exec_id)
        .where(workflow_states.c.owner == owner)
        .where(workflow_states.c.status.in_(OPEN))
        .values(owner=None, updated_ms=now_ms())
    )


def release_runs(connection: sa.Connection, owner: str) -> int:
    """Release all open runs of `owner` for any process to claim; return their number."""
    changed = connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.owner == owner)
        .where(workflow_states.c.status.in_(OPEN))
        .values(owner=None, updated_ms=now_ms())
    )
    return changed.rowcount


def get_execution(connection: sa.Connection, workflow_exec_id: str) -> Execution:
    """Return one run.

    Raises:
        NotFoundError: the run does not exist.
    """
    return _get(connection, _GET, workflow_exec_id)


def lock_execution(connection: sa.Connection, workflow_exec_id: str) -> Execution:
    """Lock one run until the end of this transaction and return it, so that it can be read and then written.

    Raises:
        NotFoundError: the run does not exist.
    """
    return _get(connection, _LOCK, workflow_exec_id)


def _get(connection: sa.Connection, query: sa.Select[Any], workflow_exec_id: str) -> Execution:
    row = connection.execute(query, {"_id": workflow_exec_id}).mappings().first()
    if row is None:
        raise execution_not_found(workflow_exec_id)
    return execution_of(row)


def get_status(connection: sa.Connection, workflow_exec_id: str) -> Status | None:
    """Return the state of one run, None if it does not exist."""
    status = connection.execute(_GET_STATUS, {"_id": workflow_exec_id}).scalar()
    return None if status is None else Status(status)


def get_statuses(connection: sa.Connection, execution_ids: Iterable[str]) -> dict[str, Status]:
    """Return the states of those of the runs that exist."""
    rows = connection.execute(_GET_STATUSES, {"_ids": list(execution_ids)})
    return {row.workflow_exec_id: Status(row.status) for row in rows}


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """How a run ended, and when. Times are milliseconds since 1970 UTC."""

    workflow_exec_id: str
    workflow_id: str
    status: Status
    created_ms: int
    started_ms: int | None
    finished_ms: int


def list_ended(connection: sa.Connection, execution_ids: Iterable[str]) -> list[EndedRun]:
    """Return those of the runs that have ended."""
    rows = connection.execute(_GET_ENDED, {"_ids": list(execution_ids)})
    return [
        EndedRun(
            workflow_exec_id=row.workflow_exec_id,
            workflow_id=row.workflow_id,
            status=Status(row.status),
            created_ms=row.created_ms,
            started_ms=row.started_ms,
            finished_ms=row.finished_ms,
        )
        for row in rows
        if row.finished_ms is not None
    ]


def get_workflow_id(connection: sa.Connection, workflow_exec_id: str) -> str | None:
    """Return the workflow of one run, None if the run does not exist."""
    query = sa.select(workflow_states.c.workflow_id).where(workflow_states.c.workflow_exec_id == workflow_exec_id)
    return connection.execute(query).scalar()


def find_execution_id(connection: sa.Connection, text: str) -> str:
    """Return the ID of the one run that `text` names, in full or by the start of its ID.

    Raises:
        NotFoundError: there is none.
        UsageError: `text` is the start of several.
    """
    if get_status(connection, text) is not None:
        return text
    query = sa.select(workflow_states.c.workflow_exec_id).where(*starts_with(text)).limit(MAX_CANDIDATES + 1)
    newest_first = query.order_by(workflow_states.c.created_ms.desc(), workflow_states.c.workflow_exec_id.desc())
    found = choose_by_prefix(text, [str(row[0]) for row in connection.execute(newest_first)])
    if found is None:
        raise execution_not_found(text)
    return found


def starts_with(prefix: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions that the ID of a run starts with `prefix`."""
    # A range of the primary key instead of LIKE, which SQLite takes to mean either case. IDs are printable ASCII.
    column = workflow_states.c.workflow_exec_id
    return column >= prefix, column < f"{prefix}\x7f"


def count_by_status(connection: sa.Connection) -> dict[Status, int]:
    """Return the number of runs by state; states without runs are omitted."""
    query = sa.select(workflow_states.c.status, sa.func.count()).group_by(workflow_states.c.status)
    return {Status(status): count for status, count in connection.execute(query)}


def check_execution_id(text: str) -> str:
    """Return `text` if it is a valid execution ID.

    Raises:
        UsageError: it is empty, longer than 128 characters, or contains other than letters, digits and `._:-`.
    """
    if not is_execution_id(text):
        raise UsageError(
            f"an execution id has 1 to {_ID_MAX} letters, digits and the signs . _ : -, got {text!r}",
        )
    return text


def is_execution_id(text: str) -> bool:
    """Return whether `text` is a valid execution ID."""
    return 0 < len(text) <= _ID_MAX and text.isascii() and all(sign.isalnum() or sign in "._:-" for sign in text)


def execution_not_found(workflow_exec_id: str) -> NotFoundError:
    """Return the error for an execution that does not exist."""
    return NotFoundError(
        f"execution {workflow_exec_id!r} not found in this database",
        hint="list executions with `compozy workflow list`",
        http_hint="list executions: GET /api/v0/executions/workflows",
    )


def describe_end(run: Execution) -> str:
    """Return why a run accepts no more requests."""
    if run.status is Status.MOVED:
        return "it was moved to another database and continues there"
    return f"it ended as {run.status.value}"


@cache
def _finish(status: Status) -> sa.Update:
    return (
        sa.update(workflow_states)
        .where(_THIS, is_one_of(workflow_states.c.status, sources_of(status)))
        .values(
            status=sa.bindparam("_status"),
            output=sa.bindparam("_output"),
            error=sa.bindparam("_error"),
            usage=sa.bindparam("_usage"),
            owner=None,
            requested=None,
            wake_ms=None,
            held_ms=None,
            finished_ms=sa.bindparam("_now"),
            updated_ms=sa.bindparam("_now"),
        )
        .returning(workflow_states.c.admission_group)
    )


def execution_of(row: sa.RowMapping) -> Execution:
    """Return the run of a row of `ALL`."""
    values: dict[str, Any] = dict(row)
    values["status"] = Status(values["status"])
    values["requested"] = None if values["requested"] is None else Status(values["requested"])
    values["labels"] = read_labels(values["labels"])
    return Execution(**values)
