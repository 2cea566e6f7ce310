"""Guarantees of `step` and `transact`, and the behavior of DBOS that they rely on."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from typing import Any

import pytest
import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.facts import DATABASE_ID
from compozy.database.status import Status
from compozy.database.tables import facts
from compozy.durable.context import RunInterruptedError
from compozy.durable.journal import JournalSerializer
from compozy.durable.step import step, transact
from compozy.errors import InternalError, ModelError
from tests.harness.databases import journal_table
from tests.integration.durable.runs import finish, new_run, read_journal, read_run, read_steps, running


async def test_a_step_is_recorded_and_its_result_is_returned(database: Database) -> None:
    results: list[Any] = []

    async def call() -> Any:
        return {"text": "naïve \x00 \U0001f600", "n": 1.5}

    async def execute(run_id: str) -> None:
        results.append(await step("ask", call))
        await finish(run_id)

    async with running(database, execute) as runtime:
        assert await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert results == [{"text": "naïve \x00 \U0001f600", "n": 1.5}]
    assert read_steps(database, "r") == ["ask", "end"]
    assert (read_run(database, "r").status, read_journal(database, "r")) == (Status.SUCCESS, "SUCCESS")


async def test_an_error_in_a_step_is_recorded_and_raised_again_with_its_class(database: Database) -> None:
    raised: list[Exception] = []

    async def refuse() -> Any:
        raise ModelError("no key", hint="set one", details={"provider": "p"})

    async def break_down() -> Any:
        raise ZeroDivisionError("a defect")

    async def execute(run_id: str) -> None:
        for call in (refuse, break_down):
            try:
                await step("ask", call)
            except (ModelError, InternalError) as error:
                raised.append(error)
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    first, second = raised
    assert isinstance(first, ModelError)
    assert (first.message, first.hint, first.details) == ("no key", "set one", {"provider": "p"})
    assert isinstance(second, InternalError)
    assert "ZeroDivisionError" in second.message
    with database.read() as connection:
        table = journal_table(database, "operation_outputs")
        outputs = connection.execute(sa.text(f"SELECT output, error, serialization FROM {table}")).all()
    # Errors are our JSON; nothing is pickled anywhere.
    assert all(error is None and serialization == "compozy_json" for _, error, serialization in outputs)


async def test_tables_and_journal_change_in_one_commit(database: Database) -> None:
    """`call_txn_as_step` is not public in DBOS; this fails when a release changes it."""
    seen: list[Any] = []

    def change(connection: sa.Connection) -> Any:
        connection.execute(sa.insert(facts).values(name="a", value="1"))
        # This step's row of the journal appears with this transaction, on this connection.
        count = sa.text(
            f"SELECT count(*) FROM {journal_table(database, 'operation_outputs')} WHERE function_name = 'both'"
        )
        seen.append(connection.execute(count).scalar())
        return {"done": True}

    def fail(connection: sa.Connection) -> Any:
        connection.execute(sa.insert(facts).values(name="b", value="1"))
        raise InternalError("after the insert")

    async def execute(run_id: str) -> None:
        seen.append(await transact("both", change))
        with pytest.raises(InternalError):
            await transact("neither", fail)
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert seen == [0, {"done": True}]
    with database.read() as connection:
        assert set(connection.execute(sa.select(facts.c.name)).scalars()) == {"a", DATABASE_ID}
    assert read_steps(database, "r")[0] == "both"


async def test_a_replay_returns_recorded_results_and_repeats_nothing(database: Database) -> None:
    calls: list[str] = []
    reached = asyncio.Event()
    hold = True

    async def execute(run_id: str) -> None:
        async def ask() -> Any:
            calls.append("ask")
            return len(calls)

        def change(_: sa.Connection) -> Any:
            calls.append("change")
            return len(calls)

        assert await step("ask", ask) == 1
        assert await transact("change", change) == 2
        if hold:
            reached.set()
            await asyncio.Event().wait()
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await reached.wait()
    assert (read_run(database, "r").status, read_run(database, "r").owner) == (Status.RUNNING, None)
    assert read_journal(database, "r") == "PENDING"
    hold = False
    async with running(database, execute) as runtime:
        while read_run(database, "r").status is not Status.SUCCESS:
            await asyncio.sleep(0.05)
            await runtime.wait("r")
    assert calls == ["ask", "change"]
    assert read_journal(database, "r") == "SUCCESS"


async def test_a_process_that_lost_a_run_can_record_nothing_more(database: Database) -> None:
    """A process stopped until others claimed its run: the journal refuses its further steps."""
    lost = asyncio.Event()
    go_on = asyncio.Event()
    stored: list[str] = []

    def change(connection: sa.Connection) -> Any:
        connection.execute(sa.insert(facts).values(name="zombie", value="1"))
        return None

    async def execute(_: str) -> None:
        lost.set()
        await go_on.wait()
        await transact("late", change)
        stored.append("late")

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await lost.wait()
        with database.write() as connection:
            table = journal_table(database, "workflow_status")
            connection.execute(sa.text(f"UPDATE {table} SET owner_xid = 'another' WHERE workflow_uuid = 'r'"))
        go_on.set()
        await runtime.wait("r")
    assert stored == []
    with database.read() as connection:
        assert connection.execute(sa.select(facts.c.name)).scalars().all() == [DATABASE_ID]
    assert read_run(database, "r").status is Status.RUNNING


def test_a_run_that_the_engine_cancels_is_not_recorded_as_failed() -> None:
    """The engine does so when its event loop ends; it would record the cancellation as the error of the run."""
    with pytest.raises(RunInterruptedError):
        JournalSerializer().serialize(CancelledError())
    assert "ValueError: wrong" in JournalSerializer().serialize(ValueError("wrong"))


async def test_a_transaction_outside_of_a_run_is_an_internal_error(database: Database) -> None:
    async def execute(run_id: str) -> None:
        await finish(run_id)

    async with running(database, execute):
        with pytest.raises(InternalError, match="outside of a run"):
            await transact("nowhere", lambda _: None)
