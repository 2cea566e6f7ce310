"""`compozy db backup | restore | check | prune`: a project's database kept safe, sound and small."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compozy.config.database_rules import TITLES
from compozy.config.settings import DatabaseSettings
from compozy.database import backup
from compozy.database.database import Database, open_database, open_for_reading
from compozy.database.executions import count_by_status
from compozy.database.facts import get_project
from compozy.database.migrate import read_status, refuse_while_used
from compozy.database.postgres_schemas import refuse_other_installations
from compozy.database.status import OPEN
from compozy.errors import ConflictError, DatabaseError, UsageError
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, display_location
from compozy.transfer.check import Finding, check_database
from compozy.transfer.prune import count_old, prune_runs
from compozy.upkeep.files import STREAM, complete, file_settings, reading, refuse_own


def back_up(project: LoadedProject, target: str, *, replace: bool = False) -> int:
    """Write the project's whole database to a file while others use it; return the file's size in bytes.

    Raises:
        DatabaseError: it cannot be read, or its own program is missing.
        UsageError: the file is there, or cannot be written.
    """
    with reading(project):
        settings = project.database
        path = Path(target)
        if target == STREAM:
            raise UsageError(
                "a backup is a file, and does not go to stdout", hint="name a file: ./- if that is its name"
            )
        refuse_own(settings, target)
        with complete(path, replace=replace) as partial:
            backup.back_up(settings, partial)
        return path.stat().st_size


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a restore put back: how many runs, how many of them unfinished, and where the former file is kept."""

    runs: int
    unfinished: int
    kept: Path | None


def restore(project: LoadedProject, source: str, *, replace: bool = False) -> Restored:
    """Put a backup in the place of the project's database.

    Raises:
        ConflictError: there is a database with runs, and `replace` is not set; or it is another project's backup.
        DatabaseError: the backup is damaged or of another kind; or another process executes runs on the database.
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
            "`compozy db export` and `import` lead from one kind to the other",
        )
    kept = _RESTORE[kind](project, path, replace)
    with reading(project) as database, database.read() as connection:
        counts = count_by_status(connection)
    unfinished = sum(count for status, count in counts.items() if status in OPEN)
    return Restored(runs=sum(counts.values()), unfinished=unfinished, kept=kept)


def check(project: LoadedProject) -> tuple[str, list[Finding]]:
    """Look the project's database over, changing nothing; return where it is, and what was found.

    Raises:
        DatabaseError: it cannot be read at all.
    """
    with reading(project) as database:
        return database.location, check_database(database)


def prune(
    project: LoadedProject,
    before_ms: int,
    *,
    moved: bool,
    dry_run: bool,
    tell: Callable[[int], None] | None = None,
) -> tuple[str, int]:
    """Delete the runs that ended before a time, with `moved` also those that left; return where, and how many.

    Raises:
        DatabaseError: it cannot be used.
    """
    with reading(project) as readable:
        if dry_run:
            return readable.location, count_old(readable, before_ms, moved=moved)
    database = open_database(project.database, location=display_location(project))
    try:
        return database.location, prune_runs(database, before_ms, moved=moved, tell=tell)
    finally:
        close_storage(database)


def _restore_sqlite(project: LoadedProject, source: Path, replace: bool) -> Path | None:
    backup.check_sqlite_copy(source)
    _check_backup(project, source)
    path = project.database.file
    if path is None:
        raise UsageError("a database in memory cannot be restored", hint="name a file with --db-path")
    database = open_database(project.database, location=display_location(project))
    try:
        if database.owner_lock is not None:
            database.owner_lock.acquire({"pid": os.getpid(), "command": "compozy db restore"}, wait_s=0.0)
        if not replace:
            _refuse_runs(database)
        # Whoever has a file open must not find another one in its place.
        database.close()
        return backup.restore_sqlite(source, path)
    finally:
        close_storage(database)


def _restore_postgres(project: LoadedProject, source: Path, replace: bool) -> None:
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
            f"there is a database {database.location} with {count} execution(s)",
            hint="--force puts the backup in its place",
        )


def _check_backup(project: LoadedProject, source: Path) -> None:
    """Refuse a sound file that is no backup of this project's database."""
    readable = open_for_reading(file_settings(source.absolute()), location=str(source))
    if readable is None:
        raise UsageError(f"there is no file {str(source)!r}")
    try:
        if read_status(readable).current == "base":
            raise DatabaseError(f"{str(source)!r} is no backup of a Compozy database: it has no tables")
        with readable.read() as connection:
            owner = get_project(connection)
    finally:
        close_storage(readable)
    if owner not in {None, project.name}:
        raise ConflictError(
            f"{str(source)!r} is a backup of the project {owner!r}, not of {project.name!r}",
            hint=f"set `name: {owner}` in the project file if this is that project",
        )


def _connection_parameters(settings: DatabaseSettings) -> dict[str, object]:
    # Loaded here: who uses SQLite does without that driver.
    from compozy.database.postgres import connection_parameters

    return connection_parameters(settings)
