"""A disk that is full for a while, under a process that continues to run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from compozy.database.database import open_database
from compozy.database.migrate import migrate_up
from compozy.database.status import Status
from compozy.database.tables import facts
from compozy.durable.step import step, transact
from tests.harness.databases import fresh
from tests.integration.durable.runs import finish, new_run, read_run, read_steps, running


async def test_a_file_that_may_not_grow_and_then_may(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps that do not fit are not recorded, not even as failures. The same process continues later."""
    with fresh("sqlite", tmp_path) as settings:
        database = open_database(settings)
        migrate_up(database)
        asked: list[str] = []

        async def ask() -> str:
            asked.append("ask")
            return "small"

        def change(connection: sa.Connection) -> Any:
            connection.execute(sa.insert(facts).values(name="big", value="x" * 200_000))
            return "stored"

        async def execute(run_id: str) -> None:
            assert await step("ask", ask) == "small"
            assert await transact("change", change) == "stored"
            await finish(run_id)

        def limit(pages: int) -> None:
            with database.write() as connection:
                held = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
                connection.exec_driver_sql(f"PRAGMA max_page_count = {held + pages}")

        async with running(database, execute) as runtime:
            limit(12)
            await runtime.submit(new_run("r"), "t")
            while not asked:  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.01)
            await asyncio.sleep(1.5)  # it is retried each second
            assert read_run(database, "r").status is Status.RUNNING
            assert read_steps(database, "r") == ["ask"]
            limit(100_000)
            while read_run(database, "r").status is Status.RUNNING:  # noqa: ASYNC110 - a database sends no events
                await asyncio.sleep(0.05)
            await runtime.wait("r")
        told = [line for line in capsys.readouterr().out.splitlines() if "a run cannot continue for now" in line]
        # Each second, and not as fast as possible.
        assert 1 <= len(told) <= 6
        assert all("no space left" in line for line in told)
        assert read_run(database, "r").status is Status.SUCCESS
        assert read_steps(database, "r") == ["ask", "change", "end"]
        assert asked == ["ask"]
        database.close()
