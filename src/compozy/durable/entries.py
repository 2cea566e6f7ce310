"""The journal's entries of runs that this process starts, written in transactions with other rows.

The rows are those that the engine writes: it reads them if it resumes the run, here or in another process. The engine
would write each of them in a transaction for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.jsontext import dump_json
from compozy.database.tables import insert_if_new
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.journal_rows import APPLICATION, RUN_FUNCTION, SERIALIZATION, inputs_of
from compozy.ids import new_token

# The engine's states of an entry.
PENDING, SUCCESS, ERROR = "PENDING", "SUCCESS", "ERROR"
# Columns of a new entry that are the same for all runs of all processes.
_FIXED: dict[str, Any] = {
    "status": PENDING,
    "name": RUN_FUNCTION,
    "application_version": str(JOURNAL_FORMAT),
    "application_id": "",
    "application_name": APPLICATION,
    "serialization": SERIALIZATION,
    "recovery_attempts": 1,
    "priority": 0,
    "was_forked_from": False,
    "rate_limited": False,
    "is_debounced": False,
}
_CHANGED = ("workflow_uuid", "executor_id", "owner_xid", "creator_xid", "created_at", "updated_at")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that ended in this process.

    Attributes:
        token: of the execution.
        error: the exception that a defect raised, as JSON; None if there was none.
    """

    run_id: str
    token: str
    error: str | None = None


class Entries:
    """Writes the entries of one process.

    Args:
        schema: of the journal; None if it is next to our tables.
        executor_id: this process.
    """

    def __init__(self, schema: str | None, executor_id: str) -> None:
        self.executor_id = executor_id
        entries = sa.table(
            "workflow_status", *map(sa.column, (*_CHANGED, *_FIXED, "deduplication_id", "completed_at")), schema=schema
        )
        inputs, outputs = (
            sa.table(name, *map(sa.column, ("workflow_uuid", *values, "retention_timestamp")), schema=schema)
            for name, values in (("workflow_input", ("inputs",)), ("workflow_output", ("output", "error")))
        )
        self._open = insert_if_new(entries).returning(entries.c.workflow_uuid)
        self._add_input = insert_if_new(inputs)
        self._close = (
            sa.update(entries)
            .where(entries.c.workflow_uuid.in_(sa.bindparam("_ids", expanding=True)))
            .where(entries.c.owner_xid.in_(sa.bindparam("_tokens", expanding=True)))
            .where(entries.c.status == PENDING)
            .values(
                status=sa.bindparam("_status"),
                deduplication_id=None,
                owner_xid=None,
                updated_at=sa.bindparam("_now"),
                completed_at=sa.bindparam("_now"),
            )
            .returning(entries.c.workflow_uuid)
        )
        self._add_output = insert_if_new(outputs)

    def open(self, connection: sa.Connection, run_ids: Sequence[str]) -> dict[str, str]:
        """Open entries of runs that this process starts.

        Returns:
            The tokens of their executions by run ID. Runs that have an entry are omitted, and not changed.
        """
        if not run_ids:
            return {}
        now = now_ms()
        tokens = {run_id: new_token() for run_id in run_ids}
        rows = [self._row_of(run_id, token, now) for run_id, token in tokens.items()]
        # With RETURNING, several rows are one statement.
        opened = connection.execute(self._open, rows).scalars().all()
        if opened:
            given = [{"workflow_uuid": id_, "inputs": inputs_of(id_), "retention_timestamp": now} for id_ in opened]
            connection.execute(self._add_input, given)
        return {run_id: tokens[run_id] for run_id in opened}

    def _row_of(self, run_id: str, token: str, now: int) -> dict[str, Any]:
        values = (run_id, self.executor_id, token, token, now, now)
        return {**_FIXED, **dict(zip(_CHANGED, values, strict=True))}

    def close(self, connection: sa.Connection, ends: Sequence[Ended]) -> None:
        """Close the entries of runs that have ended, except those that another execution has taken over."""
        now = now_ms()
        errors = {end.run_id: end.error for end in ends}
        for status, closed in (
            (SUCCESS, [end for end in ends if end.error is None]),
            (ERROR, [end for end in ends if end.error is not None]),
        ):
            if not closed:
                continue
            named = {"_ids": [end.run_id for end in closed], "_tokens": [end.token for end in closed]}
            ids = connection.execute(self._close, {**named, "_status": status, "_now": now}).scalars().all()
            if ids:
                connection.execute(self._add_output, [_output_of(run_id, errors[run_id], now) for run_id in ids])


def _output_of(run_id: str, error: str | None, now: int) -> dict[str, Any]:
    output = dump_json(None) if error is None else None
    return {"workflow_uuid": run_id, "output": output, "error": error, "retention_timestamp": now}
