"""Records of many runs in one transaction."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest
import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.durable.runtime import Runtime
from compozy.durable.step import transact
from compozy.errors import InternalError
from tests.harness.databases import migrated
from tests.integration.durable.runs import (
    commits_of_writer,
    finish,
    insert_name,
    new_run,
    read_run,
    running,
    stored_names,
)


class _Meeting:
    """Runs that wait for one another, while others occupy every thread of the writer."""

    def __init__(self, database: Database) -> None:
        self.blockers = database.driver.writers
        self.ready = asyncio.Semaphore(0)
        self.all_ready = asyncio.Event()
        self._block = asyncio.Semaphore(0)
        self.store = asyncio.Event()
        self._started = threading.Semaphore(0)
        self._go_on = threading.Event()

    async def occupy(self) -> None:
        """Occupy a thread: the body of a run that blocks."""
        self.ready.release()
        await self._block.acquire()
        await transact("block", self._wait)

    async def come(self, event: asyncio.Event) -> None:
        """Say that this run is ready, and wait for `event`."""
        self.ready.release()
        await event.wait()

    async def run(self, runtime: Runtime, names: list[str]) -> None:
        """Start the blockers and the runs `names`; those store at the same time, behind the blockers."""
        for name in [*(f"block{number}" for number in range(self.blockers)), *names]:
            await runtime.submit(new_run(name), "t")
        for _ in range(self.blockers + len(names)):
            await self.ready.acquire()
        self.all_ready.set()
        # One after the other: a thread stores all that wait, and would take two blockers.
        for _ in range(self.blockers):
            self._block.release()
            await asyncio.to_thread(self._started.acquire)
        self.store.set()
        # Every run hands its record over in its next turn.
        await asyncio.sleep(0.1)
        self._go_on.set()
        for name in names:
            await runtime.wait(name)

    def _wait(self, _: sa.Connection) -> None:
        self._started.release()
        self._go_on.wait(20)


async def test_waiting_records_are_stored_in_one_transaction(database: Database) -> None:
    meeting = _Meeting(database)
    names = [f"r{number}" for number in range(12)]
    counted: list[int] = []

    async def execute(run_id: str) -> None:
        if run_id.startswith("block"):
            await meeting.occupy()
            return
        await meeting.come(meeting.store)
        assert await transact("store", partial(insert_name, run_id)) == run_id
        counted.append(len(commits))
        await finish(run_id)

    async with running(database, execute, max_concurrent=100) as runtime:
        with commits_of_writer() as commits:
            await meeting.run(runtime, names)
    assert stored_names(database) == set(names)
    # When the first of them has its answer, one transaction besides those of the blockers was committed.
    assert counted[0] <= meeting.blockers + 1
    assert {read_run(database, name).status for name in names} == {Status.SUCCESS}


async def test_a_refused_record_does_not_affect_the_others(database: Database) -> None:
    meeting = _Meeting(database)
    names = [f"r{number}" for number in range(6)]
    refused: list[str] = []

    def refuse(connection: sa.Connection) -> None:
        insert_name("refused", connection)
        raise InternalError("refused")

    async def execute(run_id: str) -> None:
        if run_id.startswith("block"):
            await meeting.occupy()
            return
        await meeting.come(meeting.store)
        if run_id in {"r1", "r4"}:
            with pytest.raises(InternalError, match="refused"):
                await transact("store", refuse)
            refused.append(run_id)
        else:
            await transact("store", partial(insert_name, run_id))
        await finish(run_id)

    async with running(database, execute, max_concurrent=100) as runtime:
        await meeting.run(runtime, names)
    assert sorted(refused) == ["r1", "r4"]
    assert stored_names(database) == {"r0", "r2", "r3", "r5"}
    assert {read_run(database, name).status for name in names} == {Status.SUCCESS}


async def test_a_locked_row_delays_its_run_only(storage: DatabaseSettings) -> None:
    """On PostgreSQL; SQLite has no locks of rows."""
    with migrated(storage) as database:
        if database.is_exclusive:
            return
        meeting = _Meeting(database)
        stored: list[str] = []

        async def execute(run_id: str) -> None:
            if run_id.startswith("block"):
                await meeting.occupy()
                return
            await meeting.come(meeting.store)
            await transact("store", partial(insert_name, run_id))
            stored.append(run_id)
            await finish(run_id)

        async with running(database, execute, max_concurrent=100) as runtime:
            with database.engine.connect() as other:
                meeting_run = asyncio.create_task(meeting.run(runtime, ["r0", "r1", "r2"]))
                await meeting.all_ready.wait()
                await asyncio.to_thread(database.driver.allow_pauses, other)
                lock = sa.select(workflow_states.c.status).where(workflow_states.c.workflow_exec_id == "r1")
                await asyncio.to_thread(other.execute, lock.with_for_update())
                for name in ("r0", "r2"):
                    await runtime.wait(name)
                assert sorted(stored) == ["r0", "r2"]
                other.rollback()
                await meeting_run
        assert stored_names(database) == {"r0", "r1", "r2"}
