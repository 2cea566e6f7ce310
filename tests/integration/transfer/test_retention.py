"""`retention:` deletes runs and event logs of the given ages, on both databases, in one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from structlog.testing import capture_logs

from compozy.clock import now_ms
from compozy.config.retention import RetentionSettings
from compozy.database.database import Database
from compozy.database.lists import list_executions
from compozy.scheduler.retention import retaining
from compozy.transfer.check import check_database
from compozy.transfer.retention import TASK, Deleted, delete_next
from tests.harness.moves import rows_of
from tests.harness.runs import flowing

GOOD = "tasks: [{id: a, prompt: 'x'}, {id: b, with: {y: 1}}]"
BAD = "tasks: [{id: a, prompt: 'fail: x'}]"
WAITS = "tasks: [{id: w, type: wait, wait_for: go}]"
DAY_MS = 86_400_000


async def store_runs(database: Database) -> None:
    """Store a successful, a failed, a canceled and a waiting run."""
    async with flowing(database) as flows:
        await flows.run(GOOD, execution_id="good")
        await flows.run(BAD, execution_id="bad")
        for run_id in ("canceled", "waits"):
            await flows.start(WAITS, execution_id=run_id)
            await flows.until_waiting(run_id, "w")
    with database.write() as connection:
        # Its cancellation is not the subject of these tests.
        connection.execute(
            sa.text(
                "UPDATE workflow_states SET status = 'CANCELED', finished_ms = updated_ms "
                "WHERE workflow_exec_id = 'canceled'"
            )
        )
        connection.execute(sa.text("DELETE FROM task_states WHERE workflow_exec_id = 'canceled'"))
        connection.execute(sa.text("DELETE FROM execution_events WHERE execution_id = 'canceled' AND seq > 1"))


def delete_all(database: Database, *, after_days: float, **ages: str) -> Deleted:
    """Delete what is old enough after so many days, and return the sums."""
    settings = RetentionSettings.model_validate(ages)
    clock_ms = now_ms() + round(after_days * DAY_MS)
    runs = logs = 0
    while True:
        with database.write() as connection:
            deleted = delete_next(database, connection, settings, clock_ms)
        if deleted.is_done:
            return Deleted(runs=runs, logs=logs, is_done=True)
        runs, logs = runs + deleted.runs, logs + deleted.logs


def stored(database: Database) -> set[str]:
    with database.read() as connection:
        return {run.workflow_exec_id for run in list_executions(connection, limit=20)}


def logged(database: Database) -> set[str]:
    return {row["execution_id"] for row in rows_of(database)["execution_events"]}


def errors(database: Database) -> list[str]:
    return [finding.fault for finding in check_database(database) if finding.fault]


async def test_runs_are_deleted_at_the_age_of_their_result(database: Database) -> None:
    await store_runs(database)
    ages = {"succeeded": "30d", "failed": "90d"}
    assert delete_all(database, after_days=29, **ages) == Deleted(is_done=True)
    assert delete_all(database, after_days=31, **ages) == Deleted(runs=1, is_done=True)
    assert stored(database) == {"bad", "canceled", "waits"}
    assert delete_all(database, after_days=91, **ages) == Deleted(runs=2, is_done=True)
    # An unfinished run has no age.
    assert stored(database) == {"waits"}
    assert delete_all(database, after_days=366, **ages) == Deleted(is_done=True)
    for name, rows in rows_of(database).items():
        assert not any("good" in (row.get("workflow_exec_id"), row.get("workflow_uuid")) for row in rows), name
    assert errors(database) == []
    async with flowing(database) as flows:
        await flows.signal("waits", "go")
        await flows.ended("waits")


async def test_one_age_alone(database: Database) -> None:
    await store_runs(database)
    assert delete_all(database, after_days=31, failed="30d") == Deleted(runs=2, is_done=True)
    assert stored(database) == {"good", "waits"}
    assert errors(database) == []


async def test_event_logs_are_deleted_before_their_runs(database: Database) -> None:
    await store_runs(database)
    ages = {"succeeded": "30d", "events": "7d"}
    assert delete_all(database, after_days=6, **ages) == Deleted(is_done=True)
    assert delete_all(database, after_days=8, **ages) == Deleted(logs=3, is_done=True)
    # The log of a run that is not finished is complete.
    assert logged(database) == {"waits"}
    assert stored(database) == {"good", "bad", "canceled", "waits"}
    assert errors(database) == []
    assert delete_all(database, after_days=8, **ages) == Deleted(is_done=True)


async def test_costs_of_deleted_runs_are_counted_once(database: Database) -> None:
    async with flowing(database) as flows:
        await flows.run(GOOD, execution_id="good")
    requests = sum(row["requests"] for row in rows_of(database)["model_costs"])
    assert requests > 0
    delete_all(database, after_days=2, succeeded="1d")
    assert sum(row["requests"] for row in rows_of(database)["model_costs"]) == requests


async def test_one_process_deletes_at_a_time(database: Database) -> None:
    await store_runs(database)
    settings = RetentionSettings.model_validate({"succeeded": "1d"})
    if database.is_exclusive:
        # Only one process executes runs, and has this loop.
        return
    with database.write() as other, database.write() as connection:
        assert database.driver.take_turn(other, TASK)
        assert delete_next(database, connection, settings, now_ms() + 2 * DAY_MS) == Deleted(is_done=True)
    # The turn ends with its transaction.
    assert delete_all(database, after_days=2, succeeded="1d") == Deleted(runs=1, is_done=True)


async def until_gone(database: Database, *run_ids: str) -> None:
    """Wait until the loop has deleted runs."""
    for _ in range(6000):
        if not stored(database) & set(run_ids):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not deleted: {run_ids}")


@asynccontextmanager
async def looping(database: Database, settings: RetentionSettings) -> AsyncGenerator[None]:
    clock_ms = now_ms() + 2 * DAY_MS
    async with retaining(settings, database, clock=lambda _: clock_ms, every_s=0.01, pause_s=0.0):
        yield


async def test_the_loop_of_a_server_deletes_while_runs_are_executed(database: Database) -> None:
    async with flowing(database) as flows:
        for number in range(3):
            await flows.run(GOOD, execution_id=f"old-{number}")
        with capture_logs() as lines:
            async with looping(database, RetentionSettings.model_validate({"succeeded": "1d"})):
                await until_gone(database, "old-0", "old-1", "old-2")
                # The clock is two days ahead, so that a successful run would be deleted while it ends.
                await flows.run(BAD, execution_id="next")
        assert stored(database) == {"next"}
        assert sum(line.get("runs", 0) for line in lines if line["event"] == "old runs deleted") >= 3
    assert errors(database) == []


async def test_without_ages_nothing_is_deleted(database: Database) -> None:
    await store_runs(database)
    async with looping(database, RetentionSettings()):
        assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "retention"] == []
    assert len(stored(database)) == 4


async def test_a_failure_is_logged_and_the_next_round_tries_again(database: Database) -> None:
    await store_runs(database)
    failures = iter([True, True])

    def clock(_: sa.Connection) -> int:
        if next(failures, False):
            raise RuntimeError("no clock")
        return now_ms() + 2 * DAY_MS

    settings = RetentionSettings.model_validate({"succeeded": "1d"})
    with capture_logs() as lines:
        async with retaining(settings, database, clock=clock, every_s=0.01):
            await until_gone(database, "good")
    assert [line["event"] for line in lines].count("cannot delete old runs") == 2
