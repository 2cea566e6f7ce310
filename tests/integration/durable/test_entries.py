"""The journal's entries of runs that this process starts: the rows that the engine would write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID

from compozy.database.database import Database
from compozy.database.executions import insert_execution
from compozy.database.status import Status
from compozy.durable.entries import Ended, Entries
from compozy.durable.recover import RunStart, find_start
from compozy.durable.runtime import run_journaled
from compozy.errors import DatabaseError
from tests.harness.databases import journal_table
from tests.integration.durable.runs import finish, new_run, read_journal, read_run, running

# Columns that differ from run to run, and one that the engine fills with the JSON text `null` on SQLite.
_OWN = frozenset({"workflow_uuid", "creator_xid", "created_at", "updated_at", "completed_at", "retention_timestamp"})
_NULL = "attributes"


@pytest.mark.parametrize("how", ["succeeds", "breaks"])
async def test_an_entry_has_the_rows_that_the_engine_writes(database: Database, how: str) -> None:
    """If a release of the engine fills another column, its rows differ from ours, and this test fails."""
    seen: dict[str, dict[str, Any]] = {}

    async def execute(run_id: str) -> None:
        seen[run_id] = _read_rows(database, run_id)
        if how == "breaks":
            raise ZeroDivisionError("a defect")
        await finish(run_id)

    async with running(database, execute) as runtime:
        with database.write() as connection:
            insert_execution(connection, new_run("engine"), owner=runtime.executor_id)
        with SetWorkflowID("engine"):
            handle = await DBOS.start_workflow_async(run_journaled, "engine")
        await asyncio.gather(handle.get_result(), return_exceptions=True)
        assert await runtime.submit(new_run("ours"), "t")
        await runtime.wait("ours")
    tokens = [seen[run_id]["workflow_status"].pop("owner_xid") for run_id in seen]
    assert len({"None", *tokens}) == 3
    assert seen["ours"] == seen["engine"]
    assert seen["ours"]["workflow_input"] != {}
    ours, engine = _read_rows(database, "ours"), _read_rows(database, "engine")
    assert ours == engine
    assert ours["workflow_status"]["status"] == ("SUCCESS" if how == "succeeds" else "ERROR")
    assert ours["workflow_output"] != {}


async def test_a_run_has_one_entry(database: Database) -> None:
    async with running(database, finish):
        first, second = (Entries(database.journal_schema, name) for name in ("first", "second"))
        with database.write() as connection:
            tokens = first.open(connection, ["a"])
            assert second.open(connection, ["a", "b"]).keys() == {"b"}
            assert first.open(connection, []) == {}
        with database.write() as connection:
            # Another execution took "a" over: its entry is not ours to close.
            first.close(connection, [Ended(run_id="a", token="of another")])
        assert (read_journal(database, "a"), read_journal(database, "b")) == ("PENDING", "PENDING")
        with database.write() as connection:
            first.close(connection, [Ended(run_id="a", token=tokens["a"])])
        assert (read_journal(database, "a"), read_journal(database, "b")) == ("SUCCESS", "PENDING")


async def test_entries_are_closed_when_the_database_answers_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, refused = Entries.close, 0

    def close_later(self: Entries, connection: sa.Connection, ends: Any) -> None:
        nonlocal refused
        if refused < 2:
            refused += 1
            raise DatabaseError("the database is locked")
        close(self, connection, ends)

    monkeypatch.setattr(Entries, "close", close_later)
    monkeypatch.setattr("compozy.durable.ends._PAUSE_S", 0.01)
    async with running(database, finish) as runtime:
        for run_id in ("a", "b"):
            await runtime.submit(new_run(run_id), "t")
        for run_id in ("a", "b"):
            await runtime.wait(run_id)
            # A run ends without it.
            assert read_run(database, run_id).status is Status.SUCCESS
        while refused < 2 or read_journal(database, "b") != "SUCCESS":  # noqa: ASYNC110 - a database sends no events
            await asyncio.sleep(0.01)
    assert refused == 2
    assert (read_journal(database, "a"), read_journal(database, "b")) == ("SUCCESS", "SUCCESS")


async def test_a_process_that_stops_leaves_entries_to_the_next_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DatabaseError("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(Entries, "close", refuse)
        patch.setattr("compozy.durable.ends._PAUSE_S", 0.01)
        async with running(database, finish) as runtime:
            await runtime.submit(new_run("r"), "t")
            await runtime.wait("r")
    assert (read_run(database, "r").status, read_journal(database, "r")) == (Status.SUCCESS, "PENDING")
    async with running(database, finish):
        while read_journal(database, "r") != "SUCCESS":  # noqa: ASYNC110 - a database sends no events
            await asyncio.sleep(0.01)


async def test_a_run_whose_entry_is_lost_is_started_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby that becomes the primary may lack the entry of a run that was claimed."""
    lost: list[str] = []

    async def find_start_later(run_id: str) -> RunStart:
        lost.append(run_id)
        with database.write() as connection:
            connection.execute(sa.text(f"DELETE FROM {journal_table(database, 'workflow_status')}"))
        return await find_start(run_id)

    monkeypatch.setattr("compozy.durable.runtime.find_start", find_start_later)
    async with running(database, finish) as runtime:
        with database.write() as connection:
            insert_execution(connection, new_run("r"), owner=None)
            Entries(database.journal_schema, "gone").open(connection, ["r"])
        runtime.wake()
        while read_run(database, "r").status is not Status.SUCCESS:  # noqa: ASYNC110 - a database sends no events
            await asyncio.sleep(0.01)
    assert (lost, read_journal(database, "r")) == (["r"], "SUCCESS")


def _read_rows(database: Database, run_id: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a run by their tables, without what differs from run to run."""
    found: dict[str, dict[str, Any]] = {}
    with database.read() as connection:
        for table in ("workflow_status", "workflow_input", "workflow_output"):
            query = sa.text(f"SELECT * FROM {journal_table(database, table)} WHERE workflow_uuid = :id")
            row: dict[str, Any] = dict(connection.execute(query, {"id": run_id}).mappings().first() or {})
            # Its arguments hold the ID of the run.
            found[table] = {name: str(row[name]).replace(run_id, "ID") for name in row.keys() - _OWN - {_NULL}}
    return found
