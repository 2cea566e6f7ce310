"""The database of a project as other programs see it: its section in compozy.yaml, and its rows."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

import psycopg

from compozy.config.settings import DatabaseSettings
from compozy.database.postgres_schemas import JOURNAL_SCHEMA
from tests.harness.databases import write_tables
from tests.harness.postgres import new_database, running_server

Rows = list[tuple[Any, ...]]


class Store(Protocol):
    """The database of the project in `home`; `section` is `database:` in its compozy.yaml."""

    home: Path
    section: dict[str, Any]

    def query(self, sql: str) -> Rows:
        """Return the rows of `sql`, [] if a table does not exist. `{journal}` is the prefix of journal tables."""
        ...

    def change(self, *statements: str) -> None:
        """Execute statements without results, as the superuser if one exists."""
        ...

    def damage(self) -> Rows:
        """Return the damage that the database detects."""
        ...


class SqliteStore:
    """A file in the project's folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.section: dict[str, Any] = {"driver": "sqlite", "path": "./data/compozy.db"}

    def query(self, sql: str) -> Rows:
        """Query the file."""
        path = self.home / "data/compozy.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            try:
                return connection.execute(sql.format(journal="")).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def change(self, *statements: str) -> None:
        """Change the file."""
        with contextlib.closing(sqlite3.connect(self.home / "data/compozy.db", isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def damage(self) -> Rows:
        """Check for broken pages and for dangling references."""
        broken = [row for row in self.query("PRAGMA integrity_check") if row != ("ok",)]
        return broken + self.query("PRAGMA foreign_key_check")


class PostgresStore:
    """A database on the test server."""

    def __init__(self, home: Path, settings: DatabaseSettings) -> None:
        self.home = home
        self._dbname = str(settings.dbname)
        self.section = running_server().section(self._dbname)

    def query(self, sql: str) -> Rows:
        """Query the server."""
        with running_server().connect(self._dbname) as connection:
            try:
                return connection.execute(sql.format(journal=f"{JOURNAL_SCHEMA}.").encode()).fetchall()
            except psycopg.errors.UndefinedTable:
                return []

    def change(self, *statements: str) -> None:
        """Change the database."""
        with running_server().connect(self._dbname) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def damage(self) -> Rows:
        """Return nothing: PostgreSQL does not have such a check."""
        return []


@contextlib.contextmanager
def open_store(driver: str, home: Path, *, migrated: bool = True) -> Generator[Store, None, None]:
    """Create the database of the project in `home`, with all tables if it is `migrated`."""
    if driver == "sqlite":
        if migrated:
            write_tables(home / "data/compozy.db")
        yield SqliteStore(home)
        return
    with new_database(migrated=migrated) as settings:
        yield PostgresStore(home, settings)
