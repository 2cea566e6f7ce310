"""A claim is committed, but its response is lost with the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.executions import insert_execution
from compozy.database.grouped import GroupedWrites
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.durable.runtime import Runtime
from compozy.errors import DatabaseError
from tests.integration.durable.runs import finish, new_run, read_run, running


async def by_submit(runtime: Runtime) -> None:
    with pytest.raises(DatabaseError):
        await runtime.submit(new_run("r"), "t")


async def by_adopt(runtime: Runtime) -> None:
    with pytest.raises(DatabaseError):
        await runtime.adopt("r")


async def by_poll(runtime: Runtime) -> None:
    runtime.wake()


def _find_owner(database: Database) -> str | None:
    with database.read() as connection:
        return connection.execute(sa.select(workflow_states.c.owner)).scalar()


@pytest.mark.parametrize("take", [by_submit, by_adopt, by_poll])
async def test_a_run_whose_claim_lost_its_answer_is_executed(
    database: Database, monkeypatch: pytest.MonkeyPatch, take: Callable[[Runtime], Any]
) -> None:
    executed: list[str] = []
    lost: list[str] = []

    def losing(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def write_and_lose(self: object, work: Callable[[sa.Connection], Any]) -> Any:
            result = await write(self, work)
            # The first transaction after which the run has an owner is the one that took it.
            if not lost and (owner := _find_owner(database)) is not None:
                lost.append(owner)
                raise DatabaseError("the connection was lost")
            return result

        return write_and_lose

    def is_lost(_: sa.Connection, *, journal_format: int, queues: Sequence[str]) -> bool:
        return bool(lost and journal_format and not queues)

    async def execute(run_id: str) -> None:
        executed.append(run_id)
        await finish(run_id)

    async with running(database, execute) as runtime:
        monkeypatch.setattr(Database, "write_async", losing(Database.write_async))
        monkeypatch.setattr(GroupedWrites, "write", losing(GroupedWrites.write))
        if take is by_adopt:
            # The poll must not be faster.
            monkeypatch.setattr("compozy.durable.claims.has_claimable", is_lost)
        if take is not by_submit:
            with database.write() as connection:
                insert_execution(connection, new_run("r"), owner=None)
        await take(runtime)
        while read_run(database, "r").status is not Status.SUCCESS:  # noqa: ASYNC110 - a database sends no events
            await asyncio.sleep(0.02)
        await runtime.wait("r")
        assert lost == [runtime.executor_id]
    assert executed == ["r"]
