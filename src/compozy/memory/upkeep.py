"""Deletes expired conversations, in processes that stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog

from compozy.clock import now_ms
from compozy.database.database import Database
from compozy.database.memories import count_expired, delete_expired
from compozy.errors import DatabaseError

_log = structlog.get_logger(__name__)

EVERY_S = 60.0
"""Seconds between two looks for expired conversations."""


@asynccontextmanager
async def forgetting(database: Database, *, every_s: float = EVERY_S) -> AsyncGenerator[None, None]:
    """Delete expired conversations from time to time until the block ends; reading hides them immediately.

    Args:
        database: the database, as runs use it.
        every_s: seconds between two looks.
    """
    stopping = asyncio.Event()
    task = asyncio.create_task(_run(database, stopping, every_s), name="expired conversations")
    try:
        yield
    finally:
        stopping.set()
        await task


async def _run(database: Database, stopping: asyncio.Event, every_s: float) -> None:
    while not stopping.is_set():
        try:
            await forget_expired(database)
        except DatabaseError as error:
            _log.warning("cannot delete expired conversations", cause=error.message)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), every_s)


async def forget_expired(database: Database) -> int:
    """Delete the conversations that have expired and return their number; each batch is a transaction.

    Raises:
        DatabaseError: the database failed. Batches before stay deleted.
    """
    at_ms, deleted = now_ms(), 0
    # Reading first: without expired conversations, no write lock is taken.
    while await database.read_async(partial(count_expired, at_ms=at_ms)):
        found = await database.write_async(partial(delete_expired, at_ms=at_ms))
        deleted += found
        if not found:
            # Another process holds them, and deletes them.
            break
    if deleted:
        _log.info("expired conversations deleted", count=deleted)
    return deleted
