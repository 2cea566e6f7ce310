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
from compozy.database.database import Database, open_database
from compozy.errors import ConflictError, NotFoundError, UsageError
from compozy.project.loaded import LoadedProject
from compozy.transfer.document import Header, Summary, read_header, verify_document
from compozy.transfer.export import Exported, RunFilter, export_rows, find_last_move, freeze_runs
from compozy.transfer.load import Imported, ImportOptions, import_rows

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
    path = Path(target)
    with explain_writing(path):
        if path.exists() and not replace:
            raise ConflictError(f"there is a file {target!r}", hint="name another one, or pass --force")
        partial = path.with_name(f"{path.name}.partial")
        try:
            with partial.open("wb") as out:
                partial.chmod(0o600)
                yield out
                out.flush()
                os.fsync(out.fileno())
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
