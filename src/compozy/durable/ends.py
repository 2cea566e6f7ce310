"""How runs end before they are done, and the log lines and metrics of their starts and ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS

from compozy.database.database import Database
from compozy.database.executions import EndedRun, NewExecution, list_ended
from compozy.database.failures import explain_failures
from compozy.database.status import Status
from compozy.durable.entries import Ended, Entries
from compozy.durable.records import end_early
from compozy.durable.recover import RunStart, find_start
from compozy.errors import DatabaseError
from compozy.telemetry.metrics import (
    EXECUTION_DURATION,
    EXECUTION_QUEUE,
    EXECUTIONS_ENDED,
    EXECUTIONS_STARTED,
    is_collecting,
)

_log = structlog.get_logger(__name__)

# Runs of one statement.
_AT_ONCE = 100
# The pause before the journal is tried again.
_PAUSE_S = 1.0


async def end_run_early(database: Database, run_id: str, status: Status, error: dict[str, Any] | None) -> bool:
    """End a run as CANCELED or TIMED_OUT; False when it had already ended.

    Raises:
        DatabaseError: the database refused.
    """
    # The journal first: if this process dies in between, the next one finds it canceled there and ends it here.
    with explain_failures(database.location):
        if await find_start(run_id) is RunStart.RESUME:
            await DBOS.cancel_workflow_async(run_id)
    ended = await database.write_async(partial(end_early, run_id=run_id, status=status, error=error))
    if ended:
        await log_ended(database, [run_id])
    return ended


def log_accepted(new: NewExecution) -> None:
    """Log and count a run that this process accepted."""
    EXECUTIONS_STARTED.add(workflow=new.workflow_id, trigger="unknown" if new.trigger is None else new.trigger.type)
    _log.info("run accepted", workflow=new.workflow_id, execution_id=new.workflow_exec_id)


async def log_ended(database: Database, run_ids: Collection[str]) -> None:
    """Log and count how runs ended, those that have; their rows are read only for that."""
    if not run_ids:
        return
    if not is_collecting() and not logging.getLogger(__name__).isEnabledFor(logging.INFO):
        return
    try:
        ended = await database.read_async(partial(list_ended, execution_ids=run_ids))
    except DatabaseError:
        # The runs ended all the same.
        return
    for run in ended:
        seconds = (run.finished_ms - run.created_ms) / 1000
        _count_end(run, seconds)
        _log.info(
            "run ended",
            workflow=run.workflow_id,
            execution_id=run.workflow_exec_id,
            status=run.status.value,
            seconds=round(seconds, 3),
        )


class Ends:
    """Closes the journal's entries of runs that ended in this process, and logs and counts the ends.

    No run waits for it: its end is stored already. Runs that end meanwhile are next, together. If the process dies
    before, another one closes the entry (`compozy.durable.recover.reconcile`).

    Args:
        database: the database of the runs.
        entries: those of this process.
    """

    def __init__(self, database: Database, entries: Entries) -> None:
        self._database = database
        self._entries = entries
        self._ended: list[str] = []
        self._unclosed: list[Ended] = []
        self._working: asyncio.Task[None] | None = None
        self._is_closing = False

    def add(self, run_id: str, entry: Ended | None = None) -> None:
        """Log the end of a run soon, and close its entry; None if the engine does that."""
        self._ended.append(run_id)
        if entry is not None:
            self._unclosed.append(entry)
        if self._working is None:
            self._working = asyncio.create_task(self._work())

    async def close(self, timeout_s: float) -> None:
        """Wait until all this is done, or the database refuses; what is left, the next process does."""
        self._is_closing = True
        if (working := self._working) is not None:
            await asyncio.wait({working}, timeout=timeout_s)
            working.cancel()

    async def _work(self) -> None:
        try:
            while self._ended or self._unclosed:
                ended, self._ended = self._ended[:_AT_ONCE], self._ended[_AT_ONCE:]
                is_closed = await self._close_entries()
                await log_ended(self._database, ended)
                if self._is_closing and not is_closed:
                    return
                if not is_closed:
                    await asyncio.sleep(_PAUSE_S)
        finally:
            self._working = None

    async def _close_entries(self) -> bool:
        """Close entries; False if the database refuses, or another transaction has locked one of them."""
        ends = self._unclosed[:_AT_ONCE]
        try:
            if ends:
                await self._database.write_async(partial(self._close, ends=ends))
        except DatabaseError as error:
            _log.warning("the ends of runs cannot be recorded in the journal for now", cause=error.message)
            return False
        del self._unclosed[: len(ends)]
        return True

    def _close(self, connection: sa.Connection, ends: Sequence[Ended]) -> None:
        self._database.driver.limit_lock_waits(connection)
        self._entries.close(connection, ends)


def _count_end(run: EndedRun, seconds: float) -> None:
    EXECUTIONS_ENDED.add(workflow=run.workflow_id, status=run.status.value)
    EXECUTION_DURATION.observe(seconds, workflow=run.workflow_id)
    if run.started_ms is not None:
        EXECUTION_QUEUE.observe((run.started_ms - run.created_ms) / 1000)
