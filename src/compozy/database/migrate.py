"""Migrates the tables up or one revision down, on start or with `compozy migrate`.

Alembic runs each revision's `up` or `down` in one transaction that holds the write lock, so that a killed process
leaves either the old tables or the new ones. The version is read without Alembic, which is slow to import.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.executors import list_live_executors
from compozy.database.facts import name_database
from compozy.database.status import Status
from compozy.database.tables import VERSION_TABLE
from compozy.database.tables import workflow_states as runs
from compozy.errors import ConflictError, DatabaseError, DatabaseOwnedError, UsageError
from compozy.plural import plural

# All revisions in order. A test compares them with the folders.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
BASE = "base"
# The revision with the state MOVED, and the number of moved runs that a message names.
_MOVES_SINCE = "0004"
_NAMED = 5
_version = sa.table(VERSION_TABLE, sa.column("version_num"))


@dataclass(frozen=True, kw_only=True)
class MigrationStatus:
    """A database's revision ("base" when empty), and its pending revisions."""

    current: str
    latest: str
    pending: tuple[str, ...]


# The status of a database that has not been created yet.
NO_DATABASE = MigrationStatus(current=BASE, latest=REVISIONS[-1], pending=REVISIONS)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The rows that a rollback deletes: by table, and the journal's rows if it is dropped too."""

    target: str
    rows: dict[str, int]
    journal_rows: int

    @property
    def total(self) -> int:
        """Number of rows."""
        return sum(self.rows.values()) + self.journal_rows


def read_status(database: Database) -> MigrationStatus:
    """Return the migration status of `database` without changing it.

    Raises:
        DatabaseError: the database is from a newer Compozy, or belongs to another program.
    """
    with database.read() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if VERSION_TABLE not in tables:
            _refuse_foreign(database, tables)
            return NO_DATABASE
        current = connection.execute(sa.select(_version.c.version_num)).scalar() or BASE
    if current != BASE and current not in REVISIONS:
        raise DatabaseError(
            f"the database {database.location} was created by a newer Compozy (revision {current}; this version "
            f"supports up to {REVISIONS[-1]})",
            hint="install that version again; nothing was changed",
        )
    done = REVISIONS.index(current) + 1 if current != BASE else 0
    return MigrationStatus(current=current, latest=REVISIONS[-1], pending=REVISIONS[done:])


def migrate_up(database: Database) -> tuple[str, ...]:
    """Apply the pending revisions and return them; of several concurrent processes, only one does so.

    Raises:
        DatabaseError: as for `read_status`, or the database failed.
    """
    if not read_status(database).pending:
        return ()
    with database.migrating() as alone:
        # Read again: another process may have migrated while this one waited.
        pending = read_status(alone).pending
        if pending:
            with alone.write() as connection:
                _run_alembic(database, connection, "upgrade", REVISIONS[-1])
                name_database(connection)
    return pending


def measure_down(database: Database, target: str | None) -> Loss | None:
    """Return what rolling back to `target` (default one revision) deletes; None if there is nothing to roll back.

    Raises:
        UsageError: `target` is not a revision below the current one.
        ConflictError: the tables of `target` cannot store that runs were moved.
        DatabaseError: as for `read_status`.
    """
    current = read_status(database).current
    if current == BASE:
        return None
    undone = _revisions_to_undo(current, target)
    with database.read() as connection:
        _refuse_moved_runs(database, connection, undone)
    modules = [_revision_module(database.driver.name, revision) for revision in undone]
    names = [table for module in modules for table in getattr(module, "deletes", ())]
    with database.read() as connection:
        rows = {name: _count(connection, f'"{name}"') for name in names}
        takes_journal = any(getattr(module, "deletes_journal", False) for module in modules)
        journal = sum(_count(connection, table) for table in database.list_journal(connection)) if takes_journal else 0
    below = REVISIONS.index(undone[0]) - 1
    return Loss(target=REVISIONS[below] if below >= 0 else BASE, rows=rows, journal_rows=journal)


