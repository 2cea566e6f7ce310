"""Budgets of a day: one process never exceeds them, and several only by what is in flight in the others."""

from __future__ import annotations

import multiprocessing
from contextlib import ExitStack

import sqlalchemy as sa

from compozy.database.database import Database
from tests.harness.databases import migrated
from tests.harness.postgres import new_database
from tests.harness.processes import other_process
from tests.harness.spending import CONCURRENT, LIMIT, RUNS, spend_day, spend_day_together


def _requests(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.text("SELECT sum(requests) FROM model_costs")).scalar_one())


async def test_concurrent_runs_spend_exactly_the_budget_of_a_day(database: Database) -> None:
    assert await spend_day(database, "r") == (LIMIT, RUNS - LIMIT)
    assert _requests(database) == LIMIT


def test_two_workers_exceed_the_budget_of_a_day_by_requests_in_flight_only() -> None:
    workers = 2
    with new_database() as settings, migrated(settings) as database:
        forks = multiprocessing.get_context("forkserver")
        barrier, results = forks.Barrier(workers), forks.SimpleQueue()
        with ExitStack() as stack:
            processes = [
                stack.enter_context(other_process(spend_day_together, settings, f"w{number}", barrier, results))
                for number in range(workers)
            ]
            for process in processes:
                process.join()
            assert [process.exitcode for process in processes] == [0] * workers
        ended: list[tuple[int, int]] = [results.get() for _ in processes]
        requests = _requests(database)
    succeeded = sum(good for good, _ in ended)
    assert sum(map(sum, ended)) == workers * RUNS
    assert succeeded == requests
    # Each knows the other's recorded requests, not those in flight, of which it has as many as runs.
    assert LIMIT <= requests <= LIMIT + CONCURRENT * (workers - 1)
