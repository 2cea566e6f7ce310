"""Databases of PostgreSQL that one test uses after another: nothing of the first test reaches the second."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.executions import insert_execution
from tests.harness.databases import migrated, new_run
from tests.harness.postgres import new_database, running_server

pytestmark = pytest.mark.usefixtures("real_migrations")


def test_rows_are_deleted_for_the_next_test() -> None:
    """The next test gets the same database with the rows of a new one, under another name."""
    with new_database() as first:
        identity = read_oid(first)
        before = read_rows(first)
        fill(first)
        assert read_rows(first) != before
    with new_database() as second:
        assert read_oid(second) == identity
        assert second.dbname != first.dbname
        assert read_rows(second) == before


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE public.other ()",
        "DROP TABLE public.execution_events",
        "ALTER TABLE public.execution_events ADD COLUMN other text",
        "TRUNCATE public.execution_events",
        "CREATE INDEX other ON public.execution_events (seq)",
        "CREATE SCHEMA other",
        "CREATE SEQUENCE other",
        "CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT SELECT ON public.execution_events TO stranger",
        "ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'",
        "ALTER DATABASE {name} CONNECTION LIMIT 50",
        "REVOKE CONNECT ON DATABASE {name} FROM public",
    ],
)
def test_a_database_that_changed_otherwise_is_dropped(change: str) -> None:
    with new_database() as first, running_server().connect(str(first.dbname)) as admin:
        identity = read_oid(first)
        admin.execute(change.format(name=first.dbname).encode())
    with new_database() as second:
        assert read_oid(second) != identity
    with running_server().connect() as admin:
        assert admin.execute("SELECT 1 FROM pg_database WHERE oid = %s", (identity,)).fetchall() == []


def test_a_process_of_the_first_test_does_not_reach_the_second() -> None:
    """A connection that remains open is closed, and the old name does not exist any more."""
    with new_database() as first:
        remaining = running_server().connect(str(first.dbname), user="compozy")
    with new_database() as second, remaining:
        assert read_oid(second)
        with pytest.raises(psycopg.OperationalError):
            remaining.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            running_server().connect(str(first.dbname))


def test_databases_of_one_test_are_different() -> None:
    with new_database() as one, new_database() as other:
        assert read_oid(one) != read_oid(other)


def fill(settings: DatabaseSettings) -> None:
    """Write a run, and change what a new database contains."""
    with migrated(settings) as database, database.write() as connection:
        insert_execution(connection, new_run("r"), owner=None)
        connection.exec_driver_sql("UPDATE compozy_facts SET value = 'changed'")


def read_rows(settings: DatabaseSettings) -> dict[str, list[Any]]:
    """Return the rows of all tables, also of the journal."""
    tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname ~ 'public|compozy'"
    with running_server().connect(str(settings.dbname)) as admin:
        names = [name for (name,) in admin.execute(tables.encode())]
        return {name: admin.execute(f"SELECT t::text FROM {name} t ORDER BY 1".encode()).fetchall() for name in names}


def read_oid(settings: DatabaseSettings) -> Any:
    """Return the number by which PostgreSQL knows the database, whatever its name is."""
    with running_server().connect() as admin:
        row = admin.execute("SELECT oid FROM pg_database WHERE datname = %s", (settings.dbname,)).fetchone()
    assert row is not None
    return row[0]
