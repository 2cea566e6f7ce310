"""The tables of new SQLite databases, which a test process makes without running the migrations each time.

Alembic and the engine take 0.15 s of processor time to migrate a new database. Here the first one of a process is
migrated, and the statements that it then contains make the tables of the others, in the same transactions. Tests of
migrations use the fixture `real_migrations`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import cache
from typing import Any

import sqlalchemy as sa
from dbos._sys_db_sqlite import SQLiteSystemDatabase

from compozy.database import migrate
from compozy.database.database import Database
from compozy.database.tables import VERSION_TABLE
from tests.harness.databases import load_template

_JOURNAL_VERSION = "dbos_migrations"
_run_alembic = migrate._run_alembic  # pyright: ignore[reportPrivateUsage]
_run_journal_migrations = SQLiteSystemDatabase.run_migrations


def share_tables() -> None:
    """Make the tables of new SQLite databases in this process from those of the first one."""
    setattr(migrate, "_run_alembic", _make_tables)  # noqa: B010 - private to the type checker
    setattr(SQLiteSystemDatabase, "run_migrations", _make_journal)  # noqa: B010 - as above


def run_migrations() -> None:
    """Run the migrations again, as the program does."""
    setattr(migrate, "_run_alembic", _run_alembic)  # noqa: B010 - private to the type checker
    setattr(SQLiteSystemDatabase, "run_migrations", _run_journal_migrations)  # noqa: B010 - as above


def _make_tables(database: Database, connection: sa.Connection, direction: str, target: str) -> None:
    is_new = database.driver.name == "sqlite" and not _exists(connection, VERSION_TABLE)
    if is_new and direction == "upgrade" and target == migrate.REVISIONS[-1]:
        _write(connection, is_journal=False)
    else:
        _run_alembic(database, connection, direction, target)


def _make_journal(self: Any) -> None:
    with self.engine.connect() as connection:
        is_new = not _exists(connection, _JOURNAL_VERSION)
    if not is_new:
        _run_journal_migrations(self)
        return
    with self.engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        _write(connection, is_journal=True)


def _exists(connection: sa.Connection, table: str) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    return bool(connection.exec_driver_sql(query, (table,)).scalar_one())


def _write(connection: sa.Connection, *, is_journal: bool) -> None:
    for statement in _statements(is_journal):
        connection.exec_driver_sql(statement)


@cache
def _statements(is_journal: bool) -> tuple[str, ...]:
    """Return the statements that make our tables or the journal's, and store their version."""
    run_migrations()
    try:
        content = bytearray(load_template())
    finally:
        share_tables()
    # Read and write versions of the file format: 2 needs a write-ahead log, which a database in memory does not have.
    content[18:20] = b"\x01\x01"
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(bytes(content))
        rows = connection.execute(
            "SELECT sql, tbl_name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'index', rowid"
        ).fetchall()
        first = connection.execute("SELECT rowid FROM sqlite_master WHERE name = ?", (_JOURNAL_VERSION,)).fetchone()[0]
        of_journal = {
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND rowid >= ?", (first,)
            )
        }
        version = _JOURNAL_VERSION if is_journal else VERSION_TABLE
        (value,) = connection.execute(f"SELECT * FROM {version}").fetchone()
    made = [sql for sql, table in rows if (table in of_journal) is is_journal]
    return (*made, f"INSERT INTO {version} VALUES ({value!r})")
