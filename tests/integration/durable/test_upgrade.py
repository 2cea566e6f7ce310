"""A cut run is resumed after an upgrade within one journal format, and left untouched across formats."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.migrate import migrate_up
from compozy.database.status import Status
from compozy.durable import claims, journal
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.step import step
from tests.harness.databases import journal_table
from tests.integration.durable.runs import finish, new_run, read_journal, read_run, running


async def _cut(database: Database, calls: list[str]) -> None:
    """Start the run `r`, and end its process after the first of two steps."""
    reached = asyncio.Event()

    async def execute(_: str) -> None:
        await step("first", _recorder(calls, "old first"))
        reached.set()
        await asyncio.Event().wait()

    async with running(database, execute) as old:
        await old.submit(new_run("r"), "t")
        await reached.wait()


def _recorder(calls: list[str], name: str) -> Any:
    async def call() -> str:
        calls.append(name)
        return name

    return call


async def test_a_new_release_resumes_runs_of_an_old_one(storage: DatabaseSettings) -> None:
    database = open_database(storage)
    migrate_up(database)
    calls: list[str] = []
    results: list[Any] = []
    await _cut(database, calls)

    # Another release: a different program text, from which DBOS would derive a different version.
    @DBOS.workflow(name="only.in.the.new.release")
    async def _() -> None:
        results.append("never called")

    async def execute(run_id: str) -> None:
        results.append(await step("first", _recorder(calls, "new first")))
        results.append(await step("second", _recorder(calls, "new second")))
        await finish(run_id)

    async with running(database, execute) as new:
        assert DBOS.application_version == str(JOURNAL_FORMAT)
        while read_run(database, "r").status is not Status.SUCCESS:  # noqa: ASYNC110 - a database sends no events
            await asyncio.sleep(0.02)
        await new.wait("r")
    assert results == ["old first", "new second"]
    assert calls == ["old first", "new second"]
    assert read_journal(database, "r") == "SUCCESS"
    database.close()


async def test_a_release_with_another_format_leaves_the_run_untouched(
    storage: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(storage)
    migrate_up(database)
    calls: list[str] = []
    await _cut(database, calls)
    with monkeypatch.context() as later:
        for module in (claims, journal):
            later.setattr(module, "JOURNAL_FORMAT", JOURNAL_FORMAT + 1)

        async def refuse(_: str) -> None:
            calls.append("taken by the wrong release")

        async with running(database, refuse) as new:
            assert DBOS.application_version == str(JOURNAL_FORMAT + 1)
            assert not await new.adopt("r")
            await asyncio.sleep(1.5)  # longer than its interval of looking for runs without an owner
    assert calls == ["old first"]
    assert read_run(database, "r").status is Status.RUNNING

    async def execute(run_id: str) -> None:
        await step("first", _recorder(calls, "again"))
        await finish(run_id)

    async with running(database, execute) as old:
        while read_run(database, "r").status is not Status.SUCCESS:  # noqa: ASYNC110 - a database sends no events
            await asyncio.sleep(0.02)
        await old.wait("r")
    assert calls == ["old first"]
    with database.read() as connection:
        table = journal_table(database, "workflow_status")
        versions = connection.execute(sa.text(f"SELECT DISTINCT application_version FROM {table}")).scalars()
        assert list(versions) == [str(JOURNAL_FORMAT)]
    database.close()
