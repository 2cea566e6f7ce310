"""Requests of a server while runs use all their threads and connections."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest
from sqlalchemy.pool import QueuePool

from compozy.database.database import Database, open_database
from compozy.database.executions import get_status, insert_execution
from compozy.database.status import Status
from tests.harness.databases import fresh, migrated, new_run

# More than the threads of an event loop on any machine.
_BUSY = 64


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
async def test_requests_do_not_wait_for_the_threads_of_runs(driver: str, tmp_path: Path) -> None:
    released = threading.Event()
    with fresh(driver, tmp_path) as settings, migrated(settings) as database, database.for_requests() as requests:
        runs = [asyncio.create_task(asyncio.to_thread(released.wait)) for _ in range(_BUSY)]
        try:
            await asyncio.wait_for(_store_and_read(requests), 60)
        finally:
            released.set()
            await asyncio.gather(*runs)


@pytest.mark.parametrize("connections", [8, 25])
async def test_requests_do_not_wait_for_the_connections_of_runs(connections: int, tmp_path: Path) -> None:
    with (
        fresh("postgres", tmp_path) as place,
        migrated(place.model_copy(update={"max_open_conns": connections})) as database,
        database.for_requests() as requests,
        contextlib.ExitStack() as stack,
    ):
        in_use = _take_all(database, stack)
        await asyncio.wait_for(_store_and_read(requests), 60)
        # One is for notifications of the engine, one announces changes of this process, and one receives those of
        # others.
        assert in_use + _take_all(requests, stack) == connections - 3


async def test_queries_do_not_wait_for_transactions(tmp_path: Path) -> None:
    """This applies to requests, too: on a file, transactions queue for one connection."""
    released = threading.Event()
    with fresh("sqlite", tmp_path) as settings, migrated(settings) as database, database.for_requests() as requests:
        writes = [asyncio.create_task(requests.write_async(lambda _: released.wait())) for _ in range(_BUSY)]
        try:
            status = await asyncio.wait_for(requests.read_async(lambda c: get_status(c, "none")), 60)
        finally:
            released.set()
            await asyncio.gather(*writes)
    assert status is None


def test_few_connections_are_shared(tmp_path: Path) -> None:
    with fresh("postgres", tmp_path) as place:
        database = open_database(place.model_copy(update={"max_open_conns": 5}))
        with database.for_requests() as requests:
            assert requests.engine is database.engine
        database.close()


async def _store_and_read(requests: Database) -> None:
    await requests.write_async(lambda connection: insert_execution(connection, new_run("a"), owner=None))
    assert await requests.read_async(lambda connection: get_status(connection, "a")) is Status.PENDING


def _take_all(database: Database, stack: contextlib.ExitStack) -> int:
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    count = pool.size()
    for _ in range(count):
        stack.enter_context(database.write()).exec_driver_sql("SELECT 1")
    return count
