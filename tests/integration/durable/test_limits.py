"""Runs with limits in a process: who waits, who is next, and that no limit is exceeded over processes."""

from __future__ import annotations

import asyncio
from functools import partial

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.admission import Admission, list_holders
from compozy.database.database import Database
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.durable.records import accept
from tests.integration.durable.runs import finish, new_run, read_run, running

TWO = Admission(group="w/", concurrency=2)


async def test_runs_wait_for_those_that_are_executed(database: Database) -> None:
    executed: list[str] = []
    most = 0
    end = asyncio.Event()

    async def execute(run_id: str) -> None:
        nonlocal most
        executed.append(run_id)
        with database.read() as connection:
            most = max(most, len(list_holders(connection, "w/", limit=9)))
        if run_id == "r0":
            await end.wait()
        await finish(run_id)

    async with running(database, execute, max_concurrent=9) as runtime:
        for number in range(6):
            assert await runtime.submit(new_run(f"r{number}", admission=TWO), "t")
        assert await runtime.submit(new_run("free"), "t")
        await runtime.wait("free")
        while read_run(database, "r5").status is not Status.SUCCESS:  # noqa: ASYNC110 - the database sends no events
            await asyncio.sleep(0.01)
        assert read_run(database, "r0").status is Status.RUNNING
        end.set()
        await runtime.wait("r0")
    assert most == 2
    limited = [run_id for run_id in executed if run_id != "free"]
    # The first two begin together.
    assert (sorted(limited[:2]), limited[2:]) == (["r0", "r1"], ["r2", "r3", "r4", "r5"])


async def test_a_waiting_run_is_not_adopted(database: Database) -> None:
    async def execute(run_id: str) -> None:
        await asyncio.Event().wait()

    async with running(database, execute, max_concurrent=9) as runtime:
        for run_id in ("a", "b", "c"):
            assert await runtime.submit(new_run(run_id, admission=TWO), "t")
        assert not await runtime.adopt("c")
        assert read_run(database, "c").status is Status.PENDING


async def test_a_place_that_no_end_has_given_is_taken_soon(database: Database) -> None:
    """The next look of a process finds it, such as after a move out of the database."""

    async def execute(run_id: str) -> None:
        await finish(run_id)

    one = Admission(group="w/", concurrency=1)
    for run_id in ("gone", "next"):
        assert await database.write_async(
            partial(accept, new=new_run(run_id, admission=one), first_task="t", kind="basic", owner=None)
        )
    this = workflow_states.c.workflow_exec_id == "gone"
    await database.write_async(lambda c: c.execute(sa.update(workflow_states).where(this).values(status="MOVED")))
    assert read_run(database, "next").held_ms is not None
    async with running(database, execute):
        while read_run(database, "next").status is not Status.SUCCESS:  # noqa: ASYNC110 - the database sends no events
            await asyncio.sleep(0.01)


async def test_a_run_whose_time_passes_while_it_waits_is_timed_out(database: Database) -> None:
    executed: list[str] = []

    async def execute(run_id: str) -> None:
        executed.append(run_id)
        await asyncio.Event().wait()

    async with running(database, execute, max_concurrent=9) as runtime:
        for run_id in ("a", "b"):
            assert await runtime.submit(new_run(run_id, admission=TWO), "t")
        assert await runtime.submit(new_run("late", admission=TWO, deadline_ms=now_ms() + 100), "t")
        while read_run(database, "late").status is not Status.TIMED_OUT:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    assert "late" not in executed
    error = read_run(database, "late").error or {}
    assert (error["code"], error["message"]) == ("timeout", "it had no place within its time limit")
