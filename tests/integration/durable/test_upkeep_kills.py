"""SIGKILL at every commit of retention, of pruning, of forgetting conversations and of sending signals."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.config.retention import RetentionSettings
from compozy.config.settings import DatabaseSettings
from compozy.database import memories
from compozy.database.database import Database, open_database
from compozy.database.memories import Message, append_messages, lock_memory, touch_memory
from compozy.memory.upkeep import forget_expired
from compozy.transfer import prune
from compozy.transfer.check import check_database
from compozy.transfer.retention import delete_next
from compozy.workflow import operate
from tests.harness.databases import migrated
from tests.harness.forks import die_at_commit
from tests.harness.processes import other_process
from tests.harness.pruning import AT_ONCE, TABLES, count_rows, fill_with_old_rows, prune_all
from tests.harness.runs import flowing

DAY_MS = 86_400_000
Body = Callable[[DatabaseSettings, int], None]


def _retain(settings: DatabaseSettings, kill_at: int) -> None:
    """Delete the runs that are older than a day, two days from now."""
    setattr(prune, "_AT_ONCE", AT_ONCE)  # noqa: B010 - a constant to those who read it
    database = _open(settings, kill_at)
    ages = RetentionSettings.model_validate({"succeeded": "1d"})
    while True:
        with database.write() as connection:
            if delete_next(database, connection, ages, now_ms() + 2 * DAY_MS).is_done:
                os._exit(0)


def _forget(settings: DatabaseSettings, kill_at: int) -> None:
    setattr(memories, "_PRUNED_AT_ONCE", AT_ONCE)  # noqa: B010 - as above
    asyncio.run(forget_expired(_open(settings, kill_at)))
    os._exit(0)


def _prune(settings: DatabaseSettings, kill_at: int) -> None:
    if kill_at:
        die_at_commit(kill_at)
    prune_all(settings)
    os._exit(0)


def _send(settings: DatabaseSettings, kill_at: int) -> None:
    sent = operate.signal(_open(settings, kill_at), "it", "go", {"n": 1}, signal_id="s-1", by="ana@example.com")
    asyncio.run(sent)
    os._exit(0)


def _open(settings: DatabaseSettings, kill_at: int) -> Database:
    if kill_at:
        die_at_commit(kill_at)
    return open_database(settings)


def _run(body: Body, settings: DatabaseSettings, kill_at: int) -> bool:
    """Return whether a process that is killed before (1) or after (2) its first commit was killed."""
    with other_process(body, settings, kill_at) as process:
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}
        return process.exitcode != 0


def _kill_everywhere(body: Body, settings: DatabaseSettings, check: Callable[[], int]) -> list[int]:
    """Kill processes before and after each commit until none is left, and return what `check` counted."""
    counted = [check()]
    while _run(body, settings, 1):
        # Nothing was committed.
        assert check() == counted[-1]
        assert _run(body, settings, 2)
        counted.append(check())
    return counted


async def test_retention_deletes_whole_runs_and_keeps_their_costs(storage: DatabaseSettings) -> None:
    with migrated(storage) as database:
        async with flowing(database) as flows:
            for number in range(5):
                await flows.run("tasks: [{id: a, prompt: 'x'}]", execution_id=f"r{number}")
            await flows.run("tasks: [{id: a, prompt: 'fail: x'}]", execution_id="kept")
        spent = _requests(database)

        def check() -> int:
            assert [finding.fault for finding in check_database(database) if finding.fault] == []
            assert _requests(database) == spent
            return _count(database, "workflow_states")

        counted = await asyncio.to_thread(_kill_everywhere, _retain, storage, check)
    assert counted == [6, 4, 2, 1]


def test_expired_conversations_are_forgotten_whole(storage: DatabaseSettings) -> None:
    with migrated(storage) as database:
        for key in ("a", "b", "c", "d", "e", "kept"):
            with database.write() as connection:
                memory = lock_memory(connection, "chat", key)
                append_messages(connection, memory, [Message(role="user", content="x", tokens=1)] * 2, ttl_ms=None)
                touch_memory(connection, memory, ttl_ms=None if key == "kept" else -1)

        def check() -> int:
            count = _count(database, "memories")
            assert _count(database, "memory_messages") == 2 * count
            return count

        counted = _kill_everywhere(_forget, storage, check)
    assert counted == [6, 4, 2, 1]


@pytest.mark.timeout(900)
def test_the_next_prune_finishes_what_a_killed_one_started(storage: DatabaseSettings) -> None:
    old = 3
    with migrated(storage) as database:
        fill_with_old_rows(database, old)
        counted = [count_rows(database, old)]

        def kill(at: int) -> None:
            assert _run(_prune, storage, at)
            assert [finding.fault for finding in check_database(database) if finding.fault] == []
            # Costs and conversations are complete.
            counted.append(count_rows(database, old))

        while sum(counted[-1]) > len(TABLES):
            # Empty transactions are commits on SQLite: one for each kind of rows that is done. Runs are the last kind.
            empty = counted[-1][1:].count(1) if database.is_exclusive else 0
            kill(2 * empty + 1)
            assert counted[-1] == counted[-2]
            kill(2 * empty + 2)
            assert 1 <= sum(counted[-2]) - sum(counted[-1]) <= AT_ONCE
        assert not _run(_prune, storage, 0)
        assert count_rows(database, old) == [1] * len(TABLES)
    assert counted[0] == [old + 1] * len(TABLES)
    # Rows that must stay are never deleted.
    assert min(map(min, counted)) == 1


async def test_a_signal_is_stored_once_with_its_sender(storage: DatabaseSettings) -> None:
    with migrated(storage) as database:
        async with flowing(database) as flows:
            await flows.start("tasks: [{id: w, type: wait, wait_for: go}]", execution_id="it")
            await flows.until_waiting("it", "w")

        def sent() -> list[tuple[str, str | None]]:
            query = sa.text("SELECT signal_id, sender FROM signals")
            with database.read() as connection:
                return [(row[0], row[1]) for row in connection.execute(query)]

        assert await asyncio.to_thread(_run, _send, storage, 1)
        assert sent() == []
        assert await asyncio.to_thread(_run, _send, storage, 2)
        assert sent() == [("s-1", "ana@example.com")]
        assert not await asyncio.to_thread(_run, _send, storage, 0)
        assert sent() == [("s-1", "ana@example.com")]
        async with flowing(database) as flows:
            run = await flows.ended("it")
            assert run.status == "SUCCESS"


def _count(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one())


def _requests(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.text("SELECT sum(requests) FROM model_costs")).scalar_one())
