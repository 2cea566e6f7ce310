"""The loop of a server that deletes runs and event logs which have reached the age of `retention:`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import sqlalchemy as sa
import structlog

from compozy.config.retention import RetentionSettings
from compozy.database.database import Database
from compozy.database.executors import read_clock_ms
from compozy.errors import DatabaseError
from compozy.telemetry.metrics import RETENTION_DELETED
from compozy.transfer.retention import Deleted, delete_next

_log = structlog.get_logger(__name__)

# Time between two looks for old runs.
EVERY_S = 600.0
# Time between two batches, so that runs and requests are not held up.
PAUSE_S = 0.1
# A long backlog is continued in the next round, so that other servers share the work.
_MAX_BATCHES = 500


@asynccontextmanager
async def retaining(
    settings: RetentionSettings,
    database: Database,
    *,
    clock: Callable[[sa.Connection], int] = read_clock_ms,
    every_s: float = EVERY_S,
    pause_s: float = PAUSE_S,
) -> AsyncGenerator[None]:
    """Delete old runs and event logs until the block ends; nothing if no age is set.

    Args:
        settings: the ages.
        database: the database, as requests use it.
        clock: the time, in ms since 1970 UTC; that of the leases.
        every_s: the time between two looks.
        pause_s: the time between two batches.
    """
    if not settings.is_set:
        yield
        return
    stopping = asyncio.Event()

    def delete(connection: sa.Connection) -> Deleted:
        return delete_next(database, connection, settings, clock(connection))

    async def run() -> None:
        while not stopping.is_set():
            await _delete_batches(database, delete, stopping, pause_s)
            await _wait(stopping, every_s)

    task = asyncio.create_task(run(), name="retention")
    try:
        yield
    finally:
        stopping.set()
        await task


async def _delete_batches(
    database: Database, delete: Callable[[sa.Connection], Deleted], stopping: asyncio.Event, pause_s: float
) -> None:
    """Delete until nothing is left or another process does it. Failures are logged; the next round tries again."""
    runs = logs = 0
    try:
        for _ in range(_MAX_BATCHES):
            deleted = await database.write_async(delete)
            runs, logs = runs + deleted.runs, logs + deleted.logs
            RETENTION_DELETED.add(deleted.runs, kind="run")
            RETENTION_DELETED.add(deleted.logs, kind="event_log")
            if deleted.is_done or stopping.is_set():
                break
            await _wait(stopping, pause_s)
    except DatabaseError as error:
        _log.warning("cannot delete old runs", cause=error.message)
    except Exception:  # noqa: BLE001 - the worker's edge: the next round tries again
        _log.exception("cannot delete old runs")
    if runs or logs:
        _log.info("old runs deleted", runs=runs, event_logs=logs)


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
