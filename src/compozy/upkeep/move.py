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

    `again` writes the document of an earlier move again: of the latest one, unless `move_id` is set.
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
    on_frozen: Callable[[int], None],
    replace: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> Exported:
    """Export the rows of the project's database to a file, or to stdout if `target` is `-`.

    Args:
        project: the project whose database to export.
        target: the file to write. It appears when it is complete.
        wanted: the runs to export.
        moving: whether unfinished runs leave this database.
        on_frozen: called with the number of runs that have left this database, before the first is written.
        replace: whether an existing file may be replaced.
        report: called with the number of rows written, and their total.

    Raises:
        DatabaseError: the database cannot be used.
        UsageError: the file exists, or cannot be written.
    """
    refuse_own(project.database, target)
    with writing(target, replace=replace) as out:
        if not moving.is_move:
            with reading(project) as database:
                return export_rows(database, out, wanted, move_id=None, report=report)
        with reading(project):
            pass
        database = open_storage(project, wait_for_lock_s=0.0)
        try:
            if moving.again:
                move_id = find_move(database, moving.move_id)
            else:
                move_id, count = freeze_runs(database, wanted)
                on_frozen(count)
            return export_rows(database, out, wanted, move_id=move_id, report=report)
        finally:
            close_storage(database)


def import_file(
    project: LoadedProject,
    source: str,
    options: ImportOptions,
    *,
    on_total: Callable[[Summary], None],
    report: Callable[[int], None] | None = None,
) -> tuple[Summary, Imported]:
    """Import the rows of a document into the project's database, after verifying the whole document.

    Args:
        project: the project whose database to import into; it is created if it does not exist.
        source: a file, or `-` for stdin.
        options: how to import existing runs.
        on_total: called with the document's totals before the first row is stored.
        report: called with the number of rows stored.

    Raises:
        ExportFileError: the document cannot be read. Nothing was changed.
        ConflictError: the document cannot be imported into this database. Nothing was changed.
        UsageError: the database is in memory.
        DatabaseError: the database cannot be used, or another process executes runs on it. Nothing was changed.
    """
    with document(source) as file:
        summary = verify_document(file)
        on_total(summary)
        file.seek(0)
        header = read_header(file)
        # Checked before a database is created for it.
        check_revision(header)
        if project.database.is_in_memory and not options.dry_run:
            raise UsageError(
                "an in-memory database does not outlive this command",
                hint="name a file with --db-path",
            )
        with _target(project, header, dry_run=options.dry_run) as database:
            return summary, import_rows(database, file, header, options, report=report)


def verify_file(source: str) -> Summary:
    """Read a document (a file, or `-` for stdin) to its end, and return its totals.

    Raises:
        ExportFileError: the file is not a document, is incomplete, or was changed.
    """
    with document(source) as file:
        return verify_document(file)


@contextmanager
def _target(project: LoadedProject, header: Header, *, dry_run: bool) -> Generator[Database, None, None]:
    """Open the database to import into, with its journal; a dry run without one uses an empty one instead."""
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
    """Refuse the document before a database is created for it."""
    if header.project not in {"", project.name}:
        raise ConflictError(
            f"the document contains runs of project {header.project!r}, not of {project.name!r}",
            hint=f"set `name: {header.project}` in the project file if this is that project; nothing was changed",
        )
