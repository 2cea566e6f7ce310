"""Records of many runs in one transaction, and records that wait for the next transaction of their run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

import pytest
import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.commits import add_commit_hook, remove_commit_hook
from compozy.database.database import Database
from compozy.database.status import Status
from compozy.database.tables import facts, workflow_states
from compozy.durable.context import Suspension, current_run
from compozy.durable.runtime import Runtime
from compozy.durable.step import step, tell, transact, transact_later
from compozy.errors import InternalError
from tests.harness.databases import migrated
from tests.integration.durable.runs import finish, new_run, read_run, read_steps, running


@contextmanager
def _commits_of_writer() -> Generator[list[str], None, None]:
    """Note the thread of each commit of the writer."""
    commits: list[str] = []

    def hook(moment: str) -> None:
        name = threading.current_thread().name
        if moment == "after" and name.startswith("compozy-writer"):
            commits.append(name)

    add_commit_hook(hook)
    try:
        yield commits
    finally:
        remove_commit_hook(hook)


def _insert(name: str, connection: sa.Connection) -> str:
    connection.execute(sa.insert(facts).values(name=name, value="1"))
    return name


def _nothing() -> None:
    pass


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


def _names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(sa.select(facts.c.name).where(facts.c.value == "1")).scalars())


async def test_waiting_records_are_stored_in_one_transaction(database: Database) -> None:
    meeting = _Meeting(database)
    names = [f"r{number}" for number in range(12)]
    counted: list[int] = []

    async def execute(run_id: str) -> None:
        if run_id.startswith("block"):
            await meeting.occupy()
            return
        await meeting.come(meeting.store)
        assert await transact("store", partial(_insert, run_id)) == run_id
        counted.append(len(commits))
        await finish(run_id)

    async with running(database, execute, max_concurrent=100) as runtime:
        with _commits_of_writer() as commits:
            await meeting.run(runtime, names)
    assert _names(database) == set(names)
    # When the first of them has its answer, one transaction besides those of the blockers was committed.
    assert counted[0] <= meeting.blockers + 1
    assert {read_run(database, name).status for name in names} == {Status.SUCCESS}


async def test_a_refused_record_does_not_affect_the_others(database: Database) -> None:
    meeting = _Meeting(database)
    names = [f"r{number}" for number in range(6)]
    refused: list[str] = []

    def refuse(connection: sa.Connection) -> None:
        _insert("refused", connection)
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
            await transact("store", partial(_insert, run_id))
        await finish(run_id)

    async with running(database, execute, max_concurrent=100) as runtime:
        await meeting.run(runtime, names)
    assert sorted(refused) == ["r1", "r4"]
    assert _names(database) == {"r0", "r2", "r3", "r5"}
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
            await transact("store", partial(_insert, run_id))
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
        assert _names(database) == {"r0", "r1", "r2"}


async def test_later_records_are_stored_before_anything_outside_happens(database: Database) -> None:
    told: list[str] = []
    seen: list[tuple[str, set[str], list[str]]] = []

    async def execute(run_id: str) -> None:
        for name in ("a", "b"):
            await transact_later(name, partial(_insert, name), {"is": name}, partial(told.append, f"{name} ended"))
            tell(partial(told.append, f"after {name}"))
        seen.append(("before", _names(database), list(told)))

        async def ask() -> str:
            seen.append(("asked", _names(database), list(told)))
            return "answer"

        assert await step("ask", ask) == "answer"
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    order = ["a ended", "after a", "b ended", "after b"]
    assert seen == [("before", set(), []), ("asked", {"a", "b"}, order)]
    assert read_steps(database, "r") == ["a", "b", "ask", "end"]


async def test_later_records_are_stored_with_the_next_transaction(database: Database) -> None:
    commits_of_run: list[int] = []

    async def execute(run_id: str) -> None:
        with _commits_of_writer() as commits:
            for number in range(5):
                await transact_later(f"s{number}", partial(_insert, f"s{number}"), None, _nothing)
            await finish(run_id)
            commits_of_run.append(len(commits))

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert commits_of_run == [1]
    assert read_steps(database, "r") == [*(f"s{number}" for number in range(5)), "end"]


async def test_many_later_records_are_stored_on_the_way(database: Database) -> None:
    stored: list[int] = []

    async def execute(run_id: str) -> None:
        for number in range(100):
            await transact_later(f"s{number}", partial(_insert, f"s{number}"), None, _nothing)
            stored.append(len(_names(database)))
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert all(number + 1 - count < 32 for number, count in enumerate(stored))
    assert len(_names(database)) == 100


async def test_later_records_survive_a_transaction_that_is_refused(database: Database) -> None:
    told: list[str] = []

    def refuse(connection: sa.Connection) -> None:
        _insert("refused", connection)
        raise InternalError("refused")

    async def execute(run_id: str) -> None:
        await transact_later("a", partial(_insert, "a"), None, partial(told.append, "a"))
        with pytest.raises(InternalError):
            await transact("refused", refuse)
        assert told == []
        await transact("b", partial(_insert, "b"))
        assert told == ["a"]
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert _names(database) == {"a", "b"}
    assert read_steps(database, "r") == ["a", "b", "end"]


async def test_a_pause_stores_later_records(database: Database) -> None:
    async def execute(_: str) -> None:
        await transact_later("a", partial(_insert, "a"), None, _nothing)
        context = current_run()
        context.suspend(Suspension.PAUSE)
        context.check()

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert _names(database) == {"a"}
    assert read_steps(database, "r") == ["a"]


async def test_a_process_that_stops_makes_later_records_again(database: Database) -> None:
    calls: list[str] = []
    reached = asyncio.Event()
    hold = True

    async def execute(run_id: str) -> None:
        calls.append("begun")
        await transact_later("a", partial(_insert, "a"), None, partial(calls.append, "told"))
        if hold:
            reached.set()
            await asyncio.Event().wait()
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await reached.wait()
    assert (_names(database), calls) == (set(), ["begun"])
    hold = False
    async with running(database, execute) as runtime:
        while read_run(database, "r").status is not Status.SUCCESS:
            await asyncio.sleep(0.05)
            await runtime.wait("r")
    assert (_names(database), calls) == ({"a"}, ["begun", "begun", "told"])
