"""Lists of runs: filters, pages, and summaries that read no inputs, outputs and definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.database.costs import costs_of_runs
from compozy.database.events import brief_error
from compozy.database.executions import ALL, Execution, execution_of, starts_with
from compozy.database.jsontext import dump_json
from compozy.database.status import Status
from compozy.database.tables import execution_labels, is_one_of
from compozy.database.tables import workflow_states as runs
from compozy.database.trigger import Trigger, TriggerType, has_label, labels_column, read_labels
from compozy.database.usage import dollars

MAX_MESSAGE = 200
"""Characters of an error message in a summary."""

# These runs have no error, but an output, which SQLite would read to reach the column behind it.
_SUCCEEDED = is_one_of(runs.c.status, (Status.SUCCESS,))
_STARTED_BY_RUN = (TriggerType.RERUN, TriggerType.BATCH, TriggerType.RUN)
_NEWEST_FIRST = (runs.c.created_ms.desc(), runs.c.workflow_exec_id.desc())
_KEY = sa.tuple_(runs.c.created_ms, runs.c.workflow_exec_id)
_COLUMNS = (
    "workflow_exec_id",
    "workflow_id",
    "status",
    "journal_format",
    "created_ms",
    "started_ms",
    "finished_ms",
    "requested",
    "rerun_of",
    "origin",
    "trigger_type",
    "trigger_id",
    "started_by",
    "held_ms",
)
_ERROR = sa.case((_SUCCEEDED, sa.null()), else_=runs.c.error)
_SUMMARY = sa.select(
    *(runs.c[name] for name in _COLUMNS), sa.type_coerce(_ERROR, runs.c.error.type).label("error"), labels_column()
)

Position = tuple[int, str]
"""`(created_ms, workflow_exec_id)` of a run in a list."""


@dataclass(frozen=True, kw_only=True)
class ExecutionFilter:
    """The runs to list; all conditions must hold. Times are milliseconds since 1970 UTC.

    Args:
        workflow_id: only runs of this workflow.
        workflow_ids: only runs of these workflows; None for all.
        statuses: only runs in one of these states.
        id_prefix: only runs whose ID starts with this text.
        labels: only runs with these labels, each `NAME` or `NAME=VALUE`.
        trigger: only runs that this started: `TYPE` or `TYPE:ID`.
        started_by: only runs of this user or API key.
        created_after_ms: only runs that were accepted then or later.
        created_before_ms: only runs that were accepted earlier.
        text: only runs with this text in their ID, workflow ID, trigger, labels or error; ASCII letters match either
            case.
        parent: only runs that this run started, and its reruns.
        ids: only these runs; None for all.
    """

    workflow_id: str | None = None
    workflow_ids: Sequence[str] | None = None
    statuses: Sequence[Status] = ()
    id_prefix: str = ""
    labels: Sequence[str] = ()
    trigger: str | None = None
    started_by: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    text: str = ""
    parent: str | None = None
    ids: Sequence[str] | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return the filters as conditions on `workflow_states`."""
        found = [*map(has_label, self.labels)]
        if self.ids is not None:
            found.append(runs.c.workflow_exec_id.in_(self.ids))
        if self.workflow_id is not None:
            found.append(runs.c.workflow_id == self.workflow_id)
        if self.workflow_ids is not None:
            found.append(runs.c.workflow_id.in_(self.workflow_ids))
        if self.statuses:
            found.append(runs.c.status.in_(self.statuses))
        if self.id_prefix:
            found += starts_with(self.id_prefix)
        if self.started_by is not None:
            found.append(runs.c.started_by == self.started_by)
        return found + self._of_trigger() + self._in_time() + ([_holds(self.text)] if self.text else [])

    def _of_trigger(self) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = []
        if self.trigger is not None:
            kind, colon, name = self.trigger.partition(":")
            found.append(runs.c.trigger_type == kind)
            found += [runs.c.trigger_id == name] if colon else []
        if self.parent is not None:
            found += [runs.c.trigger_type.in_(_STARTED_BY_RUN), runs.c.trigger_id == self.parent]
        return found

    def _in_time(self) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = []
        if self.created_after_ms is not None:
            found.append(runs.c.created_ms >= self.created_after_ms)
        if self.created_before_ms is not None:
            found.append(runs.c.created_ms < self.created_before_ms)
        return found


