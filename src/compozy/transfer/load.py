"""Imports the rows of a document in one transaction: all of them, or nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import IO, Any

import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.facts import get_database_id, get_project
from compozy.database.migrate import REVISIONS, refuse_while_used
from compozy.database.status import OPEN, Status
from compozy.database.tables import facts, insert_if_new, knowledge_documents, memories, memory_messages
from compozy.database.tables import workflow_states as runs
from compozy.durable.journal import read_journal_revision
from compozy.errors import ConflictError, ExportFileError
from compozy.plural import plural
from compozy.transfer.document import Header, Row, read_rows
from compozy.transfer.load_memories import mark_of, replace_older
from compozy.transfer.progress import count_hops, has_continued
from compozy.transfer.sections import Section, list_sections

_AT_ONCE = 500
_NAMED = 5
# Runs of the document whose rows are not stored; exists until the transaction ends.
_PASSED = sa.table("compozy_import_passed", sa.column("run_id"))


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """How to import runs that already exist.

    Args:
        replace: replace existing runs in another state, except by an older one.
        take_back: import a move into the database that it came from, and continue its runs there.
        dry_run: report what would be done, and change nothing.
    """

    replace: bool = False
    take_back: bool = False
    dry_run: bool = False


@dataclass
class Imported:
    """The result of an import.

    Args:
        stored: number of stored rows, by section.
        new: number of runs that did not exist.
        replaced: number of runs that existed in another state, and were replaced.
        there: number of runs that existed in the same state or a later one.
        left: number of runs that existed in another state, and were not changed.
        away: number of runs that were moved from here after the document was written.
        paused: number of unfinished runs that wait for `resume`.
        unfinished: number of unfinished runs that continue.
    """

    stored: dict[str, int] = field(default_factory=dict[str, int])
    new: int = 0
    replaced: int = 0
    there: int = 0
    left: int = 0
    away: int = 0
    paused: int = 0
    unfinished: int = 0
    documents: int = 0


def import_rows(
    database: Database,
    source: IO[bytes],
    header: Header,
    options: ImportOptions,
    *,
    report: Callable[[int], None] | None = None,
) -> Imported:
    """Store the rows of a document whose header has been read.

    Args:
        database: the database, open for writing, owned, migrated, and of the same project.
        source: the rest of the document.
        header: its first line.
        options: how to import existing runs.
        report: called from time to time with the number of rows read.

    Raises:
        ExportFileError: the document cannot be read. Nothing was changed.
        ConflictError: the database has other runs with the same IDs. Nothing was changed.
        DatabaseError: the database failed. Nothing was changed.
    """
    imported = Imported()
    with database.write() as connection:
        database.driver.allow_pauses(connection)
        refuse_while_used(database, connection)
        _Import(database, connection, header, options, imported).store(source, report)
        if options.dry_run:
            connection.rollback()
    return imported


def check_revision(header: Header) -> None:
    """Refuse a document whose tables are unknown to this version.

    Raises:
        ExportFileError: it was written by a newer Compozy.
    """
    if header.revision not in REVISIONS:
        raise ExportFileError(
            f"the document was created by a newer Compozy (revision {header.revision}; this version supports up to "
            f"{REVISIONS[-1]})",
            hint="import it with that version",
        )


def check_header(header: Header, database: Database, connection: sa.Connection, *, take_back: bool) -> None:
    """Refuse a document that cannot be imported into this database.

    Raises:
        ConflictError: it belongs to another project, or was exported from this database.
        ExportFileError: it was written by a newer Compozy.
    """
    check_revision(header)
    journal_revision = read_journal_revision(database, connection)
    if header.journal_revision > journal_revision:
        raise ExportFileError(
            f"the document's journal has revision {header.journal_revision}, but {database.location} has "
            f"{journal_revision}",
            hint="import it with the version of Compozy that wrote it, or a newer one",
        )
    project = get_project(connection)
    if project is not None and header.project and project != header.project:
        raise ConflictError(
            f"the document contains runs of project {header.project!r}, but {database.location} belongs to {project!r}",
            hint=f"import it into a separate database, of a project with `name: {header.project}`",
        )
    is_same = header.database_id == database.identify(connection)
    if is_same and not take_back:
        raise ConflictError(
            f"the document was exported from this same database, {database.location}",
            hint="name another database. To continue the runs of a move here after all, pass --take-back"
            if header.is_move
            else "name another database with --db-path, or in database:",
        )
    if take_back and not (is_same and header.is_move):
        raise ConflictError(
            f"--take-back requires a document that `compozy db export --move` exported from {database.location}",
            hint=f"this one was exported from {header.source}",
        )


class _Import:
    """One import, within its transaction."""

    def __init__(
        self, database: Database, connection: sa.Connection, header: Header, options: ImportOptions, imported: Imported
    ) -> None:
        self._database = database
        self._connection = connection
        self._header = header
        self._options = options
        self._imported = imported
        self._sections = {section.name: section for section in list_sections(database)}
        # Copies, such as a restored backup, have the same stored ID.
        self._is_source = header.database_id.partition(".")[0] == get_database_id(connection)
        self._has_passed = False
        self._conflicts: list[str] = []
        self._has_outdated = False
        self._has_different = False

    def store(self, source: IO[bytes], report: Callable[[int], None] | None) -> None:
        check_header(self._header, self._database, self._connection, take_back=self._options.take_back)
        self._connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {_PASSED.name} (run_id TEXT PRIMARY KEY)")
        done = 0
        for name, rows in groupby(read_rows(source, self._header), key=lambda row: row.section):
            section = self._section(name)
            batch: list[tuple[Row, dict[str, Any]]] = []
            for row in rows:
                batch.append((row, self._values(section, row)))
                done += 1
                if len(batch) == _AT_ONCE:
                    self._store(section, batch)
                    batch.clear()
                    if report is not None:
                        report(done)
            self._store(section, batch)
            if section.table is runs:
                self._refuse_conflicts()
        self._connection.exec_driver_sql(f"DROP TABLE {_PASSED.name}")

    def _section(self, name: str) -> Section:
        if name not in self._sections:
            raise ExportFileError(
                f"the document has an unknown section {name!r}",
                hint="import it with the version that wrote it, or a newer one",
            )
        return self._sections[name]

    def _values(self, section: Section, row: Row) -> dict[str, Any]:
        try:
            values = section.from_row(row.value)
        except ValueError as error:
            raise ExportFileError(f"line {row.line}: not a row of {section.name}: {error}") from None
        if section.table is runs and values["status"] not in list(Status):
            raise ExportFileError(f"line {row.line}: invalid run status {values['status']!r}")
        return values

    def _store(self, section: Section, batch: Sequence[tuple[Row, dict[str, Any]]]) -> None:
        values = self._values_to_store(section, [value for _, value in batch])
        if not values:
            return
        if section.table is knowledge_documents or section.run is None:
            # With RETURNING, several rows are one statement.
            insert = insert_if_new(section.table).returning(*section.table.primary_key)
            stored = self._connection.execute(insert, values).all()
            if section.table is knowledge_documents:
                self._imported.documents += len(stored)
        else:
            self._connection.execute(sa.insert(section.table), values)
        self._imported.stored[section.name] = self._imported.stored.get(section.name, 0) + len(values)

    def _values_to_store(self, section: Section, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of a batch that are stored."""
        if section.table is runs:
            return self._runs_to_store(values)
        if section.table is facts:
            return [value for value in values if value["name"] != "project"]
        if section.table is memories:
            values, passed_over = replace_older(self._connection, values)
            self._pass_over(passed_over)
            return values
        if not self._has_passed:
            return values
        column = section.run
        if section.table is memory_messages:
            passed = self._passed({mark_of(value) for value in values})
            return [value for value in values if mark_of(value) not in passed]
        if column is None:
            return values
        passed = self._passed({str(value[column]) for value in values})
        return [value for value in values if value[column] not in passed]

    def _runs_to_store(self, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the runs to store after deleting those that they replace; record the others as skipped."""
        there = self._existing([str(value["workflow_exec_id"]) for value in values])
        stored: list[dict[str, Any]] = []
        replaced: list[str] = []
        passed: list[str] = []
        for run in values:
            old = there.get(run["workflow_exec_id"])
            if old is not None and not self._replaces(run, old):
                passed.append(run["workflow_exec_id"])
                continue
            stored.append(run)
            if old is not None:
                replaced.append(run["workflow_exec_id"])
            self._count_arrived(run)
        self._imported.new += len(stored) - len(replaced)
        self._imported.replaced += len(replaced)
        self._pass_over(passed)
        if replaced:
            delete_runs(self._connection, self._sections.values(), replaced)
        return stored

    def _replaces(self, run: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        """Return whether to replace `old` with `run`, which has the same ID."""
        run_id = run["workflow_exec_id"]
        if (run["workflow_id"], run["created_ms"]) != (old["workflow_id"], old["created_ms"]):
            self._conflicts.append(f"{run_id} is a different run of workflow {old['workflow_id']!r} here")
            self._has_different = True
            return False
        if old["status"] == Status.MOVED:
            return self._replaces_moved(run, old)
        if (run["status"], run["updated_ms"]) == (old["status"], old["updated_ms"]):
            self._imported.there += 1
            return False
        if has_continued(run, old):
            self._keep_later(run, old)
            return False
        return self._replaces_other(run, old)

    def _keep_later(self, run: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        """Count a run that continued after the document, or refuse the document if it is meant to replace it."""
        is_asked = self._options.replace or (self._header.is_move and not self._arrived_before(old))
        if run["status"] in OPEN and is_asked:
            self._conflicts.append(f"{run['workflow_exec_id']} has continued since, and is {old['status']} here")
            self._has_outdated = True
        self._imported.there += 1

    def _replaces_other(self, run: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        """Return whether to replace a run in another state, which is not a later one."""
        if self._options.replace and old["owner"] is None:
            return True
        if self._arrived_before(old):
            self._imported.there += 1
            return False
        if self._header.is_move and run["status"] in OPEN:
            self._conflicts.append(f"{run['workflow_exec_id']} is {old['status']} here")
        self._imported.left += 1
        return False

    def _arrived_before(self, old: Mapping[str, Any]) -> bool:
        """Return whether a run arrived with an earlier import of this document."""
        origin: dict[str, Any] = old["origin"] or {}
        return self._header.is_move and origin.get("move_id") == self._header.move_id

    def _replaces_moved(self, run: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        if run["status"] == Status.MOVED:
            self._imported.there += 1
            return False
        comes_back = self._comes_back(run, old)
        self._imported.away += not comes_back
        return comes_back

    def _comes_back(self, run: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        """Return whether to store a run that was moved away as the document has it.

        Each move adds a hop, so that a document of an earlier move does not bring back a run that continued since.
        """
        if self._header.is_move and old["moved"]["move_id"] == self._header.move_id:
            # The move that the row records. The run returns to the database that it left, and to copies of it, only on
            # request; elsewhere the row came with another document, before this one.
            return self._options.take_back or not self._is_source
        if self._options.take_back:
            return False
        left_with = count_hops(old) + 1
        came_with = count_hops(run)
        if run["status"] in OPEN:
            return self._header.is_move and came_with > left_with
        return came_with >= left_with

    def _count_arrived(self, run: Mapping[str, Any]) -> None:
        if run["status"] == Status.PAUSED:
            self._imported.paused += 1
        elif run["status"] in OPEN:
            self._imported.unfinished += 1

    def _existing(self, ids: list[str]) -> dict[str, Mapping[str, Any]]:
        names = ("workflow_exec_id", "workflow_id", "created_ms", "updated_ms", "status", "owner", "origin", "moved")
        query = sa.select(*(runs.c[name] for name in names)).where(runs.c.workflow_exec_id.in_(ids))
        return {row["workflow_exec_id"]: dict(row) for row in self._connection.execute(query).mappings()}

    def _pass_over(self, ids: list[str]) -> None:
        if ids:
            self._has_passed = True
            self._connection.execute(sa.insert(_PASSED), [{"run_id": run_id} for run_id in ids])

    def _passed(self, ids: set[str]) -> set[str]:
        query = sa.select(_PASSED.c.run_id).where(_PASSED.c.run_id.in_(ids))
        return set(self._connection.execute(query).scalars())

    def _refuse_conflicts(self) -> None:
        if not self._conflicts:
            return
        named = "; ".join(self._conflicts[:_NAMED])
        more = len(self._conflicts) - _NAMED
        raise ConflictError(
            f"{plural(len(self._conflicts), 'run')} of the document cannot be stored in {self._database.location}: "
            f"{named}" + (f"; and {more} more" if more > 0 else ""),
            hint=f"nothing was changed. {self._explain_conflicts()}",
        )

    def _explain_conflicts(self) -> str:
        if self._has_outdated:
            return (
                "The document is older than these runs, and would repeat their steps: import the document of their "
                "latest move. To return to a whole older state, run `compozy db restore` with a backup"
            )
        if self._has_different:
            return "Different runs with the same ID are never replaced: import the document into another database"
        return "--replace replaces runs that have another state here"


def delete_runs(connection: sa.Connection, sections: Iterable[Section], ids: Sequence[str]) -> int:
    """Delete runs and everything stored about them; return the number of deleted rows."""
    count = 0
    for section in reversed(list(sections)):
        if section.run_column is not None:
            count += connection.execute(sa.delete(section.table).where(section.run_column.in_(ids))).rowcount
    return count
