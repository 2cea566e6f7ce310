"""Changes that the database refuses, or whose answers are lost: nothing stops for good, and nothing stays open."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.config.settings import DatabaseSettings
from compozy.database.admission import Admission
from compozy.database.commits import add_commit_hook, remove_commit_hook
from compozy.database.database import Database
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.database.transitions import request_cancel
from compozy.durable.retry import may_pass
from compozy.durable.runtime import Runtime
from compozy.errors import DatabaseError, RunCanceledError
from tests.harness.databases import journal_table, migrated
from tests.integration.durable.runs import finish, new_run, read_journal, read_run, running

_CANCELED = RunCanceledError("enough").to_json()
_LOCKED = (sqlite3.OperationalError("database is locked"), psycopg.errors.LockNotAvailable("lock timeout"))
# The engine repeats neither of these.
_REFUSED = (sqlite3.OperationalError("disk is full"), psycopg.errors.InsufficientPrivilege("permission denied"))


@contextmanager
def refusing(
    database: Database, is_meant: Callable[[], bool], errors: tuple[Exception, Exception], moment: str = "before"
) -> Generator[list[str], None]:
    """Let one commit fail, before it is made or after, with the error of this driver; list the thread that failed."""
    failed: list[str] = []

    def hook(now: str) -> None:
        if now == moment and not failed and is_meant():
            failed.append(threading.current_thread().name)
            raise errors[0 if database.is_exclusive else 1]

    add_commit_hook(hook)
    try:
        yield failed
    finally:
        remove_commit_hook(hook)


async def until(is_so: Callable[[], Any]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - a database sends no events
            await asyncio.sleep(0.02)


async def _cancel_here(runtime: Runtime, database: Database, refused: list[str]) -> None:
    with pytest.raises(DatabaseError):
        await runtime.cancel("r", error=_CANCELED)
    assert refused
    assert not read_run(database, "r").status.is_final


async def _cancel_by_request(runtime: Runtime, database: Database, refused: list[str]) -> None:
    with database.write() as connection:
        request_cancel(connection, "r", _CANCELED)
    runtime.wake()
    await until(lambda: refused)


@pytest.mark.parametrize("cancel", [_cancel_here, _cancel_by_request])
async def test_a_run_whose_cancellation_is_refused_does_not_stand_still(
    database: Database, cancel: Callable[..., Any]
) -> None:
    """It was RUNNING, and executed nowhere, until its process ended."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    is_armed = False

    def is_cancellation() -> bool:
        name = threading.current_thread().name
        return is_armed and name not in {"MainThread", "compozy-lease"}

    async def execute(run_id: str) -> None:
        reached.set()
        await go_on.wait()
        await finish(run_id)

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await reached.wait()
        with refusing(database, is_cancellation, _REFUSED) as refused:
            is_armed = True
            await cancel(runtime, database, refused)
        go_on.set()
        # Where the journal was the first to know, the run is canceled; else it continues.
        await until(lambda: read_run(database, "r").status.is_final)
        await until(lambda: not runtime.in_hand())
        assert read_journal(database, "r") in {"SUCCESS", "CANCELLED"}


async def test_an_end_whose_answer_is_lost_closes_the_journal(database: Database) -> None:
    ending = threading.Event()

    async def execute(run_id: str) -> None:
        ending.set()
        await finish(run_id, output={"is": "stored"})

    def is_end() -> bool:
        return ending.is_set() and threading.current_thread().name.startswith("compozy-writer")

    with refusing(database, is_end, _LOCKED, moment="after") as lost:
        async with running(database, execute) as runtime:
            await runtime.submit(new_run("r"), "t")
            await until(lambda: read_journal(database, "r") == "SUCCESS")
            await until(lambda: not runtime.in_hand())
    assert lost
    run = read_run(database, "r")
    assert (run.status, run.output) == (Status.SUCCESS, {"is": "stored"})


async def test_a_look_for_runs_that_fails_is_not_the_last(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal refuses the end of a run whose time is over: the loop that claims runs ended without a word."""
    release = asyncio.Event()
    journal = journal_table(database, "workflow_status")
    name = journal.rpartition(".")[2].strip('"')
    away = journal.replace(name, "away")

    async def execute(run_id: str) -> None:
        if run_id == "first":
            await release.wait()
        await finish(run_id)

    def rename(old: str, new: str) -> None:
        with database.write() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    async with running(database, execute) as runtime:
        limit = Admission(group="w/k", concurrency=1)
        await runtime.submit(new_run("first", admission=limit), "t")
        await until(lambda: read_journal(database, "first") == "PENDING")
        await runtime.submit(new_run("second", admission=limit, deadline_ms=now_ms() + 50), "t")
        rename(journal, "away")
        try:
            await until(lambda: "cannot look for waiting runs" in capsys.readouterr().out)
        finally:
            rename(away, name)
        await until(lambda: read_run(database, "second").status is Status.TIMED_OUT)
        release.set()
        await until(lambda: read_run(database, "first").status is Status.SUCCESS)


def test_a_lock_may_pass(storage: DatabaseSettings) -> None:
    """On PostgreSQL, a session that waits for a lock is refused; SQLite's messages are those of the engine's list."""
    with migrated(storage) as database:
        if database.is_exclusive:
            return
        with database.engine.connect() as other:
            other.execute(sa.text("LOCK TABLE workflow_states IN ACCESS EXCLUSIVE MODE"))
            with pytest.raises(DatabaseError) as refused:
                _read_with_limit(database)
            other.rollback()
    assert may_pass(refused.value)
    assert not may_pass(DatabaseError("the disk is full"))


def _read_with_limit(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
        connection.execute(sa.select(workflow_states.c.status)).all()


async def test_a_lease_survives_an_unexpected_error(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its thread, other processes would take over the runs of a healthy one."""
    failed = threading.Event()
    renewed = threading.Event()
    monkeypatch.setattr("compozy.durable.lease._RENEW_S", 0.05)

    def renew(real: Callable[..., bool], *args: Any, **settings: Any) -> bool:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("unexpected")
        renewed.set()
        return real(*args, **settings)

    from compozy.durable import lease

    monkeypatch.setattr(lease, "renew_lease", partial(renew, lease.renew_lease))
    async with running(database, finish):
        assert await asyncio.to_thread(renewed.wait, 20)
