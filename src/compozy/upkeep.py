"""What is done with a project's database as a whole: `compozy db`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from compozy.app import close_storage, display_location, open_reading, open_storage
from compozy.config.settings import DatabaseSettings
from compozy.database import backup
from compozy.database.database import Database, open_database, open_for_reading
from compozy.database.executions import count_by_status
from compozy.database.facts import get_project
from compozy.database.migrate import read_status, refuse_while_used
from compozy.database.sqlite import MEMORY
from compozy.database.status import OPEN
from compozy.errors import ConflictError, DatabaseError, NotFoundError, UsageError
from compozy.project.loaded import LoadedProject
from compozy.transfer.check import Finding, check_database
from compozy.transfer.document import Header, Summary, read_header, verify_document
from compozy.transfer.export import Exported, RunFilter, export_rows, find_last_move, freeze_runs
from compozy.transfer.load import Imported, ImportOptions, import_rows
from compozy.transfer.prune import count_old, prune_runs

STREAM = "-"
_COPIED_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class MoveOptions:
    """Whether unfinished runs leave the database: `again` writes the document of the latest move once more."""

    is_move: bool = False
    again: bool = False


def export_project(
    project: LoadedProject,
    target: str,
    wanted: RunFilter,
    moving: MoveOptions,
    *,
    tell_frozen: Callable[[int], None],
    replace: bool = False,
    tell: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write the rows of the project's database to a file, or to stdout when `target` is `-`.

    Args:
        project: names the database.
        target: where to. A file appears when it is complete.
        wanted: which runs.
        moving: whether unfinished runs leave this database.
        tell_frozen: told how many runs have left this database, before the first is written.
        replace: whether a file that is there may be replaced.
        tell: told how many rows were written, and of how many.

    Raises:
        DatabaseError: it cannot be used.
        UsageError: the file is there, or cannot be written.
    """
    with _writing(target, replace=replace) as out:
        if not moving.is_move:
            with _reading(project) as database:
                return export_rows(database, out, wanted, move_id=None, tell=tell)
        with _reading(project):
            pass
        database = open_storage(project, wait_for_lock_s=0.0)
        try:
            if moving.again:
                move_id = find_last_move(database)
            else:
                move_id, count = freeze_runs(database, wanted)
                tell_frozen(count)
            return export_rows(database, out, wanted, move_id=move_id, tell=tell)
        finally:
            close_storage(database)


def import_file(
    project: LoadedProject,
    source: str,
    options: ImportOptions,
    *,
    tell_total: Callable[[Summary], None],
    tell: Callable[[int], None] | None = None,
) -> tuple[Summary, Imported]:
    """Store the rows of a document in the project's database, after having read it to its end.

    Args:
        project: names the database; it is made when there is none.
        source: a file, or `-` for stdin.
        options: what is done with runs that are there.
        tell_total: told what the document came to, before the first row is stored.
        tell: told how many rows were stored.

    Raises:
        ExportFileError: the document cannot be read; nothing was changed.
        ConflictError: it is not for this database; nothing was changed.
        DatabaseError: the database cannot be used, or another process executes runs on it; nothing was changed.
    """
    with _document(source) as file:
        summary = verify_document(file)
        tell_total(summary)
        file.seek(0)
        header = read_header(file)
        with _target(project, header, dry_run=options.dry_run) as database:
            return summary, import_rows(database, file, header, options, tell=tell)


def verify_file(source: str) -> Summary:
    """Read a document to its end, a file or `-` for stdin, and return what it came to.

    Raises:
        ExportFileError: it is no document, is cut short, or was changed.
    """
    with _document(source) as file:
        return verify_document(file)


