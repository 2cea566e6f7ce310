"""The executor of each run: acceptance, slots, claims, dead processes, cancellation, deadlines, formats."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS
from structlog.testing import capture_logs

from compozy.clock import now_ms
from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.executions import insert_execution
from compozy.database.executors import insert_executor, reap_expired_executors
from compozy.database.migrate import migrate_up
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.durable.context import RunInterruptedError
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.runtime import Runtime
from compozy.durable.step import step
from compozy.errors import RunTimeoutError
from tests.harness.databases import journal_table
from tests.integration.durable.runs import finish, new_run, read_journal, read_run, read_steps, running


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is in the database, which sends no events
        await asyncio.sleep(0.01)


async def test_a_known_id_is_accepted_once(database: Database) -> None:
    executed: list[str] = []

    async def execute(run_id: str) -> None:
        executed.append(run_id)
        await finish(run_id, output={"x": 1})

    async with running(database, execute) as runtime:
        assert await runtime.submit(new_run("r"), "t")
        assert not await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
        assert not await runtime.submit(new_run("r"), "t")
    assert executed == ["r"]
    assert read_run(database, "r").output == {"x": 1}


@pytest.mark.parametrize("places", [1, 3])
async def test_no_more_runs_than_slots_and_the_oldest_first(database: Database, places: int) -> None:
    at_once = 0
    most = 0
    order: list[str] = []
    go_on = asyncio.Event()

    async def execute(run_id: str) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        order.append(run_id)
        await go_on.wait()
        await asyncio.sleep(0.01)
        at_once -= 1
        await finish(run_id)

    ids = [f"r{number}" for number in range(8)]
    async with running(database, execute, max_concurrent=places) as runtime:
        for run_id in ids:
            await runtime.submit(new_run(run_id), "t")
        assert read_run(database, "r7").status is Status.PENDING
        assert read_run(database, "r7").owner is None
        go_on.set()
        await _until(lambda: all(read_run(database, run_id).status is Status.SUCCESS for run_id in ids))
    assert most <= places
    # Runs that get slots at the same moment may start in any order. A later one never starts before them.
    assert all(abs(order.index(run_id) - ids.index(run_id)) < places for run_id in ids)


async def test_all_slots_are_used(database: Database) -> None:
    everyone = asyncio.Barrier(3)

    async def execute(run_id: str) -> None:
        # Ends only if as many runs are active as there are slots.
        await everyone.wait()
        await finish(run_id)

    async with running(database, execute, max_concurrent=3) as runtime:
        for run_id in ("a", "b", "c", "d", "e", "f"):
            await runtime.submit(new_run(run_id), "t")
        await _until(lambda: read_run(database, "f").status is Status.SUCCESS)


async def test_each_process_has_its_own_id_and_signs_off(database: Database) -> None:
    async def execute(run_id: str) -> None:
        await finish(run_id)

    seen: set[str] = set()
    for _ in range(2):
        async with running(database, execute) as runtime:
            assert DBOS.executor_id == runtime.executor_id
            assert DBOS.application_version == str(JOURNAL_FORMAT)
            seen.add(runtime.executor_id)
            with database.read() as connection:
                (row,) = connection.execute(sa.text("SELECT executor_id, lease_until_ms FROM executors")).all()
            assert row.executor_id == runtime.executor_id
            assert row.lease_until_ms > now_ms()
    assert len(seen) == 2
    assert "local" not in seen
    with database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM executors")).scalar() == 0


async def test_an_accepted_run_that_never_started_is_started_by_the_next_process(database: Database) -> None:
    with database.write() as connection:
        insert_executor(connection, "dead", role="run", lease_ms=-1)
        insert_execution(connection, new_run("r"), owner="dead")

    async def execute(run_id: str) -> None:
        await finish(run_id)

    runtime = Runtime(database, execute=execute, max_concurrent=1, role="run")
    assert await runtime.start() == 1
    await _until(lambda: read_run(database, "r").status is Status.SUCCESS)
    await runtime.wait("r")
    await runtime.stop()
    assert read_journal(database, "r") == "SUCCESS"


async def test_every_end_is_logged_once_before_the_process_stops(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="compozy.durable.ends")
    ids = [f"r{number}" for number in range(12)]
    with capture_logs() as lines:
        async with running(database, finish, max_concurrent=len(ids)) as runtime:
            assert await asyncio.gather(*(runtime.submit(new_run(run_id), "t") for run_id in ids)) == [True] * len(ids)
            await asyncio.gather(*map(runtime.wait, ids))
    ended = [(line["execution_id"], line["status"]) for line in lines if line["event"] == "run ended"]
    assert sorted(ended) == sorted((run_id, "SUCCESS") for run_id in ids)


def test_only_processes_whose_lease_expired_are_dead(database: Database) -> None:
    with database.write() as connection:
        insert_executor(connection, "alive", role="run", lease_ms=60_000)
        insert_executor(connection, "dead", role="run", lease_ms=-1)
        for owner in ("alive", "dead"):
            insert_execution(connection, new_run(owner), owner=owner)
        assert reap_expired_executors(connection).runs == 1
    assert read_run(database, "alive").owner == "alive"
    assert read_run(database, "dead").owner is None


async def test_a_run_that_is_canceled_ends_in_tables_and_journal(database: Database) -> None:
    began = asyncio.Event()

    async def execute(_: str) -> None:
        began.set()
        await asyncio.Event().wait()

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await began.wait()
        assert await runtime.cancel("r", error={"code": "canceled", "message": "by a test"})
        assert not await runtime.cancel("r")
    run = read_run(database, "r")
    assert (run.status, run.owner, run.error) == (Status.CANCELED, None, {"code": "canceled", "message": "by a test"})
    assert read_journal(database, "r") == "CANCELLED"
    with database.read() as connection:
        assert connection.execute(sa.text("SELECT status FROM task_states")).scalars().all() == ["CANCELED"]


async def test_a_run_that_waits_for_a_slot_can_be_canceled(database: Database) -> None:
    hold = asyncio.Event()

    async def execute(run_id: str) -> None:
        await hold.wait()
        await finish(run_id)

    async with running(database, execute, max_concurrent=1) as runtime:
        await runtime.submit(new_run("first"), "t")
        await runtime.submit(new_run("second"), "t")
        assert await runtime.cancel("second")
        hold.set()
        await runtime.wait("first")
    assert read_run(database, "first").status is Status.SUCCESS
    assert read_run(database, "second").status is Status.CANCELED
    assert read_journal(database, "second") is None


async def test_a_deadline_ends_a_run_in_tables_and_journal(database: Database) -> None:
    async def execute(run_id: str) -> None:
        raise RunTimeoutError(f"{run_id} is late")

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    run = read_run(database, "r")
    assert run.status is Status.TIMED_OUT
    assert run.error is not None
    assert run.error["code"] == "timeout"
    assert read_journal(database, "r") == "CANCELLED"


async def test_a_run_of_another_journal_format_is_left_untouched(database: Database) -> None:
    with database.write() as connection:
        insert_execution(connection, new_run("old", journal_format=JOURNAL_FORMAT + 1), owner=None)
    executed: list[str] = []

    async def execute(run_id: str) -> None:
        executed.append(run_id)
        await finish(run_id)

    async with running(database, execute) as runtime:
        assert not await runtime.adopt("old")
        await runtime.submit(new_run("new"), "t")
        await runtime.wait("new")
    assert executed == ["new"]
    assert read_run(database, "old").status is Status.PENDING


async def test_a_bug_in_a_run_ends_it_and_no_other(database: Database) -> None:
    async def execute(run_id: str) -> None:
        if run_id == "bad":
            raise ZeroDivisionError("a defect")
        await finish(run_id)

    async with running(database, execute) as runtime:
        for run_id in ("bad", "good"):
            await runtime.submit(new_run(run_id), "t")
        for run_id in ("bad", "good"):
            await runtime.wait(run_id)
    bad = read_run(database, "bad")
    assert bad.status is Status.FAILED
    assert bad.error is not None
    assert bad.error["code"] == "internal"
    assert read_journal(database, "bad") == "ERROR"
    assert read_run(database, "good").status is Status.SUCCESS


async def test_an_error_of_a_process_that_stops_is_not_an_error_of_its_runs(database: Database) -> None:
    """Threads of a process end while it stops, which reaches the code of a run as an error."""
    began = asyncio.Event()
    is_stopping = True

    async def execute(run_id: str) -> None:
        began.set()
        if is_stopping:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise RuntimeError("Executor shutdown has been called") from None
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await began.wait()
    assert read_run(database, "r").status is Status.RUNNING
    with pytest.raises(RunInterruptedError):
        # The engine calls a run that it took from its queue just before.
        await runtime.resume_body("r", None)
    assert read_journal(database, "r") == "PENDING"
    is_stopping = False
    async with running(database, execute):
        await _until(lambda: read_run(database, "r").status is Status.SUCCESS)


async def test_a_run_that_the_engine_begins_after_its_end_is_not_an_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(database, finish):
        logging.getLogger("dbos").error("Error executing workflow early: Event loop is closed")
    logging.getLogger("dbos").error("Error executing workflow late: Event loop is closed")
    told = [record.getMessage() for record in caplog.records if "Error executing workflow" in record.getMessage()]
    assert told == ["Error executing workflow early: Event loop is closed"]


async def test_an_end_that_the_journal_missed_is_closed_by_the_next_process(storage: DatabaseSettings) -> None:
    """The process was killed between the last commits of tables and journal: only the tables say SUCCESS."""
    database = open_database(storage)
    migrate_up(database)

    async def execute(run_id: str) -> None:
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    with database.write() as connection:
        table = journal_table(database, "workflow_status")
        connection.execute(sa.text(f"UPDATE {table} SET status = 'PENDING', completed_at = NULL"))
    async with running(database, execute) as runtime:
        await _until(lambda: read_journal(database, "r") == "SUCCESS")
    assert read_run(database, "r").status is Status.SUCCESS
    database.close()


async def test_the_queue_of_a_process_ends_with_it(database: Database) -> None:
    hold = True
    began = asyncio.Event()

    async def execute(run_id: str) -> None:
        began.set()
        if hold:
            await asyncio.Event().wait()
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await began.wait()
    hold = False
    async with running(database, execute):
        await _until(lambda: read_run(database, "r").status is Status.SUCCESS)
    with database.read() as connection:
        assert connection.execute(sa.text(f"SELECT count(*) FROM {journal_table(database, 'queues')}")).scalar() == 0


async def test_a_process_whose_lease_expired_claims_its_own_run_again(database: Database) -> None:
    """It restarts the run, and later steps of the first body are not recorded."""
    bodies: list[str] = []
    stands_still = asyncio.Event()

    async def execute(run_id: str) -> None:
        bodies.append(run_id)
        await step("first", _text)
        if len(bodies) == 1:
            stands_still.set()
            await asyncio.sleep(60)
        await finish(run_id, "done")

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await stands_still.wait()
        with database.write() as connection:
            connection.execute(sa.update(workflow_states).values(owner=None))
        while not read_run(database, "r").status.is_final:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
        await runtime.wait("r")
        assert runtime.in_hand() == set()
    assert bodies == ["r", "r"]
    assert read_steps(database, "r") == ["first", "end"]
    assert (read_run(database, "r").status, read_journal(database, "r")) == (Status.SUCCESS, "SUCCESS")


async def _text() -> Any:
    return "text"
