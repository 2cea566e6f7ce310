"""One open database: where it is, how to read it, how to write to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.failures import explain_failures
from compozy.database.owner import OwnerLock
from compozy.database.sqlite import (
    MEMORY,
    begin_immediate,
    check_header,
    file_exists,
    make_engine,
    make_reader_engine,
    prepare_file,
)
from compozy.errors import DatabaseError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Database:
    """An open database. `location` is how the user wrote it; `owner_lock` is None where many processes may execute."""

    driver: str
    location: str
    engine: sa.Engine
    readers: sa.Engine
    owner_lock: OwnerLock | None

    @property
    def is_exclusive(self) -> bool:
        """Whether only the process that has this database open for runs can execute any."""
        return self.driver == "sqlite"

    @contextmanager
    def write(self) -> Generator[sa.Connection, None, None]:
        """Open a transaction that holds the write lock from its first line on, and commit it at the end.

        Raises:
            DatabaseError: the database refused; nothing of the transaction was stored.
        """
        with explain_failures(self.location), self.engine.begin() as connection:
            begin_immediate(connection)
            yield connection

    @contextmanager
    def read(self) -> Generator[sa.Connection, None, None]:
        """Open a connection for queries.

        Raises:
            DatabaseError: the database refused.
        """
        with explain_failures(self.location), self.readers.connect() as connection:
            yield connection

    async def read_async(self, query: Callable[[sa.Connection], T]) -> T:
        """Run one query in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self._read, query)

    async def write_async(self, change: Callable[[sa.Connection], T]) -> T:
        """Run one transaction in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self._write, change)

    def close(self) -> None:
        """Close every connection; harmless when called again."""
        self.readers.dispose()
        self.engine.dispose()

    def _read(self, query: Callable[[sa.Connection], T]) -> T:
        with self.read() as connection:
            return query(connection)

    def _write(self, change: Callable[[sa.Connection], T]) -> T:
        with self.write() as connection:
            return change(connection)


def open_database(settings: DatabaseSettings, *, location: str | None = None) -> Database:
    """Open the configured database for writing, and make its file when there is none.

    Args:
        settings: `database:`; `path` is absolute.
        location: how messages call it; default is the path.

    Raises:
        DatabaseError: it cannot be used; nothing was changed.
    """
    path = _sqlite_path(settings)
    if path == MEMORY:
        engine = make_engine(settings, MEMORY)
        return Database(driver="sqlite", location=MEMORY, engine=engine, readers=engine, owner_lock=None)
    file = Path(path)
    prepare_file(file)
    database = Database(
        driver="sqlite",
        location=location or path,
        engine=make_engine(settings, path),
        readers=make_reader_engine(settings, path),
        owner_lock=OwnerLock(file),
    )
    _probe(database)
    return database


def open_for_reading(settings: DatabaseSettings, *, location: str | None = None) -> Database | None:
    """Open the configured database for queries only; None when there is none yet.

    Raises:
        DatabaseError: it is there and cannot be read.
    """
    path = _sqlite_path(settings)
    if path == MEMORY or not file_exists(Path(path)):
        return None
    check_header(Path(path))
    readers = make_reader_engine(settings, path)
    database = Database(
        driver="sqlite",
        location=location or path,
        engine=readers,
        readers=readers,
        owner_lock=OwnerLock(Path(path)),
    )
    _probe(database)
    return database


def _sqlite_path(settings: DatabaseSettings) -> str:
    if settings.driver != "sqlite":
        raise DatabaseError(
            f"this version cannot use the database driver {settings.driver!r} yet",
            hint="set `driver: sqlite` and a `path` there, or pass --db-driver=sqlite --db-path=FILE",
        )
    if settings.path is None:
        raise DatabaseError("sqlite driver requires path", hint="set database.path or --db-path")
    return settings.path


def _probe(database: Database) -> None:
    """Read the schema once: a damaged file is refused here, before anything is written."""
    with database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()


def journal_tables(connection: sa.Connection) -> list[str]:
    """Return the names of the tables of the engine's journal in this database."""
    rows: Any = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
    ours = {"compozy_facts", "compozy_version", "executors", "workflow_states", "task_states"}
    return sorted(name for name in rows if name not in ours and not name.startswith("sqlite_"))
