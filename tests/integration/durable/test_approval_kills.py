"""SIGKILL of the process that approves a budget, at every commit: the budget is raised exactly once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from compozy.model.price import PriceConfig
from tests.harness.databases import migrated
from tests.harness.processes import Commands, Conditions, Finished
from tests.harness.projects import write_project
from tests.harness.runs import Answers, check_run, flowing
from tests.harness.stores import open_store

# The second request does not fit.
WORKFLOW = """
budget: {max_cost: 0.00003}
tasks:
  - {id: a, prompt: one, agent: {max_tokens: 1}}
  - {id: b, prompt: two, agent: {max_tokens: 1}}
"""
# More commits than an answer has.
_MOST_KILLS = 40


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
async def test_a_killed_approval_raises_the_budget_once(tmp_path: Path, driver: str, commands: Commands) -> None:
    with open_store(driver, tmp_path) as store:
        write_project(tmp_path, database=store.section)
        path = {"path": str(tmp_path / "data/compozy.db")} if driver == "sqlite" else {}
        with migrated(DatabaseSettings.model_validate({**store.section, **path})) as database:
            statuses: list[int] = []
            while 0 not in statuses and len(statuses) < _MOST_KILLS:
                statuses.append(await _approve_and_kill(database, tmp_path, commands, len(statuses) + 1))
    # Before and after each commit, until no commit was left.
    assert statuses[-1] == 0
    assert len(statuses) >= 3
    assert set(statuses[:-1]) == {-signal.SIGKILL}


async def _approve_and_kill(database: Database, folder: Path, commands: Commands, kill_at: int) -> int:
    """Approve the budget of a new run, killed at one commit, and again; return the status of the killed process."""
    run_id, model = f"run-{kill_at}", Answers()
    model.price = PriceConfig(input=3.5, output=11)

    async def approve(kill_at: int = 0) -> Finished:
        arguments = ("workflow", "approve", run_id, "--add-cost", "1.00")
        return await asyncio.to_thread(commands.run, folder, *arguments, conditions=Conditions(kill_at=kill_at))

    async with flowing(database, answers=model) as flows:
        await flows.start(WORKFLOW, execution_id=run_id)
        await flows.until(run_id, lambda ran: ran.status == "WAITING")
    killed = await approve(kill_at)
    stored = _count(database, "signals", "workflow_exec_id", run_id)
    again = await approve()
    # The second process answers if the first one did not, and is refused otherwise.
    assert (again.status == 0) == (stored == 0), again.err
    assert again.status == 0 or "has got its answer already" in again.err
    async with flowing(database, answers=model) as flows:
        ran = await flows.ended(run_id)
    late = await approve()
    assert late.status != 0
    check_run(ran)
    assert ran.status == "SUCCESS"
    assert model.answered == ["one", "two"]
    assert _count(database, "signals", "workflow_exec_id", run_id) == 1
    with database.read() as connection:
        raised = sa.text("SELECT path, cost_micros, approved FROM budget_raises WHERE execution_id = :id")
        assert list(connection.execute(raised, {"id": run_id})) == [("budget:1", 1_000_000, 1)]
    states = [event.data["state"] for event in ran.events if event.kind == "budget"]
    assert states.count("raised") == 1
    return killed.status


def _count(database: Database, table: str, column: str, value: str) -> int:
    query = sa.select(sa.func.count()).select_from(sa.table(table)).where(sa.column(column) == value)
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())
