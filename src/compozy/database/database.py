"""One open database: where it is, how to read it, how to write to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.driver import Driver
from compozy.database.facts import get_database_id
from compozy.database.failures import explain_failures
from compozy.database.owner import OwnerLock
from compozy.database.sqlite import (
    MEMORY,
    SqliteDriver,
    check_header,
    file_exists,
    file_identity,
    make_engine,
    make_reader_engine,
    make_visitor_engine,
    prepare_file,
    refuse_old_library,
)
from compozy.errors import DatabaseError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Database:
    """An open database. `location` is how the user wrote it; `owner_lock` is None where many processes may execute."""

    settings: DatabaseSettings
    driver: Driver
    location: str
    engine: sa.Engine
    readers: sa.Engine
    owner_lock: OwnerLock | None = None
    # Device and number of a SQLite file that is written to.
    identity: tuple[int, int] | None = None
    # Whether this process is the one that migrates it just now.
    is_migrating: bool = False

    @property
    def journal_schema(self) -> str | None:
        """The schema of the engine's journal; None where it lies beside our tables."""
        return self.driver.journal_schema

    @property
    def is_exclusive(self) -> bool:
        """Whether only the process that has this database open for runs can execute any."""
        return self.driver.is_exclusive

    def check_in_place(self) -> None:
        """See that the file which this process has open is still the one that others would open.

        The kernel lets a process write on to a file that was deleted, and nobody would ever read it.

        Raises:
            DatabaseError: it was deleted, moved or replaced.
        """
        if self.identity is not None and self.identity != file_identity(Path(_sqlite_path(self.settings))):
            raise DatabaseError(
                f"the file of the database {self.location} was deleted, moved or replaced while it was in use",
                hint="what was stored since then is not in it; put the file back, or start again",
            )

    @contextmanager
    def write(self) -> Generator[sa.Connection, None, None]:
        """Open a transaction, and commit it at the end.

        On SQLite it holds the write lock from its first line on. On PostgreSQL others go on meanwhile, so what is read
        may have changed when it is written: change a state by one UPDATE that names what it must be, or lock its row.

        Raises:
            DatabaseError: the database refused; nothing of the transaction was stored.
        """
        self.check_in_place()
        with explain_failures(self.location), self.engine.begin() as connection:
            self.driver.begin_write(connection)
            yield connection

    @contextmanager
    def read(self) -> Generator[sa.Connection, None, None]:
        """Open a connection for queries, each of which sees what is stored when it begins.

        Raises:
            DatabaseError: the database refused.
        """
        self.check_in_place()
        with explain_failures(self.location), self.readers.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Generator[sa.Connection, None, None]:
        """Open a connection all of whose queries see the same moment, however long they take; others go on writing.

        Raises:
            DatabaseError: the database refused.
        """
        self.check_in_place()
        with explain_failures(self.location), self.driver.snapshot(self.engine, self.readers) as connection:
            yield connection

    async def read_async(self, query: Callable[[sa.Connection], T]) -> T:
        """Run one query in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self._read, query)

    async def write_async(self, change: Callable[[sa.Connection], T]) -> T:
        """Run one transaction in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self._write, change)

    @contextmanager
    def migrating(self) -> Generator[Database, None, None]:
        """Keep other processes from migrating while the block lasts; its value is this database, to migrate with.

        Raises:
            DatabaseError: the database refused, or another process does not come to an end with it.
        """
        if self.is_migrating:
            yield self
            return
        with (
            explain_failures(self.location),
            self.driver.migrating(self.settings, self.engine, self.location) as engine,
        ):
            readers = self.readers if engine is self.engine else engine
            yield replace(self, engine=engine, readers=readers, is_migrating=True)

    def find_foreign(self, tables: Iterable[str]) -> str | None:
        """Return one of the `tables` that shows that a database without our version is another program's."""
        return self.driver.find_foreign(tables)

    def list_journal(self, connection: sa.Connection) -> list[str]:
        """Return the tables of the engine's journal, quoted as they stand in SQL."""
        return self.driver.list_journal(connection)

    def drop_journal(self, connection: sa.Connection) -> None:
        """Delete the engine's journal, all of it."""
        self.driver.drop_journal(connection)

    def identify(self, connection: sa.Connection) -> str:
        """Return the name by which this database is told from every other, copies of it included.

        Raises:
            DatabaseError: it is older than such names.
        """
        database_id = get_database_id(connection)
        if database_id is None:
            raise DatabaseError(f"the database {self.location} has no id", hint="run `compozy migrate up`")
        return f"{database_id}.{self.driver.number_of(self.settings, connection)}"

    def log_size(self) -> int | None:
        """Return the bytes in the write-ahead log beside the file; None where there is no such file."""
        file = self.settings.file
        if file is None:
            return None
        log = file.with_name(f"{file.name}-wal")
        return log.stat().st_size if log.exists() else 0

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
    """Open the configured database for writing; a SQLite file is made when there is none.

    Args:
        settings: `database:`; `path` is absolute.
        location: how messages call it; default is the path, or the address without secrets.

    Raises:
        DatabaseError: it cannot be used; nothing was changed.
    """
    if settings.driver == "postgres":
        return _open_postgres(settings, location, to_write=True)
    refuse_old_library()
    path = _sqlite_path(settings)
    if path == MEMORY:
        engine = make_engine(settings, MEMORY)
        return Database(settings=settings, driver=SqliteDriver(), location=MEMORY, engine=engine, readers=engine)
    file = Path(path)
    prepare_file(file)
    database = Database(
        settings=settings,
        driver=SqliteDriver(),
        location=location or path,
        engine=make_engine(settings, path),
        readers=make_reader_engine(settings, path),
        owner_lock=OwnerLock(file),
        identity=file_identity(file),
    )
    _probe(database)
    return database


