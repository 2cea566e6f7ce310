"""What SQLite and PostgreSQL each do in their own way; everything else is the same SQL for both."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings


class Driver(Protocol):
    """One kind of database.

    Attributes:
        name: as `database.driver` has it.
        location_key: what the location of such a database is called, `path` or `url`.
        is_exclusive: whether only the process that has a database open for runs can execute any.
        collation: the one that orders text by its bytes; None where columns do so anyway.
        journal_schema: where the engine's journal lives; None is next to our own tables.
    """

    name: str
    location_key: str
    is_exclusive: bool
    collation: str | None
    journal_schema: str | None

    def begin_write(self, connection: sa.Connection) -> None:
        """Begin a transaction that writes, on a connection that has none."""
        ...

    def allow_pauses(self, connection: sa.Connection) -> None:
        """Let the transaction of `connection` stand still for minutes, where the database would end it."""
        ...

    def find_foreign(self, tables: Iterable[str]) -> str | None:
        """Return one of the `tables` that shows that a database without our version is another program's."""
        ...

    def list_journal(self, connection: sa.Connection) -> list[str]:
        """Return the tables of the journal, quoted as they stand in SQL."""
        ...

    def drop_journal(self, connection: sa.Connection) -> None:
        """Delete the journal, all of it."""
        ...

    def migrating(
        self, settings: DatabaseSettings, engine: sa.Engine, location: str
    ) -> AbstractContextManager[sa.Engine]:
        """Keep other processes from migrating while the block lasts, and give the engine to migrate with.

        Raises:
            DatabaseError: another process did not come to an end with it.
        """
        ...

    def snapshot(self, engine: sa.Engine, readers: sa.Engine) -> AbstractContextManager[sa.Connection]:
        """Open a connection all of whose queries see the database as it is at the first of them."""
        ...

    def number_of(self, settings: DatabaseSettings, connection: sa.Connection) -> int:
        """Return a number by which this database differs from copies of it that lie beside it."""
        ...

    def examine(self, connection: sa.Connection) -> list[tuple[str, str, str]]:
        """Return what the database itself finds: what was looked at, its fault or "", and a note."""
        ...
