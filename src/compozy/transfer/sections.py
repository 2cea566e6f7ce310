"""The tables in a `compozy db export` document, their order, and the format of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from compozy.database.attachments import check_attachment
from compozy.database.database import Database
from compozy.database.facts import DATABASE_ID
from compozy.database.jsontext import JsonText
from compozy.database.tables import (
    api_keys,
    attachments,
    audit_log,
    budget_raises,
    execution_events,
    execution_labels,
    executors,
    facts,
    knowledge_documents,
    memories,
    memory_messages,
    metadata,
    model_costs,
    schedules,
    sessions,
    signals,
    task_states,
    users,
    webhook_deliveries,
)
from compozy.database.tables import workflow_states as runs
from compozy.durable.journal import list_journal_tables
from compozy.durable.journal_rows import check_journal_row

JOURNAL = "journal."
# Not exported: processes and their rows, the right to use a server, which a document must not grant, and what a server
# received and answered. Their sections are empty.
_LEFT_BEHIND = frozenset(
    {
        executors.name,
        users.name,
        api_keys.name,
        sessions.name,
        audit_log.name,
        webhook_deliveries.name,
        f"{JOURNAL}queues",
        f"{JOURNAL}application_versions",
        f"{JOURNAL}workflow_schedules",
    }
)
# The column that identifies a row's run.
_RUN_COLUMNS = {
    runs.name: "workflow_exec_id",
    task_states.name: "workflow_exec_id",
    signals.name: "workflow_exec_id",
    execution_events.name: "execution_id",
    execution_labels.name: "execution_id",
    attachments.name: "workflow_exec_id",
    model_costs.name: "execution_id",
    budget_raises.name: "execution_id",
    f"{JOURNAL}notifications": "destination_uuid",
    **{
        f"{JOURNAL}{name}": "workflow_uuid"
        for name in (
            "workflow_status",
            "workflow_input",
            "workflow_output",
            "operation_outputs",
            "workflow_events",
            "workflow_events_history",
            "streams",
        )
    },
}
_INT64 = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table. `run` names the column with the run ID; None if its rows do not belong to runs."""

    name: str
    table: sa.Table
    run: str | None

    @property
    def is_carried(self) -> bool:
        """Whether its rows are useful in another database."""
        return self.name not in _LEFT_BEHIND

    @property
    def in_journal(self) -> bool:
        """Whether it is one of the engine's tables."""
        return self.name.startswith(JOURNAL)

    @property
    def run_column(self) -> sa.Column[Any] | None:
        """The column with the run ID."""
        return None if self.run is None else self.table.c[self.run]

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return tuple(column.name for column in self.table.primary_key)

    def select(self, collation: str | None, chosen: sa.Select[str] | None) -> sa.Select[Any]:
        """Return the query for the exported rows, ordered by the bytes of their keys, as on every database.

        Args:
            collation: the collation that sorts text by its bytes; None if that is the default.
            chosen: the IDs of the runs to export; None for every row.
        """
        query = sa.select(self.table).order_by(*(_in_bytes(self.table.c[name], collation) for name in self.key))
        if self.table is facts:
            query = query.where(facts.c.name != DATABASE_ID)
        if self.table is model_costs:
            # The costs of runs that were deleted stay where they were deleted.
            query = query.where(model_costs.c.execution_id != "")
        if not self.is_carried or (chosen is not None and self.run_column is None and self.table is not facts):
            return query.where(sa.false())
        return query if chosen is None or self.run_column is None else query.where(self.run_column.in_(chosen))

    def to_row(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row as JSON without its NULL values."""
        return {name: value for name, value in stored.items() if value is not None}

    def from_row(self, row: Any) -> dict[str, Any]:
        """Return the values to store for a row of a document, with None for missing columns.

        Raises:
            ValueError: it is not a row of this table.
        """
        given = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
        unknown = next((name for name in given if name not in self.table.c), None)
        if unknown is not None or not given:
            raise ValueError(f"unknown column {unknown!r}" if given else "not an object")
        return {column.name: _value(column, given.get(column.name)) for column in self.table.columns}


def check_content(section: str, row: Any) -> None:
    """Refuse a row that would do more than store a run where it is imported, or an attachment with other content.

    Raises:
        ValueError: says what is wrong with the row.
    """
    if section in _LEFT_BEHIND:
        raise ValueError("this section must be empty")
    if not isinstance(row, dict):
        return
    values = cast("dict[str, Any]", row)
    if section == attachments.name:
        check_attachment(values)
    if section.startswith(JOURNAL):
        check_journal_row(section.removeprefix(JOURNAL), values)


def list_sections(database: Database) -> tuple[Section, ...]:
    """Return a section for each table of `database`, referenced tables first."""
    return all_sections(database.journal_schema)


def all_sections(journal_schema: str | None = None) -> tuple[Section, ...]:
    """Return the sections of a document; the journal's tables are in `journal_schema`."""
    ours = (
        facts,
        executors,
        runs,
        task_states,
        signals,
        execution_events,
        execution_labels,
        attachments,
        model_costs,
        budget_raises,
        knowledge_documents,
        schedules,
        memories,
        memory_messages,
        users,
        api_keys,
        sessions,
        audit_log,
        webhook_deliveries,
    )
    if set(ours) != set(metadata.tables.values()):
        raise AssertionError("a table has no section")
    named = [(table.name, table) for table in ours]
    named += [(f"{JOURNAL}{table.name}", table) for table in _parents_first(list_journal_tables(journal_schema))]
    return tuple(Section(name=name, table=table, run=_RUN_COLUMNS.get(name)) for name, table in named)


def _parents_first(tables: tuple[sa.Table, ...]) -> list[sa.Table]:
    by_name = {table.name: table for table in tables}
    return [by_name.pop("workflow_status"), *(by_name[name] for name in sorted(by_name))]


def _in_bytes(column: sa.Column[Any], collation: str | None) -> sa.ColumnElement[Any]:
    is_text = kind_of(column.type) == "string"
    return sa.collate(column, collation) if is_text and collation is not None else column


def _value(column: sa.Column[Any], value: Any) -> Any:
    if value is None:
        if isinstance(column.type, sa.Boolean):
            return False
        if not column.nullable:
            if isinstance(column.default, ScalarElementColumnDefault):
                # A document of an earlier version does not have the column.
                return column.default.arg
            raise ValueError(f"{column.name!r} is missing")
    elif not _fits(column.type, value):
        raise ValueError(f"{column.name!r} has the wrong type")
    return value


def _fits(kind: sa.types.TypeEngine[Any], value: Any) -> bool:
    match kind_of(kind):
        case "json":
            return True
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case _:
            return isinstance(value, str)


def kind_of(kind: sa.types.TypeEngine[Any]) -> str:
    """Return how a column's values are written: `json` for any, or the name of a JSON type."""
    kinds: tuple[tuple[type[Any] | tuple[type[Any], ...], str], ...] = (
        ((sa.JSON, JsonText), "json"),
        (sa.Boolean, "boolean"),
        (sa.Integer, "integer"),
        (sa.Float, "number"),
    )
    return next((name for types, name in kinds if isinstance(kind, types)), "string")
