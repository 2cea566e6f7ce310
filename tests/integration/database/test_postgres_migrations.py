"""Migrations on PostgreSQL: next to other programs, by many processes, with the journal, up and down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database import migrate, tables
from compozy.database.database import open_database, open_for_reading
from compozy.database.executions import insert_execution
from compozy.database.executors import insert_executor
from compozy.database.migrate import (
    NO_DATABASE,
    REVISIONS,
    Loss,
    measure_down,
    migrate_down,
    migrate_up,
    read_status,
)
from compozy.database.postgres_schemas import JOURNAL_SCHEMA
from compozy.durable.journal import is_journal_behind, migrate_journal
from compozy.errors import DatabaseError, DatabaseOwnedError
from tests.harness.databases import migrated, new_run
from tests.harness.postgres import new_database, running_server

# The program of each concurrent process: the same as `compozy migrate up` and every start.
MIGRATE = """
import sys
from compozy.config.settings import DatabaseSettings
from compozy.database.database import open_database
from compozy.database.migrate import migrate_up
from compozy.durable.journal import migrate_journal

database = open_database(DatabaseSettings(driver="postgres", host="127.0.0.1", port=int(sys.argv[1]), user="compozy",
                                          dbname=sys.argv[2], max_open_conns=2))
print("ready", flush=True)
sys.stdin.readline()
print(*migrate_up(database), flush=True)
migrate_journal(database)
"""


@pytest.fixture
def empty() -> Iterator[DatabaseSettings]:
    """Return an empty database."""
    with new_database(migrated=False) as settings:
        yield settings


def shape(settings: DatabaseSettings) -> list[tuple[Any, ...]]:
    """Return every table, column and index outside of the system's schemas."""
    with running_server().connect(str(settings.dbname)) as admin:
        columns = admin.execute(
            "SELECT table_schema, table_name, column_name, data_type, is_nullable, collation_name, column_default "
            "FROM information_schema.columns WHERE table_schema IN ('public', %s) ORDER BY 1, 2, 3",
            (JOURNAL_SCHEMA,),
        ).fetchall()
        indexes = admin.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname IN ('public', %s) ORDER BY 1", (JOURNAL_SCHEMA,)
        )
        return [*columns, *indexes.fetchall()]


def start(settings: DatabaseSettings) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    source = Path(tables.__file__).parents[2]
    command = [sys.executable, "-c", MIGRATE, str(settings.port), str(settings.dbname)]
    return subprocess.Popen(command, text=True, env={**os.environ, "PYTHONPATH": str(source)}, **pipes)