def migrate_down(database: Database, target: str) -> None:
    """Roll back the revisions above `target`, deleting what `measure_down` counted.

    Raises:
        DatabaseOwnedError: other processes execute runs on the database.
        ConflictError: the tables of `target` cannot store that runs were moved. Nothing was changed.
        DatabaseError: the database failed, and is unchanged.
    """
    undone = _revisions_to_undo(read_status(database).current, target)
    modules = [_revision_module(database.driver.name, revision) for revision in undone]
    with database.migrating() as alone, alone.write() as connection:
        refuse_while_used(database, connection)
        _refuse_moved_runs(database, connection, undone)
        if any(getattr(module, "deletes_journal", False) for module in modules):
            database.drop_journal(connection)
        _run_alembic(database, connection, "downgrade", target)


def _revisions_to_undo(current: str, target: str | None) -> tuple[str, ...]:
    position = REVISIONS.index(current)
    if target is None:
        return (current,)
    if target == BASE:
        return REVISIONS[: position + 1]
    if target not in REVISIONS[:position]:
        known = ", ".join((BASE, *REVISIONS[:position]))
        raise UsageError(f"cannot roll back from {current} to {target!r}", hint=f"possible: {known}")
    return REVISIONS[REVISIONS.index(target) + 1 : position + 1]


def _refuse_moved_runs(database: Database, connection: sa.Connection, undone: tuple[str, ...]) -> None:
    """Refuse a rollback to tables that know no moves: moved runs would be lost, or continue here and elsewhere."""
    # The base has no runs at all, whose deletion has been confirmed.
    if _MOVES_SINCE not in undone or REVISIONS[0] in undone:
        return
    query = sa.select(runs.c.workflow_exec_id).where(runs.c.status == Status.MOVED).order_by(runs.c.created_ms)
    moved = list(connection.execute(query).scalars())
    if not moved:
        return
    more = f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    raise ConflictError(
        f"{plural(len(moved), 'run')} of {database.location} moved to another database, which revision "
        f"{REVISIONS[REVISIONS.index(_MOVES_SINCE) - 1]} cannot store: {', '.join(moved[:_NAMED])}{more}",
        hint="nothing was changed. Move them back first: `compozy db export --move` where they are, and `compozy db "
        "import` here; or continue them here with `compozy db import --take-back`",
    )


def _run_alembic(database: Database, connection: sa.Connection, direction: str, target: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder(database.driver.name)))
    config.attributes["connection"] = connection
    (command.upgrade if direction == "upgrade" else command.downgrade)(config, target)


def _revision_module(driver: str, revision: str) -> Any:
    (file,) = (_folder(driver) / "versions").glob(f"{revision}_*.py")
    return importlib.import_module(f"compozy.database.migrations.{driver}.versions.{file.stem}")


def _folder(driver: str) -> Path:
    return Path(__file__).parent / "migrations" / driver


def _count(connection: sa.Connection, table: str) -> int:
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() or 0)  # noqa: S608 - own names


def _refuse_foreign(database: Database, tables: set[str]) -> None:
    foreign = database.find_foreign(tables)
    if foreign is not None:
        other = "file in database.path" if database.is_exclusive else "database in database.dbname"
        raise DatabaseError(
            f"the database {database.location} belongs to another program (it contains the table {foreign!r})",
            hint=f"set another {other}; nothing was changed",
        )


def refuse_while_used(database: Database, connection: sa.Connection) -> None:
    """Refuse to delete rows that other processes use; on a SQLite file the owner lock has already done so.

    Raises:
        DatabaseOwnedError: other processes execute runs on the database.
    """
    living = [] if database.is_exclusive else list_live_executors(connection)
    if living:
        raise DatabaseOwnedError(
            f"{len(living)} process(es) execute runs on {database.location}: {', '.join(living)}",
            hint="end them first; one that died is forgotten after ten seconds. Nothing was changed",
        )