def back_up(project: LoadedProject, target: str, *, replace: bool = False) -> int:
    """Write the project's whole database to a file while others use it; return the file's size in bytes.

    Raises:
        DatabaseError: it cannot be read, or its own program is missing.
        UsageError: the file is there, or cannot be written.
    """
    with _reading(project) as database:
        settings = project.database
        path = Path(target)
        with _complete(path, replace=replace) as partial:
            if database.driver == "sqlite":
                backup.back_up_sqlite(Path(settings.path or ""), partial, settings)
            else:
                backup.back_up_postgres(_connection_parameters(settings), partial)
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
    try:
        is_postgres = backup.is_postgres_backup(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {source!r}: {reason}") from error
    if is_postgres != (project.database.driver == "postgres"):
        kind = "PostgreSQL" if is_postgres else "SQLite"
        raise UsageError(
            f"{source!r} is no backup of a {'SQLite' if is_postgres else 'PostgreSQL'} database",
            hint=f"{'it is one of a PostgreSQL database' if is_postgres else f'it may be one of a {kind} database'}; "
            "`compozy db export` and `import` lead from one kind to the other",
        )
    kept = _restore_postgres(project, path, replace) if is_postgres else _restore_sqlite(project, path, replace)
    with _reading(project) as database, database.read() as connection:
        counts = count_by_status(connection)
    unfinished = sum(count for status, count in counts.items() if status in OPEN)
    return Restored(runs=sum(counts.values()), unfinished=unfinished, kept=kept)


def check(project: LoadedProject) -> tuple[str, list[Finding]]:
    """Look the project's database over, changing nothing; return where it is, and what was found.

    Raises:
        DatabaseError: it cannot be read at all.
    """
    with _reading(project) as database:
        return database.location, check_database(database)


def prune(
    project: LoadedProject, before_ms: int, *, dry_run: bool, tell: Callable[[int], None] | None = None
) -> tuple[str, int]:
    """Delete the runs that ended before a time; return where the database is, and how many they were.

    Raises:
        DatabaseError: it cannot be used.
    """
    with _reading(project) as readable:
        if dry_run:
            return readable.location, count_old(readable, before_ms)
    database = open_database(project.database, location=display_location(project))
    try:
        return database.location, prune_runs(database, before_ms, tell=tell)
    finally:
        close_storage(database)


def _restore_sqlite(project: LoadedProject, source: Path, replace: bool) -> Path | None:
    backup.check_sqlite_copy(source)
    _check_backup(project, source)
    path = Path(project.database.path or "")
    if str(path) == MEMORY:
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
        backup.restore_postgres(_connection_parameters(project.database), source)
    finally:
        close_storage(database)


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
    readable = open_for_reading(_file_settings(source.absolute()), location=str(source))
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


@contextmanager
def _reading(project: LoadedProject) -> Generator[Database, None, None]:
    database = open_reading(project)
    if database is None:
        raise NotFoundError(
            f"there is no database {display_location(project)} yet",
            hint="a run makes it: `compozy workflow run`; another one is named by --config or --db-path",
        )
    try:
        yield database
    finally:
        close_storage(database)


@contextmanager
def _target(project: LoadedProject, header: Header, *, dry_run: bool) -> Generator[Database, None, None]:
    """Open the database to import into, its journal made; a dry run into none looks at an empty one instead."""
    from compozy.durable.journal import make_journal

    with ExitStack() as stack:
        if dry_run:
            there = open_reading(project)
            if there is None:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="compozy-"))
                database = open_database(_file_settings(Path(folder) / "empty.db"), location=display_location(project))
                stack.callback(close_storage, database)
                _migrate(database)
                yield database
                return
            there.close()
        _refuse_other_project(project, header)
        database = open_storage(project, wait_for_lock_s=0.0)
        stack.callback(close_storage, database)
        make_journal(database)
        yield database


def _migrate(database: Database) -> None:
    from compozy.database.migrate import migrate_up
    from compozy.durable.journal import make_journal

    migrate_up(database)
    make_journal(database)


def _file_settings(path: Path) -> DatabaseSettings:
    return DatabaseSettings.model_validate({"driver": "sqlite", "path": str(path)})


def _refuse_other_project(project: LoadedProject, header: Header) -> None:
    """Refuse before a database is made for it."""
    if header.project not in {"", project.name}:
        raise ConflictError(
            f"the document holds runs of the project {header.project!r}, not of {project.name!r}",
            hint=f"set `name: {header.project}` in the project file if this is that project; nothing was changed",
        )


@contextmanager
def _document(source: str) -> Generator[IO[bytes], None, None]:
    """Open a document that can be read twice; what comes from stdin is put into a file that has no name."""
    if source == STREAM:
        with tempfile.TemporaryFile(prefix="compozy-") as file:
            _copy(sys.stdin.buffer, file)
            yield file
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(source).open("rb"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"cannot read {source!r}: {reason}") from error
        yield file


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    try:
        while block := source.read(_COPIED_AT_ONCE):
            target.write(block)
        target.seek(0)
    except OSError as error:
        raise UsageError(
            f"what comes from stdin cannot be kept in {tempfile.gettempdir()!r}: {error.strerror}",
            hint="name the file instead, or another folder in TMPDIR",
        ) from error


@contextmanager
def _writing(target: str, *, replace: bool) -> Generator[IO[bytes], None, None]:
    """Open what is written to; a file is named so when all of it is on the disk."""
    if target == STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if Path(target).is_char_device() or Path(target).is_fifo():
        # A pipe or a terminal, such as /dev/stdout: there is nothing to be replaced, or to be complete.
        with explain_writing(Path(target)), Path(target).open("wb") as out:
            yield out
        return
    with _complete(Path(target), replace=replace) as partial, partial.open("wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


@contextmanager
def _complete(path: Path, *, replace: bool) -> Generator[Path, None, None]:
    """Give an empty file to be filled, which is named `path` when that is done, and gone when it is not."""
    with explain_writing(path):
        if path.exists() and not path.is_file():
            raise UsageError(f"{str(path)!r} is no ordinary file", hint="name another one")
        if path.exists() and not replace:
            raise ConflictError(f"there is a file {str(path)!r}", hint="name another one, or pass --force")
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            yield partial
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def explain_writing(path: Path) -> Generator[None, None, None]:
    """Tell in words why a file cannot be written."""
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r} is no name for a file")
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}", hint="name another file") from error
