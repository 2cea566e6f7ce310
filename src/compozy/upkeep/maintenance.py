"""`compozy db backup | restore | check | prune`: maintenance of a project's database."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from compozy.config.database_rules import TITLES
from compozy.config.settings import DatabaseSettings
from compozy.database import backup
from compozy.database.attachments import list_damaged_attachments
from compozy.database.database import Database, open_database, open_for_reading
from compozy.database.executions import count_by_status
from compozy.database.facts import get_project
from compozy.database.migrate import read_status, refuse_while_used
from compozy.database.postgres_schemas import refuse_other_installations
from compozy.database.status import OPEN
from compozy.database.tables import attachments
from compozy.errors import ConflictError, DatabaseError, UsageError
from compozy.plural import plural
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, display_location
from compozy.transfer.check import Finding, check_database
from compozy.transfer.prune import count_old, prune_runs
from compozy.transfer.prune_others import OtherRows, count_others, prune_others
from compozy.upkeep.files import STREAM, complete, file_settings, reading, refuse_own


def back_up(project: LoadedProject, target: str, *, replace: bool = False) -> int:
    """Back up the project's database to a file while others use it; return the file size in bytes.

    Raises:
        DatabaseError: the database cannot be read, or its client program is missing.
        UsageError: the file exists, or cannot be written.
    """
    with reading(project):
        settings = project.database
        path = Path(target)
        if target == STREAM:
            raise UsageError(
                "a backup cannot be written to stdout", hint="name a file; for a file called `-`, write ./-"
            )
        refuse_own(settings, target)
        with complete(path, replace=replace) as partial:
            backup.back_up(settings, partial)
        return path.stat().st_size


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A restored database: its number of runs, how many are unfinished, and where the previous file is kept."""

    runs: int
    unfinished: int
    kept: Path | None


def restore(project: LoadedProject, source: str, *, replace: bool = False) -> Restored:
    """Replace the project's database with a backup.

    Raises:
        ConflictError: the database has runs and `replace` is not set, or the backup is of another project.
        DatabaseError: the backup is damaged or of another kind, or another process executes runs on the database.
        UsageError: the file cannot be read.
    """
    path = Path(source)
    refuse_own(project.database, source)
    try:
        kind = backup.driver_of_backup(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {source!r}: {reason}") from error
    if kind != project.database.driver:
        raise UsageError(
            f"{source!r} is not a backup of a {TITLES[project.database.driver]} database",
            hint=f"it may be a backup of a {TITLES[kind]} database; "
            "to convert it, use `compozy db export` and `compozy db import`",
        )
    kept = _RESTORE[kind](project, path, replace)
    with reading(project) as database, database.read() as connection:
        counts = count_by_status(connection)
    unfinished = sum(count for status, count in counts.items() if status in OPEN)
    return Restored(runs=sum(counts.values()), unfinished=unfinished, kept=kept)


def check(project: LoadedProject) -> tuple[str, list[Finding]]:
    """Check the project's database without changing it; return its location and the findings.

    Raises:
        DatabaseError: the database cannot be read at all.
    """
    with reading(project) as database:
        return database.location, check_database(database)


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A database, and what is old in it or was deleted from it."""

    location: str
    runs: int
    others: OtherRows


def prune(
    project: LoadedProject,
    before_ms: int,
    *,
    moved: bool,
    dry_run: bool,
    report: Callable[[int], None] | None = None,
) -> Pruned:
    """Delete the runs that ended before a time, with `moved` also moved runs, and other old rows.

    Raises:
        DatabaseError: the database cannot be used.
    """
    with reading(project) as readable:
        if dry_run:
            found = count_old(readable, before_ms, moved=moved)
            return Pruned(location=readable.location, runs=found, others=count_others(readable, before_ms))
    database = open_database(project.database, location=display_location(project))
    try:
        others = prune_others(database, before_ms)
        deleted = prune_runs(database, before_ms, moved=moved, report=report)
        return Pruned(location=database.location, runs=deleted, others=others)
    finally:
        close_storage(database)


def _restore_sqlite(project: LoadedProject, source: Path, replace: bool) -> Path | None:
    backup.check_sqlite_copy(source)
    _check_backup(project, source)
    path = project.database.file
    if path is None:
        raise UsageError("an in-memory database cannot be restored", hint="name a file with --db-path")
    database = open_database(project.database, location=display_location(project))
    try:
        if database.owner_lock is not None:
            database.owner_lock.acquire({"pid": os.getpid(), "command": "compozy db restore"}, wait_s=0.0)
        if not replace:
            _refuse_runs(database)
        # A process that has the file open must not find another one in its place.
        database.close()
        return backup.restore_sqlite(source, path)
    finally:
        close_storage(database)


def _restore_postgres(project: LoadedProject, source: Path, replace: bool) -> None:
    backup.refuse_damaged_attachments(source)
    database = open_database(project.database, location=display_location(project))
    try:
        if read_status(database).current != "base":
            with database.read() as connection:
                refuse_while_used(database, connection)
            if not replace:
                _refuse_runs(database)
        with database.read() as connection:
            refuse_other_installations(connection, database.location)
            extensions = backup.list_extensions(connection)
        backup.restore_postgres(_connection_parameters(project.database), source, extensions=extensions)
    finally:
        close_storage(database)


_RESTORE: dict[str, Callable[[LoadedProject, Path, bool], Path | None]] = {
    "sqlite": _restore_sqlite,
    "postgres": _restore_postgres,
}


def _refuse_runs(database: Database) -> None:
    if read_status(database).current == "base":
        return
    with database.read() as connection:
        count = sum(count_by_status(connection).values())
    if count:
        raise ConflictError(
            f"the database {database.location} already contains {plural(count, 'execution')}",
            hint="to replace it with the backup, pass --force",
        )


def _check_backup(project: LoadedProject, source: Path) -> None:
    """Refuse a valid file that is not a backup of this project's database."""
    readable = open_for_reading(file_settings(source.absolute()), location=str(source))
    if readable is None:
        raise UsageError(f"file {str(source)!r} not found")
    try:
        if read_status(readable).current == "base":
            raise DatabaseError(f"{str(source)!r} is not a backup of a Compozy database: it has no tables")
        with readable.read() as connection:
            owner = get_project(connection)
            has_attachments = sa.inspect(connection).has_table(attachments.name)
            damaged = list_damaged_attachments(connection) if has_attachments else []
    finally:
        close_storage(readable)
    if owner not in {None, project.name}:
        raise ConflictError(
            f"{str(source)!r} is a backup of project {owner!r}, not of {project.name!r}",
            hint=f"set `name: {owner}` in the project file if this is that project",
        )
    backup.refuse_attachments(damaged, source)


def _connection_parameters(settings: DatabaseSettings) -> dict[str, object]:
    # Imported here: SQLite projects do not need this driver.
    from compozy.database.postgres import connection_parameters

    return connection_parameters(settings)
