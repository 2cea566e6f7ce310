"""Changes of several callers in one transaction: what they return, and what one that fails does to the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

import pytest
import sqlalchemy as sa

from compozy.database.commits import add_commit_hook, remove_commit_hook
from compozy.database.database import Database
from compozy.database.executions import get_status, insert_execution
from compozy.database.grouped import GroupedWrites
from compozy.errors import ConflictError, DatabaseError
from tests.harness.databases import new_run

_name: ContextVar[str] = ContextVar("name", default="")


@contextmanager
def _hooked(hook: Callable[[str], None]) -> Generator[None, None, None]:
    add_commit_hook(hook)
    try:
        yield
    finally:
        remove_commit_hook(hook)


class _Gate:
    """A change that holds the thread until it is opened, so that the next changes come together."""

    def __init__(self) -> None:
        self.is_reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, connection: sa.Connection) -> str:
        insert_execution(connection, new_run("gate"), owner=None)
        self.is_reached.set()
        assert self._opened.wait(60)
        return "gate"

    def open(self) -> None:
        self._opened.set()


async def _together(writes: GroupedWrites, *changes: Callable[[sa.Connection], object]) -> list[object]:
    """Make the changes in one group, and return what each returned or raised."""
    gate = _Gate()
    first = asyncio.create_task(writes.write(gate))
    await asyncio.to_thread(gate.is_reached.wait, 60)
    tasks = [asyncio.create_task(writes.write(change)) for change in changes]
    await asyncio.sleep(0)
    gate.open()
    assert await first == "gate"
    return await asyncio.gather(*tasks, return_exceptions=True)


def _accept(run_id: str) -> Callable[[sa.Connection], object]:
    return lambda connection: insert_execution(connection, new_run(run_id), owner=None)


def _statuses(database: Database, *run_ids: str) -> list[str | None]:
    with database.read() as connection:
        return [get_status(connection, run_id) for run_id in run_ids]


async def test_changes_that_come_together_are_one_commit(database: Database) -> None:
    ids = [f"r{number}" for number in range(20)]
    commits: list[str] = []
    with _hooked(commits.append):
        found = await _together(GroupedWrites(database), *(_accept(run_id) for run_id in ids))
    assert found == [True] * 20
    assert commits == ["before", "after"] * 2
    assert _statuses(database, *ids) == ["PENDING"] * 20


async def test_a_change_that_fails_does_not_take_others_with_it(database: Database) -> None:
    def refuse(connection: sa.Connection) -> object:
        insert_execution(connection, new_run("refused"), owner=None)
        raise ConflictError("not this one")

    found = await _together(GroupedWrites(database), _accept("a"), refuse, _accept("a"), _accept("b"))
    assert found[0] is True
    assert isinstance(found[1], ConflictError)
    assert found[2:] == [False, True]
    assert _statuses(database, "a", "b", "refused") == ["PENDING", "PENDING", None]


async def test_a_statement_that_fails_does_not_take_others_with_it(database: Database) -> None:
    def fail(connection: sa.Connection) -> object:
        connection.exec_driver_sql("SELECT * FROM nothing_of_this_name")
        return None

    found = await _together(GroupedWrites(database), _accept("a"), fail, _accept("b"))
    assert [found[0], found[2]] == [True, True]
    assert isinstance(found[1], DatabaseError)
    assert _statuses(database, "a", "b") == ["PENDING", "PENDING"]


async def test_a_commit_that_fails_is_not_tried_again(database: Database) -> None:
    made: list[str] = []

    def accept(run_id: str) -> Callable[[sa.Connection], object]:
        def change(connection: sa.Connection) -> object:
            made.append(run_id)
            return _accept(run_id)(connection)

        return change

    def fail(_: str) -> None:
        if made:
            raise ConnectionError("the connection was lost")

    with _hooked(fail):
        found = await _together(GroupedWrites(database), accept("a"), accept("b"))
    assert [type(error) for error in found] == [ConnectionError, ConnectionError]
    assert made == ["a", "b"]
    assert _statuses(database, "a", "b") == [None, None]


async def test_a_caller_that_was_canceled_changes_nothing(database: Database) -> None:
    writes = GroupedWrites(database)
    gate = _Gate()
    first = asyncio.create_task(writes.write(gate))
    await asyncio.to_thread(gate.is_reached.wait, 60)
    canceled, other = (asyncio.create_task(writes.write(_accept(run_id))) for run_id in ("canceled", "other"))
    await asyncio.sleep(0)
    canceled.cancel()
    await asyncio.sleep(0)
    gate.open()
    await first
    assert await other is True
    assert canceled.cancelled()
    assert _statuses(database, "canceled", "other") == [None, "PENDING"]


async def test_each_change_sees_the_variables_of_its_caller(database: Database) -> None:
    async def caller(name: str) -> str:
        _name.set(name)
        return await writes.write(lambda _: _name.get())

    writes = GroupedWrites(database)
    assert await asyncio.gather(*map(caller, "abcdef")) == list("abcdef")


async def test_a_database_that_does_not_answer_is_asked_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[None] = []

    def refuse(_: Database) -> None:
        attempts.append(None)
        raise DatabaseError("it does not answer")

    gate = _Gate()
    writes = GroupedWrites(database)
    first = asyncio.create_task(writes.write(gate))
    await asyncio.to_thread(gate.is_reached.wait, 60)
    tasks = [asyncio.create_task(writes.write(_accept(run_id))) for run_id in "abcdef"]
    await asyncio.sleep(0)
    monkeypatch.setattr(Database, "write", refuse)
    gate.open()
    await first
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in found] == [DatabaseError] * len(tasks)
    assert len(attempts) == 1
