"""How runs end before they are done, and the log lines and metrics of their starts and ends."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import structlog
from dbos import DBOS

from compozy.database.database import Database
from compozy.database.executions import Execution, NewExecution, get_execution
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


async def end_run_early(database: Database, run_id: str, status: Status, error: dict[str, Any] | None) -> bool:
    """End a run as CANCELED or TIMED_OUT; False when it had already ended."""
    # The journal first: if this process dies in between, the next one finds it canceled there and ends it here.
    if await find_start(run_id) is RunStart.RESUME:
        await DBOS.cancel_workflow_async(run_id)
    ended = await database.write_async(partial(end_early, run_id=run_id, status=status, error=error))
    if ended:
        await log_end(database, run_id)
    return ended


def log_accepted(new: NewExecution) -> None:
    """Log and count a run that this process accepted."""
    EXECUTIONS_STARTED.add(workflow=new.workflow_id, trigger="unknown" if new.trigger is None else new.trigger.type)
    _log.info("run accepted", workflow=new.workflow_id, execution_id=new.workflow_exec_id)


async def log_end(database: Database, run_id: str) -> None:
    """Log and count how a run ended; its row is read only for that."""
    if not is_collecting() and not logging.getLogger(__name__).isEnabledFor(logging.INFO):
        return
    try:
        run = await database.read_async(partial(get_execution, workflow_exec_id=run_id))
    except DatabaseError:
        # The run ended all the same.
        return
    if run.status.is_final:
        seconds = ((run.finished_ms or run.created_ms) - run.created_ms) / 1000
        _count_end(run, seconds)
        _log.info(
            "run ended",
            workflow=run.workflow_id,
            execution_id=run_id,
            status=run.status.value,
            seconds=round(seconds, 3),
        )


def _count_end(run: Execution, seconds: float) -> None:
    EXECUTIONS_ENDED.add(workflow=run.workflow_id, status=run.status.value)
    EXECUTION_DURATION.observe(seconds, workflow=run.workflow_id)
    if run.started_ms is not None:
        EXECUTION_QUEUE.observe((run.started_ms - run.created_ms) / 1000)
