"""Rules for journal rows: only values that Compozy writes are accepted, so that stored bytes never become code.

The engine calls functions by names that it reads from its tables, and reads values in the format that a row names;
one of its formats is pickle, which runs code. Rows come from documents and backups too, which anybody may have written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from compozy.database.jsontext import dump_json

# The one format in which values are written and read, as rows name it.
SERIALIZATION = "compozy_json"
# One name for every project and release: rows of another application would not be seen.
APPLICATION = "compozy"
# The one function that the engine calls.
RUN_FUNCTION = "compozy.run"
RESUME_QUEUE = "resume-"

_STATUS = "workflow_status"
_INPUT = "workflow_input"
_STEPS = "operation_outputs"
# Compozy has no schedules; a row here would call a function at set times.
_SCHEDULES = "workflow_schedules"
_OPEN = ("PENDING", "ENQUEUED", "DELAYED")
# Allowed values of a column besides NULL.
_VALUES: dict[str, dict[str, frozenset[str]]] = {
    _STATUS: {
        "name": frozenset({RUN_FUNCTION}),
        "class_name": frozenset(),
        "config_name": frozenset(),
        "schedule_name": frozenset(),
        "serialization": frozenset({SERIALIZATION}),
    },
    **{
        table: {"serialization": frozenset({SERIALIZATION})}
        for table in (_STEPS, "notifications", "workflow_events", "workflow_events_history", "streams")
    },
}
_SHOWN = 5


def check_journal_row(table: str, row: Mapping[str, Any]) -> None:
    """Refuse a row that would make the engine call or read something else than a run.

    Args:
        table: a table of the journal, without its schema.
        row: its columns; those that are NULL may be missing.

    Raises:
        ValueError: what the row holds, in one line.
    """
    if table == _SCHEDULES:
        raise ValueError("Compozy has no schedules")
    for column, values in _VALUES.get(table, {}).items():
        if row.get(column) is not None and row[column] not in values:
            raise ValueError(_refusal(column, row[column]))
    queue = row.get("queue_name")
    if table == _STATUS and queue is not None and not str(queue).startswith(RESUME_QUEUE):
        raise ValueError(_refusal("queue_name", queue))
    if table in {_STATUS, _INPUT} and row.get("inputs") not in {None, inputs_of(str(row.get("workflow_uuid")))}:
        raise ValueError(_refusal("inputs", row["inputs"]))


def check_serialization(serialization: str | None) -> None:
    """Refuse a stored value in another format than ours.

    Raises:
        ValueError: the format, in one line.
    """
    check_journal_row(_STEPS, {"serialization": serialization})


def may_call(connection: sa.Connection, schema: str | None) -> bool:
    """Return whether the engine would call anything that the journal in `schema` names: an open run, or a schedule."""
    is_open = sa.column("status").in_(_OPEN)
    return any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).where(condition).limit(1)).first() is not None
        for table, condition in (
            (sa.table(_STATUS, sa.column("status"), schema=schema), is_open),
            (sa.table(_SCHEDULES, schema=schema), sa.true()),
        )
    )


def find_refused_rows(connection: sa.Connection, tables: Mapping[str, sa.Table], *, only_open: bool) -> list[str]:
    """Return the first rows that `check_journal_row` refuses, each as `table RUN: reason`.

    Args:
        connection: for reading.
        tables: those of the journal by name.
        only_open: look only at runs that the journal has open, which the engine may call; this costs little.
    """
    open_runs = sa.select(tables[_STATUS].c.workflow_uuid).where(tables[_STATUS].c.status.in_(_OPEN))
    refused: list[str] = []
    for name in (_STATUS, _INPUT, _STEPS, *(_VALUES.keys() - {_STATUS, _STEPS}), _SCHEDULES):
        table = tables[name]
        query = sa.select(table).where(_is_refused(name, table)).limit(_SHOWN)
        run = table.c.get("workflow_uuid", table.c.get("destination_uuid"))
        if only_open and run is not None:
            query = query.where(run.in_(open_runs))
        refused += [_describe(name, {**row}) for row in connection.execute(query).mappings()]
    return refused[:_SHOWN]


def _is_refused(name: str, table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition of SQL that says what `check_journal_row` does; NULL never fulfils it."""
    conditions: list[sa.ColumnElement[bool]] = [
        table.c[column].not_in(sorted(values)) if values else table.c[column].is_not(None)
        for column, values in _VALUES.get(name, {}).items()
    ]
    if name == _STATUS:
        conditions.append(sa.func.substr(table.c.queue_name, 1, len(RESUME_QUEUE)) != RESUME_QUEUE)
    if name in {_STATUS, _INPUT}:
        # Ids of runs have no characters that JSON would escape.
        before, after = inputs_of("\0").split(dump_json("\0")[1:-1])
        conditions.append(table.c.inputs != sa.literal(before) + table.c.workflow_uuid + sa.literal(after))
    return sa.or_(*conditions) if conditions else sa.true()


def _describe(table: str, row: Mapping[str, Any]) -> str:
    run = row.get("workflow_uuid") or row.get("destination_uuid") or row.get("schedule_name")
    try:
        check_journal_row(table, row)
    except ValueError as error:
        return f"{table} {str(run)!r}: {error}"
    return f"{table} {str(run)!r}"


def _refusal(column: str, value: object) -> str:
    shown = str(value)
    return f"{column!r} is {shown[:40]!r}{'...' if len(shown) > 40 else ''}, which Compozy never writes"


def inputs_of(run_id: str) -> str:
    """Return the arguments with which the engine calls a run, as the journal stores them."""
    return dump_json({"args": [run_id], "kwargs": {}})
