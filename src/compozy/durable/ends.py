"""How runs end before they are done, and the log lines and metrics of their starts and ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from functools import partial
from typing import Any

import structlog
from dbos import DBOS

from compozy.database.database import Database
from compozy.database.executions import EndedRun, NewExecution, list_ended
from compozy.database.status import Status
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

# Runs of one query.
_AT_ONCE = 100


async def end_run_early(database: Database, run_id: str, status: Status, error: dict[str, Any] | None) -> bool:
    """End a run as CANCELED or TIMED_OUT; False when it had already ended."""
    # The journal first: if this process dies in between, the next one finds it canceled there and ends it here.
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


class EndLog:
    """Logs and counts the ends of the runs of this process. Runs that end during a query are read together by the next.

    Args:
        database: the database of the runs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unread: list[str] = []
        self._reading: asyncio.Task[None] | None = None

    def add(self, run_id: str) -> None:
        """Log the end of a run soon; nothing waits for it."""
        self._unread.append(run_id)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())

    async def close(self, timeout_s: float) -> None:
        """Wait until the ends of all runs are logged, but not long for a database that does not answer."""
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=timeout_s)

    async def _read(self) -> None:
        try:
            while self._unread:
                run_ids, self._unread = self._unread[:_AT_ONCE], self._unread[_AT_ONCE:]
                await log_ended(self._database, run_ids)
        finally:
            self._reading = None


def _count_end(run: EndedRun, seconds: float) -> None:
    EXECUTIONS_ENDED.add(workflow=run.workflow_id, status=run.status.value)
    EXECUTION_DURATION.observe(seconds, workflow=run.workflow_id)
    if run.started_ms is not None:
        EXECUTION_QUEUE.observe((run.started_ms - run.created_ms) / 1000)
