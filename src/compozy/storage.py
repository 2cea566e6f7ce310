"""Opens the project's database for one purpose: executing, reading or controlling runs, or migrating."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compozy.config.fingerprint import database_fingerprint
from compozy.database.api_keys import has_admin_key
from compozy.database.database import Database, describe_location, open_database, open_for_reading
from compozy.database.driver import Inspection
from compozy.database.executors import reap_expired_executors
from compozy.database.facts import claim_for_project, refuse_other_project
from compozy.database.migrate import (
    BASE,
    NO_DATABASE,
    Loss,
    MigrationStatus,
    measure_down,
    migrate_down,
    migrate_up,
    read_status,
)
from compozy.database.postgres_schemas import refuse_missing_privileges
from compozy.errors import DatabaseError, DatabaseOwnedError, UsageError
from compozy.plural import plural
from compozy.project.loaded import LoadedProject
from compozy.project.paths import shown_path

# The highest number of concurrent runs that `make bench` measured on SQLite: no lock errors, no loss of throughput.
# Raise it only together with a new measurement.
MEASURED_SQLITE_CONCURRENCY = 100
# The revision with the tables of users and API keys.
_USERS_SINCE = "0007"


def open_storage(
    project: LoadedProject,
    *,
    wait_for_lock_s: float,
    on_wait: Callable[[str], None] | None = None,
    url: str | None = None,
) -> Database:
    """Open the project's database to execute runs: lock it, migrate it and claim it for the project.

    Args:
        project: the project whose database to open.
        wait_for_lock_s: how long to wait for another process that executes runs on the same SQLite file.
        on_wait: called with the name of the process that holds the lock.
        url: the URL of this process's server, so that other processes can find it.

    Raises:
        DatabaseError: the database cannot be used. Nothing was changed.
    """
    database = open_database(project.database, location=display_location(project))
    try:
        _own(database, wait_for_lock_s, on_wait, url)
        prepare(database, project)
    except BaseException:
        close_storage(database)
        raise
    return database


def prepare(database: Database, project: LoadedProject) -> None:
    """Migrate the tables and claim a new database for the project.

    Raises:
        DatabaseError: the database belongs to another project or a newer Compozy, or has pending migrations while
                `auto_migrate` is off.
    """
    pending = read_status(database).pending
    if pending and not project.database.auto_migrate:
        raise DatabaseError(
            f"the database {database.location} has {plural(len(pending), 'pending migration')} and "
            "database.auto_migrate is off",
            hint="run `compozy migrate up`",
        )
    migrate_up(database)
    _prepare_journal(database, auto_migrate=project.database.auto_migrate)
    with database.write() as connection:
        claim_for_project(connection, project.name, database.location)


def _prepare_journal(database: Database, *, auto_migrate: bool) -> None:
    """Migrate the engine's journal as well; on SQLite the engine does so itself when it starts."""
    if database.journal_schema is None:
        return
    from compozy.durable.journal import is_journal_behind, migrate_journal

    with database.read() as connection:
        refuse_missing_privileges(connection, database.journal_schema, database.location)
    if not auto_migrate and is_journal_behind(database):
        raise DatabaseError(
            f"the journal in {database.location} is out of date and database.auto_migrate is off",
            hint="run `compozy migrate up`",
        )
    migrate_journal(database)


def open_reading(project: LoadedProject) -> Database | None:
    """Open the project's database for queries; None if it does not exist yet.

    Raises:
        DatabaseError: the database exists but cannot be used.
    """
    database = open_for_reading(project.database, location=display_location(project))
    if database is None:
        return None
    try:
        has_tables = _check_readable(database, project)
    except BaseException:
        database.close()
        raise
    if has_tables:
        return database
    database.close()
    return None


def _check_readable(database: Database, project: LoadedProject) -> bool:
    """Refuse pending migrations and the database of another project; return whether it has tables."""
    status = read_status(database)
    if status.current == BASE:
        return False
    if status.pending:
        raise DatabaseError(
            f"the database {database.location} has {plural(len(status.pending), 'pending migration')}",
            hint="run `compozy migrate up`",
        )
    with database.read() as connection:
        refuse_other_project(connection, project.name, database.location)
    return True


@contextmanager
def open_control(project: LoadedProject) -> Generator[Database | None, None, None]:
    """Open the project's database to pause, resume or cancel its runs; None if it does not exist yet.

    Runs of dead processes are released first, so that no request waits for a process that will not answer.

    Raises:
        DatabaseError: the database cannot be used.
    """
    readable = open_reading(project)
    if readable is None:
        yield None
        return
    readable.close()
    database = open_database(project.database, location=display_location(project))
    try:
        alone = _is_alone(database)
        if alone is not None:
            with database.write() as connection:
                reap_expired_executors(connection, except_id="" if alone else None)
        yield database
    finally:
        close_storage(database)


