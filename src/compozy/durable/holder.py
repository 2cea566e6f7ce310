"""A run in the process that executes it, and what it records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.jsontext import dump_json
from compozy.durable.journal_rows import APPLICATION, SERIALIZATION

# Columns of the journal's steps that a record fills.
STEP_COLUMNS = (
    "workflow_uuid",
    "function_id",
    "function_name",
    "output",
    "started_at_epoch_ms",
    "completed_at_epoch_ms",
    "serialization",
    "application_name",
    "retention_timestamp",
)


@dataclass(eq=False, kw_only=True)
class Record:
    """One change of a run, and the step that the journal records in the same transaction.

    Attributes:
        change: uses only its connection, and returns JSON: the result of the step. It may be called again.
        function_id: the number of the step; None if the journal does not record the change.
        name: the name of the step.
        began_ms: when the change was handed over, in milliseconds since 1970.
        told: called when it is stored.
        refused: called when the database refused a transaction that was to store it with others.
        context: the variables of the caller, such as its clock.
    """

    change: Callable[[sa.Connection], Any]
    function_id: int | None = None
    name: str = ""
    began_ms: int = field(default_factory=now_ms)
    told: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    refused: Callable[[], None] | None = None
    context: Context = field(default_factory=copy_context)


@dataclass(eq=False, kw_only=True)
class Holder:
    """A run in the process that executes it: only this execution may record.

    Attributes:
        run_id: the run.
        owner: the process.
        token: of this execution, as the journal has it.
        deferred: records that wait for the next transaction of the run, which stores them first.
        storing: those that the open transaction stores.
        timer: stores what is deferred if no transaction follows; None if one does, or nothing is.
        is_lost: whether a record was refused: another process has the run, it has ended, or the database lost it.
    """

    run_id: str
    owner: str
    token: str | None
    deferred: list[Record] = field(default_factory=list[Record])
    storing: list[Record] = field(default_factory=list[Record])
    timer: asyncio.TimerHandle | None = None
    is_lost: bool = False


def make(record: Record, connection: sa.Connection, rows: list[dict[str, Any]], run_id: str) -> Any:
    """Make the change of a record, and add the row of its step to `rows`."""
    result = record.context.run(record.change, connection)
    if record.function_id is not None:
        rows.append(_row_of(run_id, record, result))
    return result


def _row_of(run_id: str, record: Record, result: Any) -> dict[str, Any]:
    completed_ms = now_ms()
    return {
        "workflow_uuid": run_id,
        "function_id": record.function_id,
        "function_name": record.name,
        "output": dump_json(result),
        "started_at_epoch_ms": record.began_ms,
        "completed_at_epoch_ms": completed_ms,
        "serialization": SERIALIZATION,
        "application_name": APPLICATION,
        "retention_timestamp": completed_ms,
    }
