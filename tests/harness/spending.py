"""Processes that spend one budget of a day."""

from __future__ import annotations

import asyncio
import contextlib
from multiprocessing.queues import SimpleQueue
from threading import Barrier

from compozy.agent.budget import BudgetConfig
from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from tests.harness.runs import Flows, flowing

# Runs of each process, and how many of them it executes concurrently.
RUNS = 12
CONCURRENT = 3
LIMIT = 10
_PATIENCE_S = 300
# A request is slow enough that others are in flight.
_WORKFLOW = "tasks: [{id: a, prompt: 'slow 0.05: x'}]"


async def spend_day(database: Database, name: str, barrier: Barrier | None = None) -> tuple[int, int]:
    """Start runs of one request each under a daily budget of `LIMIT` requests.

    Returns:
        The number of runs that succeeded, and of those that the budget refused.
    """
    budget = BudgetConfig.model_validate({"max_requests": LIMIT, "on_exceeded": "fail"})
    async with flowing(database, day_budget=budget, max_concurrent=CONCURRENT) as flows:
        if barrier is not None:
            await asyncio.to_thread(barrier.wait, _PATIENCE_S)
        ids = [await flows.start(_WORKFLOW, execution_id=f"{name}-{number}") for number in range(RUNS)]
        codes = [await _code_of(flows, run_id) for run_id in ids]
    assert set(codes) <= {"", "budget"}, codes
    return codes.count(""), codes.count("budget")


async def _code_of(flows: Flows, run_id: str) -> str:
    """Return the error code of an ended run, "" for a success."""
    return str(((await flows.ended(run_id)).run.error or {}).get("code", ""))


def spend_day_together(
    settings: DatabaseSettings, name: str, barrier: Barrier, results: SimpleQueue[tuple[int, int]]
) -> None:
    """Do so when all processes of the barrier do, and report the numbers."""
    with contextlib.closing(open_database(settings)) as database:
        results.put(asyncio.run(spend_day(database, name, barrier)))
