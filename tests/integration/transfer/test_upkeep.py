"""Backups under load, checks that find damage, and deletion of old runs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from compozy.auth.accounts import create_user
from compozy.clock import now_ms
from compozy.database import backup
from compozy.database.database import Database
from compozy.database.lists import list_executions
from compozy.database.postgres import connection_parameters
from compozy.database.sessions import insert_session
from compozy.database.webhook_deliveries import WebhookDelivery, insert_delivery
from compozy.errors import DatabaseError
from compozy.transfer.check import check_database
from compozy.transfer.export import RunFilter, find_move, freeze_runs
from compozy.transfer.prune import count_old, prune_runs
from compozy.transfer.prune_others import OtherRows, count_others, prune_others
from tests.harness.databases import journal_table, migrated, settings
from tests.harness.moves import ready, rows_of
from tests.harness.postgres import find_program, new_database, running_server
from tests.harness.runs import flowing

_TWO = "tasks: [{id: a, prompt: 'x'}, {id: b, with: {y: 1}}]"


def _errors(database: Database) -> dict[str, str]:
    return {finding.name: finding.fault for finding in check_database(database) if finding.fault}


async def _runs(database: Database, *ids: str) -> None:
    async with flowing(database) as flows:
        for run_id in ids:
            await flows.run(_TWO, execution_id=run_id)


async def test_an_intact_database_has_no_errors(database: Database) -> None:
    assert _errors(database) == {}
    async with flowing(database) as flows:
        await flows.run(_TWO)
        await flows.run("tasks: [{id: a, prompt: 'fail: x'}]")
        await flows.run(
            "tasks: [{id: c, type: collection, items: [1, 2, 3], mode: parallel, task: {id: t, with: {x: 1}}}]"
        )
        await flows.start("tasks: [{id: w, type: wait, wait_for: go}]", execution_id="w")
        await flows.until_waiting("w", "w")
        assert _errors(database) == {}
    assert _errors(database) == {}


@pytest.mark.parametrize(
    ("statement", "rule", "named"),
    [
        ("UPDATE task_states SET status = 'RUNNING'", "runs that ended have no open tasks", "r/a"),
        ("UPDATE task_states SET status = 'RUNNING'", "no task is open whose end the journal has", "r/a"),
        (
            "DELETE FROM {journal} WHERE function_name = 'b.end'",
            "every task that ended has its end in the journal",
            "r/b",
        ),
        (
            "DELETE FROM workflow_states",
            "the journal has no run that the tables lack",
            "r",
        ),
        ("DELETE FROM execution_events WHERE seq = 2", "the event log of every run has no gap", "r"),
        (
            "UPDATE workflow_states SET status = 'FAILED'",
            "the event log of every run ends in the state of the run",
            "r",
        ),
        ("UPDATE workflow_states SET status = 'WAITING'", "no run is open that the journal has closed", "r"),
        (
            "INSERT INTO attachments VALUES ('r', 'ab12', 'YSBwaWN0dXJl')",
            "every attachment has the content of its SHA-256",
            "r/ab12",
        ),
    ],
)
async def test_an_inconsistency_is_found_and_named(database: Database, statement: str, rule: str, named: str) -> None:
    await _runs(database, "r")
    with database.write() as connection:
        connection.exec_driver_sql(statement.format(journal=journal_table(database, "operation_outputs")))
    assert named in _errors(database)[rule]


def _spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(4096 * 6, len(content), 4096 * 3):
        content[at : at + 200] = bytes(200)
    path.write_bytes(content)


async def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    with ready("sqlite", tmp_path / "a") as database:
        await _runs(database, "r", "s")
        path = Path(str(database.settings.path))
        database.close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _spoil(path)
        try:
            faults = _errors(database)
        except DatabaseError as error:
            faults = {"integrity": error.message}
        assert "integrity" in faults
        target = tmp_path / "copy.db"
        target.touch()
        with pytest.raises(DatabaseError):
            backup.back_up_sqlite(path, target, database.settings)


async def test_a_backup_that_is_taken_under_load_is_intact(tmp_path: Path) -> None:
    copies = [tmp_path / f"copy{number}.db" for number in range(4)]
    with ready("sqlite", tmp_path / "a") as database:
        path = Path(str(database.settings.path))

        def take(copy: Path) -> None:
            copy.touch()
            backup.back_up_sqlite(path, copy, database.settings)

        async with flowing(database) as flows:
            running = [asyncio.create_task(flows.run(_TWO, execution_id=f"r{number}")) for number in range(60)]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for copy in copies:
                await asyncio.sleep(0.15)
                await asyncio.to_thread(take, copy)
            await asyncio.gather(*running)
    counts: list[int] = []
    for copy in copies:
        with migrated(settings(copy)) as restored:
            assert _errors(restored) == {}
            async with flowing(restored) as flows:
                with restored.read() as connection:
                    ids = [run.workflow_exec_id for run in list_executions(connection, limit=100)]
                # Runs in progress at the time of the copy are resumed in it.
                counts.append(len([await flows.ended(run_id) for run_id in ids]))
            assert _errors(restored) == {}
    assert counts == sorted(counts)
    assert counts[-1] > 0


async def test_pg_dump_makes_a_backup_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(find_program("pg_dump").parent), prepend=":")
    copy = tmp_path / "copy.dump"
    with ready("postgres", tmp_path / "a") as database, new_database(migrated=False) as empty:
        async with flowing(database) as flows:
            running = [asyncio.create_task(flows.run(_TWO, execution_id=f"r{number}")) for number in range(20)]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(backup.back_up_postgres, connection_parameters(database.settings), copy)
            await asyncio.gather(*running)
        assert backup.driver_of_backup(copy) == "postgres"
        backup.restore_postgres(connection_parameters(empty), copy)
        with migrated(empty) as restored:
            assert _errors(restored) == {}
            async with flowing(restored) as flows:
                with restored.read() as connection:
                    ids = [run.workflow_exec_id for run in list_executions(connection, limit=100)]
                assert ids
                for run_id in ids:
                    await flows.ended(run_id)
        # Again, to replace the existing database.
        backup.restore_postgres(connection_parameters(empty), copy)


async def test_extensions_of_another_owner_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(find_program("pg_dump").parent), prepend=":")
    copy = tmp_path / "copy.dump"
    with ready("postgres", tmp_path / "a") as database:
        with running_server().connect(str(database.settings.dbname)) as admin:
            admin.execute("CREATE EXTENSION vector")
        await _runs(database, "kept")
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE near AS SELECT '[1,2,3]'::vector(3) AS place")
        backup.back_up_postgres(connection_parameters(database.settings), copy)
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM near")
        with pytest.raises(DatabaseError, match="must be owner of extension vector"):
            backup.restore_postgres(connection_parameters(database.settings), copy)
        with database.read() as connection:
            extensions = backup.list_extensions(connection)
        backup.restore_postgres(connection_parameters(database.settings), copy, extensions=extensions)
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT place::text FROM near").scalar() == "[1,2,3]"
        assert _errors(database) == {}


def test_without_pg_dump_a_hint_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatabaseError, match="pg_dump is not installed") as caught:
        backup.back_up_postgres({"host": "localhost", "dbname": "x"}, tmp_path / "x")
    assert "postgresql-client" in caught.value.hint


def test_errors_of_pg_dump_are_shown_without_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(find_program("pg_dump").parent), prepend=":")
    secret = "hunter2-canary"
    with pytest.raises(DatabaseError, match=r"pg_dump failed: .*onnection") as caught:
        backup.back_up_postgres(
            {"host": "127.0.0.1", "port": "1", "dbname": "it's", "password": secret}, tmp_path / "x"
        )
    assert secret not in caught.value.message


async def test_old_runs_are_deleted_completely_and_others_are_kept(database: Database) -> None:
    await _runs(database, "old")
    async with flowing(database) as flows:
        await flows.start("tasks: [{id: w, type: wait, wait_for: go}]", execution_id="waits")
        await flows.until_waiting("waits", "w")
    before_ms = now_ms() + 1
    await asyncio.sleep(0.01)
    await _runs(database, "new")
    assert count_old(database, before_ms) == 1
    assert prune_runs(database, before_ms) == 1
    assert prune_runs(database, before_ms) == 0
    for name, rows in rows_of(database).items():
        assert not any("old" in (row.get("workflow_exec_id"), row.get("workflow_uuid")) for row in rows), name
    with database.read() as connection:
        assert {run.workflow_exec_id for run in list_executions(connection, limit=9)} == {"waits", "new"}
    assert _errors(database) == {}
    async with flowing(database) as flows:
        await flows.signal("waits", "go")
        await flows.ended("waits")


async def test_moved_runs_are_kept_unless_they_are_included(database: Database) -> None:
    async with flowing(database) as flows:
        await flows.start("tasks: [{id: w, type: wait, wait_for: go}]", execution_id="left")
        await flows.until_waiting("left", "w")
    move_id, _ = freeze_runs(database, RunFilter())
    assert count_old(database, now_ms() + 1000) == prune_runs(database, now_ms() + 1000) == 0
    assert find_move(database) == move_id
    assert count_old(database, now_ms() + 1000, moved=True) == 1
    assert prune_runs(database, now_ms() + 1000, moved=True) == 1
    assert not rows_of(database)["workflow_states"]


def test_old_deliveries_and_expired_sessions_are_deleted(database: Database) -> None:
    now = now_ms()
    with database.write() as connection:
        for number in range(450):
            insert_delivery(connection, _delivery(number, created_ms=1000 if number else now))
        user: str = create_user(connection, email="ana@example.com", role="user")["user_id"]
        for name, expires_ms in (("late", now + 60_000), ("early", now - 1)):
            insert_session(connection, name, user, now_ms=0, expires_ms=expires_ms)
    old = OtherRows(deliveries=449, conversations=0, sessions=1)
    assert count_others(database, now - 60_000) == prune_others(database, now - 60_000) == old
    assert count_others(database, now - 60_000).total == 0
    rows = rows_of(database)
    assert [row["delivery_id"] for row in rows["webhook_deliveries"]] == ["D0"]
    assert [row["hash"] for row in rows["sessions"]] == ["late"]


def _delivery(number: int, *, created_ms: int) -> WebhookDelivery:
    return WebhookDelivery(
        delivery_id=f"D{number}",
        slug="orders",
        created_ms=created_ms,
        outcome="accepted",
        status=202,
        body_sha256="0",
        body_size=2,
        details={},
        body="e30=",
    )


def test_a_database_without_a_journal_is_pruned_and_checked(tmp_path: Path) -> None:
    with migrated(settings(tmp_path / "x.db")) as database:
        assert prune_runs(database, now_ms()) == 0
        assert _errors(database) == {}


async def test_deleting_does_not_block_other_writers(tmp_path: Path) -> None:
    with ready("sqlite", tmp_path / "a") as database:
        await _runs(database, *(f"r{number}" for number in range(5)))
        other = sa.create_engine(f"sqlite:///{database.settings.path}")
        with other.connect() as reader:
            reader.exec_driver_sql("BEGIN")
            reader.exec_driver_sql("SELECT count(*) FROM workflow_states").scalar()
            deleting: Callable[[], int] = lambda: prune_runs(database, now_ms() + 1000)  # noqa: E731
            thread = threading.Thread(target=deleting)
            thread.start()
            thread.join(20)
            assert not thread.is_alive()
        other.dispose()
