"""A database that refuses to record: no request is repeated, and no new one starts until it records again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.status import Status
from compozy.durable.step import step
from compozy.durable.unrecorded import Unrecorded
from compozy.errors import DatabaseError
from tests.harness.databases import fresh, migrated
from tests.integration.durable.runs import finish, new_run, read_run, read_steps, running

_ANSWER = "x" * 300_000
_RUNS = [f"r{number}" for number in range(5)]


def _fill_disk(database: Database) -> Callable[[], None]:
    """Leave space for a few small rows, and return a function that frees space again."""

    def limit(pages: int) -> None:
        with database.write() as connection:
            held = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
            connection.exec_driver_sql(f"PRAGMA max_page_count = {held + pages}")

    limit(30)
    return lambda: limit(100_000)


def _revoke_rights(database: Database) -> Callable[[], None]:
    """Revoke the right to record steps, and return a function that grants it again."""

    def change(statement: str) -> None:
        with database.write() as connection:
            connection.exec_driver_sql(statement)

    table = f"{database.journal_schema}.operation_outputs"
    change(f"REVOKE INSERT ON {table} FROM CURRENT_USER")
    return lambda: change(f"GRANT INSERT ON {table} TO CURRENT_USER")


_REFUSE = {"sqlite": _fill_disk, "postgres": _revoke_rights}


@pytest.mark.parametrize("can_wait", [False, True])
@pytest.mark.parametrize("driver", list(_REFUSE))
async def test_an_answer_that_cannot_be_recorded_is_paid_for_once(driver: str, can_wait: bool, tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    async def execute(run_id: str) -> None:
        async def ask(number: int) -> str:
            asked[f"{run_id}.{number}"] += 1
            await asyncio.sleep(0.05)
            return f"{number}{_ANSWER}"

        for number in range(2):
            answer = await step("ask", lambda number=number: ask(number), can_wait=can_wait)
            assert answer == f"{number}{_ANSWER}"
        await finish(run_id)

    with fresh(driver, tmp_path) as settings, migrated(settings) as database:
        async with running(database, execute) as runtime:
            allow = _REFUSE[driver](database)
            for run_id in _RUNS:
                assert await runtime.submit(new_run(run_id), "t")
            # Each run is retried every second.
            await asyncio.sleep(3.5)
            paid = Counter(asked)
            assert set(paid) <= {f"{run_id}.0" for run_id in _RUNS}
            assert set(paid.values()) == {1}
            # A run that is submitted now is accepted, but its model is not asked.
            assert await runtime.submit(new_run("late"), "t")
            await asyncio.sleep(2.5)
            assert asked == paid
            allow()
            async with asyncio.timeout(120):
                while any(read_run(database, run_id).status is not Status.SUCCESS for run_id in [*_RUNS, "late"]):  # noqa: ASYNC110 - a database sends no events
                    await asyncio.sleep(0.05)
            for run_id in [*_RUNS, "late"]:
                await runtime.wait(run_id)
        assert asked == Counter(f"{run_id}.{number}" for run_id in [*_RUNS, "late"] for number in range(2))
        assert all(read_steps(database, run_id) == ["ask", "ask", "end"] for run_id in [*_RUNS, "late"])


async def test_a_result_that_was_recorded_elsewhere_meanwhile_counts(database: Database) -> None:
    """Another process has executed the run: its answer counts, and the one kept here is dropped."""
    asked: list[str] = []

    async def execute(run_id: str) -> None:
        async def ask() -> Any:
            asked.append(run_id)
            return "answer"

        assert await step("ask", ask) == "answer"
        await finish(run_id)

    async with running(database, execute) as runtime:
        unrecorded: Unrecorded = vars(runtime)["_unrecorded"]
        unrecorded.keep(("r", "ask", 1), {"value": "answer"})
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
        assert asked == []
        assert unrecorded.find(("r", "ask", 1)) is None


async def test_a_probe_is_as_large_as_the_refused_row(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(database, lambda _: asyncio.sleep(0)):
        unrecorded = Unrecorded(database)
        await unrecorded.probe("r")
        unrecorded.keep(("r", "ask", 1), {"value": "x" * 10_000})
        sizes: list[int] = []

        def refuse(connection: sa.Connection, run_id: str, size: int) -> None:
            sizes.append(size)
            raise DatabaseError(f"full, {run_id}, {connection.closed}")

        with monkeypatch.context() as patched:
            patched.setattr(unrecorded, "_write_probe", refuse)
            for _ in range(2):
                with pytest.raises(DatabaseError):
                    await unrecorded.probe("r")
        assert len(sizes) == 2
        assert min(sizes) > 10_000
        await unrecorded.probe("r")
        await unrecorded.probe("r")
        assert read_steps(database, "r") == []


async def test_kept_answers_are_limited(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compozy.durable.unrecorded._KEPT_MAX", 1000)
    unrecorded = Unrecorded(database)
    for number in range(20):
        unrecorded.keep(("r", "ask", number), {"value": "x" * 300})
    kept = [number for number in range(20) if unrecorded.find(("r", "ask", number))]
    assert kept == [17, 18, 19]
    unrecorded.forget("r")
    assert not any(unrecorded.find(("r", "ask", number)) for number in range(20))