@contextmanager
def open_beside(project: LoadedProject, what: str) -> Generator[Database, None, None]:
    """Open the project's database, or create it, to change rows next to the process that executes its runs.

    Args:
        project: the project whose database to open.
        what: what the rows are, for the error.

    Raises:
        DatabaseError: the database cannot be used.
        UsageError: it is in memory.
    """
    if project.database.is_in_memory:
        raise UsageError(
            f"{what} need a database that other processes can open",
            hint="set database.path to a file",
        )
    database = open_database(project.database, location=display_location(project))
    try:
        if _is_alone(database) is None:
            # The owner of the file has migrated it.
            with database.read() as connection:
                refuse_other_project(connection, project.name, database.location)
        else:
            prepare(database, project)
        yield database
    finally:
        close_storage(database)


def has_administrator(project: LoadedProject) -> bool:
    """Return whether the project's database contains an API key of an administrator.

    Raises:
        DatabaseError: the database exists but cannot be used.
    """
    database = open_for_reading(project.database, location=display_location(project))
    if database is None:
        return False
    try:
        status = read_status(database)
        if status.current == BASE or _USERS_SINCE in status.pending:
            return False
        with database.read() as connection:
            return has_admin_key(connection)
    finally:
        database.close()


def _is_alone(database: Database) -> bool | None:
    """Return True if the file lock is free (every executor is dead), None if it is held, False without a lock."""
    if database.owner_lock is None:
        return False
    try:
        _own(database, 0.0)
    except DatabaseOwnedError:
        return None
    return True


def close_storage(database: Database) -> None:
    """Close the database and release its lock."""
    database.close()
    if database.owner_lock is not None:
        database.owner_lock.release()


def display_location(project: LoadedProject) -> str:
    """Return the database location as the user would write it in the current folder."""
    file = project.database.file
    return describe_location(project.database) if file is None else shown_path(str(file), Path.cwd())


def _own(
    database: Database, wait_s: float, on_wait: Callable[[str], None] | None = None, url: str | None = None
) -> None:
    lock = database.owner_lock
    if lock is None:
        return
    holder: dict[str, Any] = {"pid": os.getpid(), "command": " ".join(["compozy", *sys.argv[1:3]])}
    if url is not None:
        holder["url"] = url
    lock.acquire(holder, wait_s=wait_s, on_wait=on_wait)


def migrate_storage_up(project: LoadedProject) -> tuple[str, tuple[str, ...]]:
    """Apply the pending migrations; return the database location and the applied revisions.

    Raises:
        DatabaseError: the database cannot be used, or another process executes runs on it.
    """
    database = open_database(project.database, location=display_location(project))
    try:
        _own(database, 0.0)
        applied = migrate_up(database)
        _prepare_journal(database, auto_migrate=True)
        return database.location, applied
    finally:
        close_storage(database)


def migrate_storage_down(
    project: LoadedProject, target: str | None, confirm: Callable[[Loss], None]
) -> tuple[str, str | None]:
    """Roll back to `target`, by default one revision; return the location and the target, None at the base.

    Args:
        project: the project whose database to migrate.
        target: a revision, or `base`.
        confirm: called with what will be deleted; raises to keep it.

    Raises:
        DatabaseError: the database cannot be used, or another process executes runs on it.
        ConflictError: moved runs would be lost.
        UsageError: `target` is not an earlier revision.
    """
    database = open_database(project.database, location=display_location(project))
    try:
        _own(database, 0.0)
        loss = measure_down(database, target)
        if loss is None:
            return database.location, None
        confirm(loss)
        migrate_down(database, loss.target)
        return database.location, loss.target
    finally:
        close_storage(database)


def read_storage_status(project: LoadedProject) -> tuple[str, MigrationStatus]:
    """Return the location and migration status of the project's database without changing it.

    Raises:
        DatabaseError: the database cannot be read.
    """
    location = display_location(project)
    database = open_for_reading(project.database, location=location)
    if database is None:
        return location, NO_DATABASE
    try:
        return location, read_status(database)
    finally:
        close_storage(database)


def concurrency_warning(project: LoadedProject) -> str | None:
    """Return a warning if SQLite runs more workflows concurrently than was measured, else None."""
    asked = project.concurrency
    if not project.database.has_one_writer or asked <= MEASURED_SQLITE_CONCURRENCY:
        return None
    return (
        f"SQLite has concurrency limitations: runtime.max_concurrent_workflows is {asked}, "
        f"and more than {MEASURED_SQLITE_CONCURRENCY} concurrent runs were not measured"
    )


def connections_danger(project: LoadedProject, inspection: Inspection) -> tuple[str, str] | None:
    """Return an error and the way out if the processes of a server can open more connections than the database has."""
    each, count = project.database.max_open_conns, project.server.processes
    if inspection.max_connections is None or count * each <= inspection.max_connections:
        return None
    who = f"each process can open {each} connections"
    if count > 1:
        who = f"{count} server processes can open {count * each} connections, {each} each"
    return (
        f"{who}, but the server accepts {inspection.max_connections} in total",
        "lower database.max_open_conns, or raise max_connections of the server",
    )


def fingerprint_of(project: LoadedProject) -> str:
    """Return the fingerprint by which clients recognize the project's database."""
    settings = project.database
    values = settings.model_dump(include={"path", "host", "port", "dbname"})
    secret = settings.conn_string
    values["conn_string"] = secret.get_secret_value() if secret else None
    return database_fingerprint(settings.driver, values, str(project.root))
