"""The differences between SQLite and PostgreSQL; all other SQL is the same for both."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.changes import Announcer, ChangeFeed
from compozy.database.live_text import TextListener


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The program behind a database.

    Attributes:
        version: its name and version, such as `PostgreSQL 17.2`.
        clock_ms: the time of its clock; None if it uses that of this machine.
        dangers: settings with which it can lose recorded steps, each with the way out.
        max_connections: connections that it accepts in total; None if it has no limit.
    """

    version: str
    clock_ms: int | None = None
    dangers: tuple[tuple[str, str], ...] = ()
    max_connections: int | None = None


class Driver(Protocol):
    """One kind of database.

    Attributes:
        name: the value of `database.driver`.
        location_key: the name of the location in documents, `path` or `url`.
        is_exclusive: whether only the process that opened the database for runs can execute them.
        writers: transactions in which runs record at the same time.
        collation: the collation that sorts text by its bytes; None if that is the default.
        journal_schema: the schema of the engine's journal; None if it is next to our tables.
    """

    name: str
    location_key: str
    is_exclusive: bool
    writers: int
    collation: str | None
    journal_schema: str | None

    def begin_write(self, connection: sa.Connection) -> None:
        """Start a writing transaction on a connection without one."""
        ...

    def take_turn(self, connection: sa.Connection, task: int) -> bool:
        """Return whether this transaction is the only one with the number `task`, until it ends."""
        ...

    def limit_lock_waits(self, connection: sa.Connection) -> None:
        """Let this transaction fail soon if another one holds a row that it needs, or if this process stops."""
        ...

    def allow_pauses(self, connection: sa.Connection) -> None:
        """Allow the transaction of `connection` to stay idle for minutes, where the database would end it."""
        ...

    def open_feed(self, settings: DatabaseSettings, hear_text: TextListener | None = None) -> ChangeFeed | None:
        """Return what reports the changes of other processes; None if there are none."""
        ...

    def open_announcer(self, settings: DatabaseSettings) -> Announcer | None:
        """Return what reports the changes of this process to others; None if they notice them without it."""
        ...

    def find_foreign(self, tables: Iterable[str]) -> str | None:
        """Return one of the `tables` that shows that a database without our version belongs to another program."""
        ...

    def list_journal(self, connection: sa.Connection) -> list[str]:
        """Return the tables of the engine's journal, quoted for SQL."""
        ...

    def drop_journal(self, connection: sa.Connection) -> None:
        """Delete the engine's whole journal."""
        ...

    def migrating(
        self, settings: DatabaseSettings, engine: sa.Engine, location: str
    ) -> AbstractContextManager[sa.Engine]:
        """Hold the migration lock until the block ends; yields the engine to migrate with.

        Raises:
            DatabaseError: another process holds the lock for too long.
        """
        ...

    def request_engines(self, settings: DatabaseSettings) -> tuple[sa.Engine, sa.Engine] | None:
        """Return engines to write and to read with connections reserved for requests; None if there are none."""
        ...

    def open_replica(self, settings: DatabaseSettings) -> tuple[sa.Engine, str] | None:
        """Return an engine for queries of the configured replica, and its location; None if there is none."""
        ...

    def snapshot(self, engine: sa.Engine, readers: sa.Engine) -> AbstractContextManager[sa.Connection]:
        """Open a connection whose queries all see the snapshot of the first one."""
        ...

    def identity_number(self, settings: DatabaseSettings, connection: sa.Connection) -> int:
        """Return a number that distinguishes this database from copies of it next to it."""
        ...

    def examine(self, connection: sa.Connection) -> list[tuple[str, str, str]]:
        """Check the database's own integrity; returns for each check its name, its error or "", and a note."""
        ...

    def inspect(self, settings: DatabaseSettings, connection: sa.Connection) -> Inspection:
        """Return the version, the clock and the dangerous settings of the program behind the database."""
        ...