@dataclass(frozen=True, kw_only=True)
class ExecutionSummary:
    """One run without its input, output and definition. Its error has a code and the start of the message.

    `cost` is in dollars, None if it made no model request, or the price of none is known.
    """

    workflow_exec_id: str
    workflow_id: str
    status: Status
    journal_format: int
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    requested: Status | None
    rerun_of: str | None
    origin: dict[str, Any] | None
    held_ms: int | None
    trigger: Trigger | None
    error: dict[str, Any] | None
    labels: dict[str, str]
    cost: float | None = None
    unpriced_requests: int = 0


ALL_RUNS = ExecutionFilter()


def list_summaries(
    connection: sa.Connection, wanted: ExecutionFilter = ALL_RUNS, *, limit: int, before: Position | None = None
) -> list[ExecutionSummary]:
    """Return summaries of the latest `limit` runs, newest first; with `before`, of those older than that run."""
    rows = connection.execute(_page(_SUMMARY, wanted, limit, before)).mappings().all()
    costs = costs_of_runs(connection, [row["workflow_exec_id"] for row in rows])
    return [_summary(row, costs.get(row["workflow_exec_id"])) for row in rows]


def list_executions(
    connection: sa.Connection, wanted: ExecutionFilter = ALL_RUNS, *, limit: int, before: Position | None = None
) -> list[Execution]:
    """Return the latest `limit` runs with everything that is stored of them; see `list_summaries`."""
    return [execution_of(row) for row in connection.execute(_page(ALL, wanted, limit, before)).mappings()]


def count_executions(connection: sa.Connection, wanted: ExecutionFilter = ALL_RUNS) -> int:
    """Return the number of runs."""
    query = sa.select(sa.func.count()).select_from(runs).where(*wanted.conditions())
    return int(connection.execute(query).scalar_one())


def list_ids(connection: sa.Connection, wanted: ExecutionFilter, *, limit: int) -> list[str]:
    """Return the IDs of the latest `limit` runs, newest first."""
    query = _page(sa.select(runs.c.workflow_exec_id), wanted, limit, None)
    return list(connection.execute(query).scalars())


def _page(query: sa.Select[Any], wanted: ExecutionFilter, limit: int, before: Position | None) -> sa.Select[Any]:
    older = [] if before is None else [before > _KEY]
    return query.where(*wanted.conditions(), *older).order_by(*_NEWEST_FIRST).limit(limit)


def _holds(text: str) -> sa.ColumnElement[bool]:
    names = (runs.c.workflow_exec_id, runs.c.workflow_id, runs.c.trigger_id, runs.c.started_by)
    labels = sa.select(execution_labels.c.execution_id).where(execution_labels.c.value.icontains(text, autoescape=True))
    # Stored as JSON, in which some characters are escaped.
    escaped = dump_json(text)[1:-1]
    in_error = sa.type_coerce(runs.c.error, sa.Text).icontains(escaped, autoescape=True)
    return sa.or_(
        *(column.icontains(text, autoescape=True) for column in names),
        runs.c.workflow_exec_id.in_(labels),
        sa.case((_SUCCEEDED, sa.false()), else_=in_error),
    )


def _summary(row: sa.RowMapping, cost: Mapping[str, int] | None) -> ExecutionSummary:
    values: dict[str, Any] = dict(row)
    if cost is not None:
        values["cost"] = dollars(cost["cost_micros"], cost["unpriced_requests"], cost["requests"])
        values["unpriced_requests"] = cost["unpriced_requests"]
    kind, name, by = (values.pop(column) for column in ("trigger_type", "trigger_id", "started_by"))
    values["trigger"] = None if kind is None else Trigger(type=kind, id=name, by=by)
    values["status"] = Status(values["status"])
    values["requested"] = None if values["requested"] is None else Status(values["requested"])
    values["labels"] = read_labels(values["labels"])
    error = brief_error(values["error"])
    if error is not None and len(str(error.get("message", ""))) > MAX_MESSAGE:
        error["message"] = f"{str(error['message'])[: MAX_MESSAGE - 1]}…"
    values["error"] = error
    return ExecutionSummary(**values)
