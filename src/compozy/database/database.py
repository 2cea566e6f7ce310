"""An open database: its location, and how to read and write it."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.driver import Driver
from compozy.database.events import collect_events
from compozy.database.facts import get_database_id
from compozy.database.failures import explain_failures
from compozy.database.owner import OwnerLock
from compozy.database.replica import Replica
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
# Threads of a server's requests; on PostgreSQL each can have its own connection. Queries do not wait for transactions.
_REQUEST_READERS = 2
_REQUEST_WRITERS = 4


@dataclass(frozen=True, kw_only=True)
class Database:
    """An open database. `location` is as the user wrote it; `owner_lock` is None if many processes may execute runs."""

    settings: DatabaseSettings
    driver: Driver
    location: str
    engine: sa.Engine
    readers: sa.Engine
    owner_lock: OwnerLock | None = None
    # Device and inode of the SQLite file, if it is opened for writing.
    identity: tuple[int, int] | None = None
    # Whether this process is migrating the database.
    is_migrating: bool = False
    # Where `read_async` and `write_async` run; None for the threads of the event loop.
    read_threads: ThreadPoolExecutor | None = None
    write_threads: ThreadPoolExecutor | None = None
    # Where lists are read; None for the database itself.
    replica: Replica | None = None

    @property
    def journal_schema(self) -> str | None:
        """The schema of the engine's journal; None if it is next to our tables."""
        return self.driver.journal_schema

    @property
    def is_exclusive(self) -> bool:
        """Whether only the process that opened this database for runs can execute them."""
        return self.driver.is_exclusive

    def check_in_place(self) -> None:
        """Check that the open file is still the one at its path.

        The kernel lets a process continue to write to a deleted file, which no other process would ever read.

        Raises:
            DatabaseError: the file was deleted, moved or replaced.
        """
        if self.identity is not None and self.identity != file_identity(Path(_sqlite_path(self.settings))):
            raise DatabaseError(
                f"the database file {self.location} was deleted, moved or replaced while it was in use",
                hint="it does not contain what was stored since then; put the file back, or start again",
            )

    @contextmanager
    def write(self) -> Generator[sa.Connection, None, None]:
        """Open a transaction and commit it at the end.

        On SQLite it holds the write lock from its first statement. On PostgreSQL other transactions run concurrently,
        so what was read may have changed before it is written: change a state by one UPDATE that checks it, or lock the
        row.

        Raises:
            DatabaseError: the database failed. Nothing of the transaction was stored.
        """
        self.check_in_place()
        with explain_failures(self.location), self.engine.begin() as connection:
            self.driver.begin_write(connection)
            with collect_events(connection):
                yield connection

    @contextmanager
    def read(self) -> Generator[sa.Connection, None, None]:
        """Open a connection for queries, each of which sees what is stored when it starts.

        Raises:
            DatabaseError: the database failed.
        """
        self.check_in_place()
        with explain_failures(self.location), self.readers.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Generator[sa.Connection, None, None]:
        """Open a connection whose queries all see the same snapshot; it does not block writers.

        Raises:
            DatabaseError: the database failed.
        """
        self.check_in_place()
        with explain_failures(self.location), self.driver.snapshot(self.engine, self.readers) as connection:
            yield connection

    async def read_async(self, query: Callable[[sa.Connection], T]) -> T:
        """Run one query in a thread, so that it does not block the event loop."""
        return await _in_thread(self.read_threads, partial(self._read, query))

    async def list_async(self, query: Callable[[sa.Connection], T]) -> T:
        """Run one query of a list in a thread, on the replica if there is one, which can lag behind."""
        from_primary = partial(self._read, query)
        call = from_primary if self.replica is None else partial(self.replica.read, query, from_primary)
        return await _in_thread(self.read_threads, call)

    async def write_async(self, change: Callable[[sa.Connection], T]) -> T:
        """Run one transaction in a thread, so that it does not block the event loop."""
        return await _in_thread(self.write_threads, partial(self._write, change))

    @contextmanager
    def for_requests(self) -> Generator[Database, None, None]:
        """Yield this database for the requests of a server: runs that record their steps do not delay them.

        Requests have their own threads, and their own connections if the driver reserves some.

        Raises:
            DatabaseError: `read_url` is another database.
        """
        engine, readers = self.driver.request_engines(self.settings) or (self.engine, self.readers)
        try:
            with (
                self.opened_replica() as replica,
                ThreadPoolExecutor(_REQUEST_READERS, thread_name_prefix="compozy-query") as reading,
                ThreadPoolExecutor(_REQUEST_WRITERS, thread_name_prefix="compozy-request") as writing,
            ):
                if replica is not None:
                    replica.check()
                threads = {"read_threads": reading, "write_threads": writing}
                yield replace(self, engine=engine, readers=readers, replica=replica, **threads)
        finally:
            if engine is not self.engine:
                engine.dispose()

    @contextmanager
    def migrating(self) -> Generator[Database, None, None]:
        """Hold the migration lock until the block ends; yields the database to migrate with.

        Raises:
            DatabaseError: the database failed, or another process holds the lock for too long.
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
        """Return one of the `tables` that shows that a database without our version belongs to another program."""
        return self.driver.find_foreign(tables)

    def list_journal(self, connection: sa.Connection) -> list[str]:
        """Return the tables of the engine's journal, quoted for SQL."""
        return self.driver.list_journal(connection)

    def drop_journal(self, connection: sa.Connection) -> None:
        """Delete the engine's whole journal."""
        self.driver.drop_journal(connection)

    def identify(self, connection: sa.Connection) -> str:
        """Return an ID that distinguishes this database from all others, including copies of it.

        Raises:
            DatabaseError: the database is older than such IDs.
        """
        database_id = get_database_id(connection)
        if database_id is None:
            raise DatabaseError(f"the database {self.location} does not have an id", hint="run `compozy migrate up`")
        return f"{database_id}.{self.driver.identity_number(self.settings, connection)}"

    def log_size(self) -> int | None:
        """Return the size of the write-ahead log in bytes; None if it does not exist."""
        file = self.settings.file
        if file is None:
            return None
        log = file.with_name(f"{file.name}-wal")
        return log.stat().st_size if log.exists() else 0

    def close(self) -> None:
        """Close every connection. Calling it again has no effect."""
        self.readers.dispose()
        self.engine.dispose()

    @contextmanager
    def opened_replica(self) -> Generator[Replica | None, None, None]:
        """Yield the configured replica, None if there is none. It is not connected yet."""
        if (opened := self.driver.open_replica(self.settings)) is None:
            yield None
            return
        replica = Replica(engine=opened[0], location=opened[1], database_id=self._read(get_database_id))
        try:
            yield replica
        finally:
            replica.engine.dispose()

    def _read(self, query: Callable[[sa.Connection], T]) -> T:
        with self.read() as connection:
            return query(connection)

    def _write(self, change: Callable[[sa.Connection], T]) -> T:
        with self.write() as connection:
            return change(connection)


