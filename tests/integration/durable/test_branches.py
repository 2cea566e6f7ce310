"""A run whose branches have ended does not wait, however late the branch that started them continues."""

from __future__ import annotations

import asyncio

from compozy.database.database import Database
from compozy.database.status import Status
from compozy.durable.context import current_run
from tests.integration.durable.runs import finish, new_run, read_run, running

# Longer than a run may wait before it gives up its slot. On a busy machine, the event loop takes as long for one round.
_LATE_S = 1.5


async def test_a_run_whose_branches_ended_is_not_suspended(database: Database) -> None:
    """It was suspended without anything that would resume it: WAITING for ever."""

    async def execute(run_id: str) -> None:
        with current_run().branching(3) as end_branch:
            for _ in range(3):
                end_branch()
            await asyncio.sleep(_LATE_S)
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await asyncio.wait_for(runtime.wait("r"), 30)
    assert read_run(database, "r").status is Status.SUCCESS


async def test_a_branch_that_waits_does_not_suspend_the_others(database: Database) -> None:
    async def execute(run_id: str) -> None:
        run = current_run()
        with run.branching(2) as end_outer:
            waiting = asyncio.create_task(run.wait(signal="never"))
            with run.branching(2) as end_inner:
                end_inner()
                end_inner()
                await asyncio.sleep(_LATE_S)
            assert run.waits_for_s() == 0
            assert run.suspension is None
            waiting.cancel()
            await asyncio.wait({waiting})
            end_outer()
            end_outer()
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await asyncio.wait_for(runtime.wait("r"), 30)
    assert read_run(database, "r").status is Status.SUCCESS


async def test_a_branch_that_never_started_is_not_counted(database: Database) -> None:
    """A race that is decided cancels branches before their first step. A later wait is still seen as one."""

    async def execute(run_id: str) -> None:
        run = current_run()
        with run.branching(3) as end_branch:
            end_branch()
        waiting = asyncio.create_task(run.wait(signal="never"))
        await asyncio.sleep(0)
        assert run.is_idle
        waiting.cancel()
        await asyncio.wait({waiting})
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await asyncio.wait_for(runtime.wait("r"), 30)
    assert read_run(database, "r").status is Status.SUCCESS