def test_ten_concurrent_processes_migrate_once(empty: DatabaseSettings) -> None:
    processes = [start(empty) for _ in range(10)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    ends = [process.communicate("go\n") for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, ends
    assert sorted(out.split() for out, _ in ends) == [[]] * 9 + [list(REVISIONS)]
    with new_database() as whole:
        assert shape(empty) == shape(whole)


def test_a_migration_that_was_killed_is_finished_by_the_next_process(empty: DatabaseSettings) -> None:
    process = start(empty)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    with running_server().connect(str(empty.dbname)) as admin:
        count = "SELECT count(*) FROM pg_tables WHERE schemaname = %s HAVING count(*) > 2"
        while admin.execute(count, (JOURNAL_SCHEMA,)).fetchone() is None:
            assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    database = open_database(empty)
    began_s = time.monotonic()
    migrate_up(database)
    assert is_journal_behind(database)
    migrate_journal(database)
    assert not is_journal_behind(database)
    # The lock was released immediately, without waiting for a timeout of the killed process.
    assert time.monotonic() - began_s < 30
    database.close()
    with new_database() as whole:
        assert shape(empty) == shape(whole)


def test_up_from_nothing_and_up_again(empty: DatabaseSettings) -> None:
    database = open_database(empty)
    assert read_status(database) == NO_DATABASE
    assert is_journal_behind(database)
    assert migrate_up(database) == REVISIONS
    assert (read_status(database).current, read_status(database).pending) == (REVISIONS[-1], ())
    assert migrate_up(database) == ()
    database.close()


def test_the_tables_are_those_of_the_migrations(empty: DatabaseSettings) -> None:
    with migrated(empty) as database, database.read() as connection:
        found = sa.inspect(connection)
        names = set(found.get_table_names()) - {migrate.VERSION_TABLE}
        assert names == set(tables.metadata.tables)
        for name, table in tables.metadata.tables.items():
            key = set(found.get_pk_constraint(name)["constrained_columns"])
            stored = {
                column["name"]: (_kind(column["type"]), column["nullable"], column["name"] in key)
                for column in found.get_columns(name)
            }
            declared = {c.name: (_kind(c.type), c.nullable, c.primary_key) for c in table.columns}
            assert stored == declared, name
            assert list(stored) == list(declared), name


def _kind(kind: Any) -> str:
    return "BIGINT" if isinstance(kind, sa.BigInteger) else "TEXT"


@pytest.mark.parametrize("target", [None, "base"])
def test_down_counts_deleted_rows_and_up_creates_the_same_tables(target: str | None) -> None:
    with new_database() as settings, migrated(settings) as database:
        made = shape(settings)
        with database.write() as connection:
            for run_id in ("a", "b"):
                insert_execution(connection, new_run(run_id), owner=None)
            journal = sum(
                connection.exec_driver_sql(f"SELECT count(*) FROM {t}").scalar() or 0
                for t in database.list_journal(connection)
            )
        loss = measure_down(database, target)
        rows = {"execution_events": 2, "workflow_states": 2} if target == "base" else {}
        counted = journal if target == "base" else 0
        assert loss is not None
        assert loss == Loss(target=target or REVISIONS[-2], rows=loss.rows, journal_rows=counted)
        assert {table: count for table, count in loss.rows.items() if count} == rows
        migrate_down(database, loss.target)
        if target == "base":
            assert read_status(database) == NO_DATABASE
            with database.read() as connection:
                assert database.list_journal(connection) == []
        migrate_up(database)
        migrate_journal(database)
        assert shape(settings) == made


def test_down_while_processes_execute_runs_is_refused() -> None:
    with new_database() as settings, migrated(settings) as database:
        made = shape(settings)
        with database.write() as connection:
            insert_executor(connection, "dead", role="run", lease_ms=-1)
            insert_executor(connection, "alive", role="worker", lease_ms=60_000)
        with pytest.raises(DatabaseOwnedError, match=r"1 process\(es\) execute runs on .*: worker on .*, pid \d+"):
            migrate_down(database, "base")
        assert shape(settings) == made


def test_other_programs_may_share_the_database(empty: DatabaseSettings) -> None:
    with running_server().connect(str(empty.dbname), user="compozy") as admin:
        admin.execute("CREATE TABLE cookies (id TEXT)")
        with migrated(empty) as database:
            assert read_status(database).pending == ()


def test_a_database_with_our_table_names_of_another_program_is_left_unchanged(empty: DatabaseSettings) -> None:
    with running_server().connect(str(empty.dbname), user="compozy") as admin:
        admin.execute("CREATE TABLE executors (id TEXT)")
    for opening in (open_database, open_for_reading):
        database = opening(empty)
        assert database is not None
        with pytest.raises(
            DatabaseError, match=r"belongs to another program \(it contains the table 'executors'\)"
        ) as caught:
            read_status(database)
        assert "database.dbname" in caught.value.hint
        database.close()


def test_the_database_of_a_newer_compozy_is_left_unchanged() -> None:
    with new_database() as settings, migrated(settings) as database:
        with database.write() as connection:
            connection.exec_driver_sql(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '0777'")
        with pytest.raises(DatabaseError, match=r"was created by a newer Compozy \(revision 0777"):
            migrate_up(database)


def test_nothing_is_stored_outside_of_the_configured_database(empty: DatabaseSettings) -> None:
    """By default the engine would create a database `..._dbos_sys`."""
    with running_server().connect() as admin:
        before = set(admin.execute("SELECT datname FROM pg_database WHERE datname NOT LIKE 't\\_%'").fetchall())
        with migrated(empty) as database:
            migrate_journal(database)
        assert set(admin.execute("SELECT datname FROM pg_database WHERE datname NOT LIKE 't\\_%'").fetchall()) == before
    with running_server().connect(str(empty.dbname)) as admin:
        schemas = admin.execute("SELECT DISTINCT table_schema FROM information_schema.tables ORDER BY 1").fetchall()
    assert schemas == [(JOURNAL_SCHEMA,), ("information_schema",), ("pg_catalog",), ("public",)]