def open_database(settings: DatabaseSettings, *, location: str | None = None) -> Database:
    """Open the configured database for writing; a missing SQLite file is created.

    Args:
        settings: `database:`; `path` is absolute.
        location: the name used in messages; by default the path, or the address without secrets.

    Raises:
        DatabaseError: the database cannot be used. Nothing was changed.
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
    """Open the configured database for queries only; None if the SQLite file does not exist yet.

    Raises:
        DatabaseError: the database exists but cannot be read.
    """
    if settings.driver == "postgres":
        return _open_postgres(settings, location, to_write=False)
    refuse_old_library()
    path = _sqlite_path(settings)
    if path == MEMORY or not file_exists(Path(path)):
        return None
    check_header(Path(path))
    # A read-only folder: it belongs to another user, or is mounted read-only.
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
    """Return the location of the configured database as shown in messages, without secrets.

    Raises:
        DatabaseError: the settings do not name a database.
    """
    if settings.driver == "sqlite":
        return _sqlite_path(settings)
    from compozy.database import postgres

    return postgres.describe_location(settings)


def _open_postgres(settings: DatabaseSettings, location: str | None, *, to_write: bool) -> Database:
    # Imported here: the driver loads slowly, and SQLite projects do not need it.
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
            postgres.check_server(connection, database.location)
            journal_schema = find_journal_schema(connection, database.location)
    except BaseException:
        database.close()
        raise
    return replace(database, driver=postgres.PostgresDriver(journal_schema))


def _sqlite_path(settings: DatabaseSettings) -> str:
    if settings.path is None:
        raise DatabaseError("sqlite driver requires path", hint="set database.path or --db-path")
    return settings.path


async def _in_thread(threads: ThreadPoolExecutor | None, call: Callable[[], T]) -> T:
    """Do what `asyncio.to_thread` does, with threads of the caller's choice."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, partial(context.run, call))


def _probe(database: Database) -> None:
    """Read the schema once, so that a damaged file is refused before anything is written, and closed."""
    try:
        with database.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
    except BaseException:
        database.close()
        raise
