"""Records that wait for the next transaction of their run: ends of tasks without effects outside, and answers."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.live_text import TextDelta, add_text_listener, remove_text_listener, unwatch_texts, watch_texts
from compozy.database.status import Status
from compozy.durable.context import Suspension, current_run
from compozy.durable.step import step, tell, transact, transact_later
from compozy.errors import InternalError
from compozy.model.call import CallPosition
from compozy.task.answer_text import FLUSH_S, open_text
from tests.integration.durable.runs import (
    commits_of_writer,
    finish,
    insert_name,
    new_run,
    read_run,
    read_steps,
    running,
    stored_names,
)


async def test_later_records_are_stored_before_anything_outside_happens(database: Database) -> None:
    told: list[str] = []
    seen: list[tuple[str, set[str], list[str]]] = []

    async def execute(run_id: str) -> None:
        for name in ("a", "b"):
            await transact_later(name, partial(insert_name, name), {"is": name}, partial(told.append, f"{name} ended"))
            tell(partial(told.append, f"after {name}"))
        seen.append(("before", stored_names(database), list(told)))

        async def ask() -> str:
            seen.append(("asked", stored_names(database), list(told)))
            return "answer"

        assert await step("ask", ask) == "answer"
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    order = ["a ended", "after a", "b ended", "after b"]
    assert seen == [("before", set(), []), ("asked", {"a", "b"}, order)]
    assert read_steps(database, "r") == ["a", "b", "ask", "end"]


async def test_later_records_are_stored_with_the_next_transaction(database: Database) -> None:
    commits_of_run: list[int] = []

    async def execute(run_id: str) -> None:
        with commits_of_writer() as commits:
            for number in range(5):
                await transact_later(f"s{number}", partial(insert_name, f"s{number}"), None, _nothing)
            await finish(run_id)
            commits_of_run.append(len(commits))

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert commits_of_run == [1]
    assert read_steps(database, "r") == [*(f"s{number}" for number in range(5)), "end"]


async def test_many_later_records_are_stored_on_the_way(database: Database) -> None:
    stored: list[int] = []

    async def execute(run_id: str) -> None:
        for number in range(100):
            await transact_later(f"s{number}", partial(insert_name, f"s{number}"), None, _nothing)
            stored.append(len(stored_names(database)))
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert all(number + 1 - count < 32 for number, count in enumerate(stored))
    assert len(stored_names(database)) == 100


async def test_later_records_survive_a_transaction_that_is_refused(database: Database) -> None:
    told: list[str] = []

    def refuse(connection: sa.Connection) -> None:
        insert_name("refused", connection)
        raise InternalError("refused")

    async def execute(run_id: str) -> None:
        await transact_later("a", partial(insert_name, "a"), None, partial(told.append, "a"))
        with pytest.raises(InternalError):
            await transact("refused", refuse)
        assert told == []
        await transact("b", partial(insert_name, "b"))
        assert told == ["a"]
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert stored_names(database) == {"a", "b"}
    assert read_steps(database, "r") == ["a", "b", "end"]


async def test_an_answer_is_recorded_soon_after_a_change_that_failed(database: Database) -> None:
    """The failed change of another branch had stopped the timer."""

    def refuse(_: sa.Connection) -> None:
        raise InternalError("refused")

    async def execute(run_id: str) -> None:
        assert await step("ask", _answer, can_wait=True) == "answer"
        with pytest.raises(InternalError):
            await transact("refused", refuse)
        async with asyncio.timeout(20):
            while read_steps(database, run_id) != ["ask"]:  # noqa: ASYNC110 - a database sends no events
                await asyncio.sleep(0.02)
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert read_steps(database, "r") == ["ask", "end"]


async def test_an_answer_that_json_cannot_represent_fails_its_task_only(database: Database) -> None:
    async def ask() -> float:
        return float("inf")

    async def execute(run_id: str) -> None:
        with pytest.raises(ValueError, match="JSON"):
            await step("ask", ask, can_wait=True)
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert read_run(database, "r").status is Status.SUCCESS
    assert read_steps(database, "r") == ["end"]


async def test_a_pause_stores_later_records(database: Database) -> None:
    async def execute(_: str) -> None:
        await transact_later("a", partial(insert_name, "a"), None, _nothing)
        context = current_run()
        context.suspend(Suspension.PAUSE)
        context.check()

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert stored_names(database) == {"a"}
    assert read_steps(database, "r") == ["a"]


async def test_an_answer_is_recorded_with_the_end_of_its_task(database: Database) -> None:
    commits_of_run: list[int] = []

    async def execute(run_id: str) -> None:
        with commits_of_writer() as commits:
            assert await step("ask", _answer, _store_answer, can_wait=True) == "answer"
            assert stored_names(database) == set()
            await finish(run_id)
            commits_of_run.append(len(commits))

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert commits_of_run == [1]
    assert stored_names(database) == {"answer"}
    assert read_steps(database, "r") == ["ask", "end"]


async def test_an_answer_is_recorded_before_the_next_request(database: Database) -> None:
    async def execute(run_id: str) -> None:
        await step("ask", _answer, _store_answer, can_wait=True)

        async def ask_again() -> str:
            assert stored_names(database) == {"answer"}
            return "again"

        await step("ask", ask_again, can_wait=True)
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert read_steps(database, "r") == ["ask", "ask", "end"]


async def test_an_answer_is_recorded_soon_if_nothing_follows(database: Database) -> None:
    async def execute(run_id: str) -> None:
        await step("ask", _answer, _store_answer, can_wait=True)
        async with asyncio.timeout(30):
            while not stored_names(database):  # noqa: ASYNC110 - a database sends no events
                await asyncio.sleep(0.05)
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert read_run(database, "r").status is Status.SUCCESS
    assert read_steps(database, "r") == ["ask", "end"]


@pytest.mark.parametrize("is_canceled", [False, True])
async def test_an_answer_is_recorded_soon_after_others_were(database: Database, is_canceled: bool) -> None:
    """Another branch records at the same time, and may be canceled before the writer takes its record."""

    async def execute(run_id: str) -> None:
        writer, is_answered = vars(current_run().writer), asyncio.Event()

        async def answer_later() -> str:
            await is_answered.wait()
            return "other"

        async def hand_over() -> None:
            is_answered.set()
            while not writer["_waiting"]:  # noqa: ASYNC110 - it takes a few turns of the loop
                await asyncio.sleep(0)

        other = asyncio.ensure_future(step("other", answer_later))
        await asyncio.sleep(0.05)
        # The writer takes nothing while this thread holds its lock.
        with writer["_changed"]:
            if not is_canceled:
                await hand_over()
            await step("ask", _answer, can_wait=True)
            if is_canceled:
                await hand_over()
                other.cancel()
                await asyncio.sleep(0)
        await asyncio.gather(other, return_exceptions=True)
        for count in (1, 2):
            async with asyncio.timeout(30):
                while read_steps(database, run_id).count("ask") < count:  # noqa: ASYNC110 - a database sends no events
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            if count == 1:
                await step("ask", _answer, can_wait=True)
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")
    assert read_run(database, "r").status is Status.SUCCESS


@pytest.mark.parametrize("how", ["paused", "failed", "stopped"])
async def test_an_answer_is_recorded_however_its_run_stops(database: Database, how: str) -> None:
    reached = asyncio.Event()

    async def execute(_: str) -> None:
        await step("ask", _answer, _store_answer, can_wait=True)
        reached.set()
        if how == "stopped":
            await asyncio.Event().wait()
        if how == "failed":
            raise RuntimeError("broken")
        current_run().suspend(Suspension.PAUSE)
        current_run().check()

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await reached.wait()
        if how != "stopped":
            await runtime.wait("r")
    assert stored_names(database) == {"answer"}
    assert read_steps(database, "r") == ["ask"]


async def test_the_text_of_an_answer_is_complete_when_it_is_recorded(database: Database) -> None:
    seen: list[tuple[str, bool, set[str]]] = []

    def see(delta: TextDelta) -> None:
        seen.append((delta.text, delta.is_last, stored_names(database)))

    async def execute(run_id: str) -> None:
        position = CallPosition(execution_id=run_id, task_id="t", path="t", run_index=0, task_index=0)
        text = await open_text(database, position)
        assert text is not None
        text.write("ans")
        await asyncio.sleep(2 * FLUSH_S)
        await step("ask", _answer, _store_answer, can_wait=True)
        await text.end("answer")
        await finish(run_id)

    watch_texts(["r"])
    add_text_listener(see)
    try:
        async with running(database, execute) as runtime:
            await runtime.submit(new_run("r"), "t")
            await runtime.wait("r")
    finally:
        remove_text_listener(see)
        unwatch_texts(["r"])
    assert seen == [("ans", False, set()), ("wer", True, {"answer"})]


async def _answer() -> str:
    return "answer"


def _store_answer(connection: sa.Connection, answer: str) -> None:
    insert_name(answer, connection)


async def test_a_process_that_stops_stores_later_records(database: Database) -> None:
    calls: list[str] = []
    reached = asyncio.Event()
    hold = True

    async def execute(run_id: str) -> None:
        calls.append("begun")
        if not current_run().is_recorded("a"):
            await transact_later("a", partial(insert_name, "a"), None, partial(calls.append, "told"))
        if hold:
            reached.set()
            await asyncio.Event().wait()
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await reached.wait()
    assert (stored_names(database), calls) == ({"a"}, ["begun", "told"])
    hold = False
    async with running(database, execute) as runtime:
        while read_run(database, "r").status is not Status.SUCCESS:
            await asyncio.sleep(0.05)
            await runtime.wait("r")
    assert (stored_names(database), calls) == ({"a"}, ["begun", "told", "begun"])


def _nothing() -> None:
    pass
