"""Results that the database refused to record, such as paid answers on a full disk: kept until they can be stored."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from compozy.database.database import Database
from compozy.database.jsontext import dump_json
from compozy.database.tables import task_states
from compozy.durable.journal_rows import SERIALIZATION

_log = structlog.get_logger(__name__)

# Characters of JSON that are kept; the oldest results give way beyond that.
_KEPT_MAX = 128 * 1024 * 1024
_PROBE_MIN = 4096
# Steps are numbered from 1, so the row of a probe is never a step.
_PROBE_ID = -1

Key = tuple[str, str, int]


class Unrecorded:
    """Results that this process could not record. A retried run finds them here and does not pay twice.

    After a refusal nothing new is paid for until a probe could be written, which is as large as what was refused.

    Args:
        database: where steps are recorded.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._outcomes: OrderedDict[Key, tuple[dict[str, Any], int]] = OrderedDict()
        self._size = 0
        self._refused_size: int | None = None
        self._probing = asyncio.Lock()

    def find(self, key: Key) -> dict[str, Any] | None:
        """Return the result of a step: its run, its name, and which one of that name it is."""
        kept = self._outcomes.get(key)
        return None if kept is None else kept[0]

    def keep(self, key: Key, outcome: dict[str, Any]) -> None:
        """Keep the result of a step that the database refused to record."""
        self.drop(key)
        size = len(dump_json(outcome))
        self._refused_size = max(size, self._refused_size or _PROBE_MIN)
        self._outcomes[key] = (outcome, size)
        self._size += size
        while self._size > _KEPT_MAX and len(self._outcomes) > 1:
            oldest = next(iter(self._outcomes))
            _log.warning("a result that cannot be recorded is dropped, to free memory", execution_id=oldest[0])
            self.drop(oldest)

    def drop(self, key: Key) -> None:
        """Forget the result of a step, where it is kept."""
        _, size = self._outcomes.pop(key, ({}, 0))
        self._size -= size

    def forget(self, run_id: str) -> None:
        """Forget the results of a run that has ended, or that another process has now."""
        for key in [key for key in self._outcomes if key[0] == run_id]:
            self.drop(key)

    async def probe(self, run_id: str) -> None:
        """Return immediately, or, after a refusal, once the database has recorded as much as it refused.

        Raises:
            DatabaseError: it still refuses; nothing must be paid for.
        """
        async with self._probing:
            if self._refused_size is None:
                return
            await self._database.write_async(partial(self._write_probe, run_id=run_id, size=self._refused_size))
            await self._database.write_async(partial(self._delete_probe, run_id=run_id))
            self._refused_size = None

    def _write_probe(self, connection: sa.Connection, run_id: str, size: int) -> None:
        """Write what recording a step writes: a row of the journal, and what the run's tasks cost."""
        self._delete_probe(connection, run_id)
        of_run = task_states.c.workflow_exec_id == run_id
        connection.execute(sa.update(task_states).where(of_run).values(usage=task_states.c.usage))
        connection.execute(
            sa.insert(self._steps).values(
                workflow_uuid=run_id,
                function_id=_PROBE_ID,
                function_name="compozy.probe",
                output=dump_json("x" * size),
                serialization=SERIALIZATION,
                retention_timestamp=0,
            )
        )

    def _delete_probe(self, connection: sa.Connection, run_id: str) -> None:
        steps = self._steps
        connection.execute(sa.delete(steps).where(steps.c.workflow_uuid == run_id, steps.c.function_id == _PROBE_ID))

    @property
    def _steps(self) -> sa.TableClause:
        columns = ("workflow_uuid", "function_id", "function_name", "output", "serialization", "retention_timestamp")
        return sa.table("operation_outputs", *map(sa.column, columns), schema=self._database.journal_schema)
