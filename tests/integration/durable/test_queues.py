"""Runs in queues: which process executes them, and what becomes of those that no process serves."""

from __future__ import annotations

import asyncio

from compozy.database.database import Database
from compozy.database.status import Status
from compozy.durable.format import NOTIFIES
from compozy.durable.records import finish_run
from tests.integration.durable.runs import finish, new_run, read_run, running


async def test_a_run_of_a_queue_that_is_not_served_waits_for_another_process(database: Database) -> None:
    executed: list[str] = []

    async def execute(run_id: str) -> None:
        executed.append(run_id)
        await finish(run_id)

    async with running(database, execute, queues=["mail"]) as runtime:
        assert await runtime.submit(new_run("gpu", queue="gpu"), "t")
        for number in range(3):
            assert await runtime.submit(new_run(f"mail-{number}", queue="mail"), "t")
            await runtime.wait(f"mail-{number}")
        # Two looks for waiting runs.
        await asyncio.sleep(2.2)
    assert executed == ["mail-0", "mail-1", "mail-2"]
    waiting = read_run(database, "gpu")
    assert (waiting.status, waiting.owner, waiting.queue) == (Status.PENDING, None, "gpu")
    async with running(database, execute, queues=["mail", "gpu"]):
        while read_run(database, "gpu").status is not Status.SUCCESS:  # noqa: ASYNC110 - the database sends no events
            await asyncio.sleep(0.01)


async def test_the_notification_about_a_run_is_in_its_queue(database: Database) -> None:
    async def execute(run_id: str) -> None:
        raise AssertionError(run_id)

    async with running(database, execute, queues=["mail"]) as runtime:
        new = new_run("r", queue="gpu")
        new.definition[NOTIFIES] = True
        assert await runtime.submit(new, "t")
        await database.write_async(lambda c: finish_run(c, "r", Status.FAILED, error={"code": "x", "message": "x"}))
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT queue FROM workflow_states WHERE workflow_exec_id <> 'r'")
        assert rows.scalars().all() == ["gpu"]
