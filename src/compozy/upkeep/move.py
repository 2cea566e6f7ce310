"""`compozy db export | import | verify`: a project's rows as a document."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from compozy.database.database import Database, open_database
from compozy.errors import ConflictError, UsageError
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, display_location, open_reading, open_storage
from compozy.transfer.document import Header, Summary, read_header, verify_document
from compozy.transfer.export import Exported, RunFilter, export_rows, find_move, freeze_runs
from compozy.transfer.load import Imported, ImportOptions, check_revision, import_rows
from compozy.upkeep.files import document, file_settings, reading, refuse_own, writing


@dataclass(frozen=True, kw_only=True)
class MoveOptions:
    """Whether unfinished runs leave the database.

    `again` writes the document of a move once more: that of the latest one, unless `move_id` says which.
    """

    is_move: bool = False
    again: bool = False
    move_id: str | None = None


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
    refuse_own(project.database, target)
    with writing(target, replace=replace) as out:
        if not moving.is_move:
            with reading(project) as database:
                return export_rows(database, out, wanted, move_id=None, tell=tell)
        with reading(project):
            pass
        database = open_storage(project, wait_for_lock_s=0.0)
        try:
            if moving.again:
                move_id = find_move(database, moving.move_id)
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
        UsageError: the database is in memory.
        DatabaseError: the database cannot be used, or another process executes runs on it; nothing was changed.
    """
    with document(source) as file:
        summary = verify_document(file)
        tell_total(summary)
        file.seek(0)
        header = read_header(file)
        # Seen before a database is made for it.
        check_revision(header)
        if project.database.is_in_memory and not options.dry_run:
            raise UsageError(
                "what is imported into a database in memory is gone with this command",
                hint="name a file with --db-path",
            )
        with _target(project, header, dry_run=options.dry_run) as database:
            return summary, import_rows(database, file, header, options, tell=tell)


def verify_file(source: str) -> Summary:
    """Read a document to its end, a file or `-` for stdin, and return what it came to.

    Raises:
        ExportFileError: it is no document, is cut short, or was changed.
    """
    with document(source) as file:
        return verify_document(file)


@contextmanager
def _target(project: LoadedProject, header: Header, *, dry_run: bool) -> Generator[Database, None, None]:
    """Open the database to import into, its journal made; a dry run into none looks at an empty one instead."""
    from compozy.durable.journal import make_journal

    with ExitStack() as stack:
        if dry_run:
            there = open_reading(project)
            if there is None:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="compozy-"))
                database = open_database(file_settings(Path(folder) / "empty.db"), location=display_location(project))
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


def _refuse_other_project(project: LoadedProject, header: Header) -> None:
    """Refuse before a database is made for it."""
    if header.project not in {"", project.name}:
        raise ConflictError(
            f"the document holds runs of the project {header.project!r}, not of {project.name!r}",
            hint=f"set `name: {header.project}` in the project file if this is that project; nothing was changed",
        )
