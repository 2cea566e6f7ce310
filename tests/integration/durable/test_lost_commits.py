"""The database lacks commits after a failover to an asynchronous standby: its runs stop or start again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.status import Status
from compozy.durable.step import step
from tests.harness.databases import journal_table
from tests.integration.durable.runs import finish, new_run, read_run, running


class Calls:
    """A run of two steps; the second one waits until it may continue."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.is_waiting = asyncio.Event()
        self.may_continue = asyncio.Event()

    async def execute(self, run_id: str) -> None:
        """Execute the steps and finish the run."""
        await step("first", self._first)
        await step("second", self._second)
        await finish(run_id)

    async def _first(self) -> str:
        self.names.append("first")
        return "first"

    async def _second(self) -> str:
        self.names.append("second")
        self.is_waiting.set()
        await self.may_continue.wait()
        return "second"


def delete(database: Database, tables: Sequence[str]) -> None:
    """Delete everything about the run `lost` from tables."""
    with database.write() as connection:
        for table in tables:
            column = "workflow_exec_id" if table == "workflow_states" else "workflow_uuid"
            connection.execute(sa.text(f"DELETE FROM {table} WHERE {column} = 'lost'"))


async def until_ended(database: Database, run_id: str) -> None:
    """Wait until a run has succeeded."""
    while read_run(database, run_id).status is not Status.SUCCESS:  # noqa: ASYNC110 - a database sends no events
        await asyncio.sleep(0.02)


@pytest.mark.timeout(60)
async def test_a_run_that_the_database_does_not_contain_stops(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = Calls()
    async with running(database, calls.execute) as runtime:
        await runtime.submit(new_run("lost"), "t")
        await calls.is_waiting.wait()
        journal = [journal_table(database, name) for name in ("operation_outputs", "workflow_status")]
        delete(database, ["workflow_states", *journal])
        calls.may_continue.set()
        await runtime.wait("lost")
        assert runtime.in_hand() == set()
        await runtime.submit(new_run("next"), "t")
        await until_ended(database, "next")
        await runtime.wait("next")
    assert calls.names == ["first", "second"] * 2
    told = capsys.readouterr()
    assert (told.out + told.err).count("the database does not contain this execution any more") == 1
    assert "Traceback" not in told.out + told.err


@pytest.mark.timeout(60)
async def test_a_run_that_its_journal_does_not_contain_starts_again(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = Calls()
    async with running(database, calls.execute) as runtime:
        await runtime.submit(new_run("lost"), "t")
        await calls.is_waiting.wait()
        delete(database, [journal_table(database, name) for name in ("operation_outputs", "workflow_status")])
        calls.may_continue.set()
        await until_ended(database, "lost")
        await runtime.wait("lost")
    assert calls.names[:3] == ["first", "second", "first"]
    told = capsys.readouterr()
    assert (told.out + told.err).count("the journal does not contain this execution any more") == 1
    assert "Traceback" not in told.out + told.err