def open_for_reading(settings: DatabaseSettings, *, location: str | None = None) -> Database | None:
    """Open the configured database for queries only; None when there is no SQLite file yet.

    Raises:
        DatabaseError: it is there and cannot be read.
    """
    if settings.driver == "postgres":
        return _open_postgres(settings, location, to_write=False)
    refuse_old_library()
    path = _sqlite_path(settings)
    if path == MEMORY or not file_exists(Path(path)):
        return None
    check_header(Path(path))
    # A folder that only reads: another user's, or a disk that is mounted so.
    may_write = os.access(Path(path).parent, os.W_OK)
    readers = (make_reader_engine if may_write else make_visitor_engine)(settings, path)
    database = Database(
        settings=settings,
        driver=SqliteDriver(),
        location=location or path,
        engine=readers,
        readers=readers,
        owner_lock=OwnerLock(Path(path)),
    )
    _probe(database)
    return database


def describe_location(settings: DatabaseSettings) -> str:
    """Return the configured database as messages show it, without secrets.

    Raises:
        DatabaseError: the settings name none.
    """
    if settings.driver == "sqlite":
        return _sqlite_path(settings)
    from compozy.database import postgres

    return postgres.describe_location(settings)


def _open_postgres(settings: DatabaseSettings, location: str | None, *, to_write: bool) -> Database:
    # Loaded here, because the driver takes long to load and who uses SQLite does without it.
    from compozy.database import postgres
    from compozy.database.postgres_schemas import find_journal_schema

    engine = postgres.make_engine(settings, read_only=not to_write)
    database = Database(
        settings=settings,
        driver=postgres.PostgresDriver(),
        location=location or postgres.describe_location(settings),
        engine=engine,
        readers=postgres.make_reader_engine(engine),
    )
    try:
        with database.read() as connection:
            postgres.check_server(connection, database.location, to_write=to_write)
            journal_schema = find_journal_schema(connection, database.location)
    except BaseException:
        database.close()
        raise
    return replace(database, driver=postgres.PostgresDriver(journal_schema))


def _sqlite_path(settings: DatabaseSettings) -> str:
    if settings.path is None:
        raise DatabaseError("sqlite driver requires path", hint="set database.path or --db-path")
    return settings.path


def _probe(database: Database) -> None:
    """Read the schema once: a damaged file is refused here, before anything is written."""
    with database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
