"""Exports the rows of a database as a document; a move freezes its unfinished runs first."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import asdict, dataclass
from typing import IO, Any

import sqlalchemy as sa

from compozy import __version__
from compozy.clock import format_time, now_ms
from compozy.database.database import Database
from compozy.database.events import append_run_status
from compozy.database.facts import get_project
from compozy.database.migrate import read_status, refuse_while_used
from compozy.database.status import OPEN, Status
from compozy.database.tables import workflow_states as runs
from compozy.durable.journal import has_journal, read_journal_revision
from compozy.errors import ConflictError
from compozy.ids import new_move_id
from compozy.transfer.document import Header, write_document
from compozy.transfer.sections import Section, list_sections

_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """The runs to export; without any filter, every row of the database.

    Args:
        since_ms: only runs accepted at this time or later, in milliseconds since 1970 UTC.
        statuses: only runs in one of these states.
        workflows: only runs of one of these workflows.
    """

    since_ms: int | None = None
    statuses: tuple[Status, ...] = ()
    workflows: tuple[str, ...] = ()

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return the filters as conditions on `workflow_states`."""
        found: list[sa.ColumnElement[bool]] = []
        if self.since_ms is not None:
            found.append(runs.c.created_ms >= self.since_ms)
        if self.statuses:
            found.append(runs.c.status.in_([status.value for status in self.statuses]))
        if self.workflows:
            found.append(runs.c.workflow_id.in_(self.workflows))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the filters for the header."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The exported rows by section, and the number of unfinished runs among them."""

    counts: dict[str, int]
    unfinished: int
    move_id: str | None


def freeze_runs(database: Database, wanted: RunFilter) -> tuple[str, int]:
    """Mark the unfinished runs as MOVED, so that no process continues them here; return the move's ID and their number.

    Raises:
        DatabaseOwnedError: other processes execute runs on the database.
        DatabaseError: the database failed. Nothing was changed.
    """
    move_id = new_move_id()
    now = now_ms()
    count = 0
    with database.write() as connection:
        refuse_while_used(database, connection)
        for status in OPEN:
            moved = {"move_id": move_id, "status": status.value, "moved_ms": now}
            change = sa.update(runs).where(runs.c.status == status.value, *wanted.conditions())
            left = change.values(status=Status.MOVED, owner=None, updated_ms=now, moved=moved)
            ids = connection.execute(left.returning(runs.c.workflow_exec_id)).scalars().all()
            for run_id in ids:
                append_run_status(connection, run_id, Status.MOVED)
            count += len(ids)
    return move_id, count


def find_move(database: Database, move_id: str | None = None) -> str:
    """Return the ID of a move out of this database, by default of the latest one.

    Raises:
        ConflictError: there was no such move. The message lists the moves that exist.
    """
    query = sa.select(runs.c.moved, sa.func.count()).where(runs.c.status == Status.MOVED).group_by(runs.c.moved)
    with database.read() as connection:
        found = [(moved, int(count)) for moved, count in connection.execute(query)]
    if not found:
        raise ConflictError(
            f"no runs were moved out of {database.location}",
            hint="to move the unfinished runs, run `compozy db export --move` without --again",
        )
    if move_id is None:
        return str(max(found, key=lambda each: each[0]["moved_ms"])[0]["move_id"])
    counts: dict[str, int] = {}
    for moved, count in sorted(found, key=lambda each: each[0]["moved_ms"]):
        counts[moved["move_id"]] = counts.get(moved["move_id"], 0) + count
    if move_id not in counts:
        known = ", ".join(f"{known} ({count} execution{'' if count == 1 else 's'})" for known, count in counts.items())
        raise ConflictError(f"move {move_id!r} out of {database.location} not found", hint=f"moves: {known}")
    return move_id


def export_rows(
    database: Database,
    out: IO[bytes],
    wanted: RunFilter,
    *,
    move_id: str | None,
    report: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write a snapshot of the rows of `database`; other processes may continue to write.

    Args:
        database: the database, open for reading.
        out: the file to write to.
        wanted: the runs to export.
        move_id: the move whose frozen runs continue where the document is imported; None makes a copy.
        report: called from time to time with the number of rows written, and their total.

    Raises:
        DatabaseError: the database failed.
        OSError: the document cannot be written.
    """
    with database.snapshot() as connection:
        writer = _Writer(database, connection, wanted, move_id)
        total = writer.count_rows() if report is not None else 0
        writing = write_document(out, writer.header, writer.sections())
        done = 0
        while True:
            try:
                next(writing)
            except StopIteration as end:
                return Exported(counts=end.value, unfinished=writer.unfinished, move_id=move_id)
            done += 1
            if report is not None and done % _AT_ONCE == 0:
                report(done, total)


class _Writer:
    """The rows of one export, as they should arrive."""

    def __init__(self, database: Database, connection: sa.Connection, wanted: RunFilter, move_id: str | None) -> None:
        self._connection = connection
        self._collation = database.driver.collation
        self._move_id = move_id
        has_tables = {True: True, False: has_journal(database, connection)}
        self._sections = list_sections(database)
        self._is_there = {section.name: has_tables[not section.in_journal] for section in self._sections}
        self._chosen = _chosen(wanted, move_id)
        self._origin: dict[str, Any] = {"database": _describe(database), "exported_at": format_time(now_ms())}
        self.unfinished = 0
        self.header = Header(
            project=get_project(connection) or "",
            source=self._origin["database"],
            database_id=database.identify(connection),
            driver=database.driver.name,
            revision=read_status(database).current,
            journal_revision=read_journal_revision(database, connection),
            compozy=__version__,
            exported_at=self._origin["exported_at"],
            mode="copy" if move_id is None else "move",
            move_id=move_id,
            filters=wanted.to_json(),
        )

    def count_rows(self) -> int:
        """Return the number of rows to write."""
        selects = [section.select(self._collation, self._chosen).order_by(None) for section in self._there()]
        return sum(
            int(self._connection.execute(sa.select(sa.func.count()).select_from(select.subquery())).scalar_one())
            for select in selects
        )

    def sections(self) -> Generator[tuple[str, Iterable[dict[str, Any]]], None, None]:
        """Yield every section with its rows."""
        for section in self._sections:
            yield section.name, self._rows(section) if self._is_there[section.name] else ()

    def _there(self) -> list[Section]:
        return [section for section in self._sections if self._is_there[section.name] and section.is_carried]

    def _rows(self, section: Section) -> Generator[dict[str, Any], None, None]:
        streaming = self._connection.execution_options(stream_results=True, yield_per=_AT_ONCE)
        for stored in streaming.execute(section.select(self._collation, self._chosen)).mappings():
            row = dict(stored)
            yield section.to_row(self._arriving(row) if section.table is runs else row)

    def _arriving(self, run: dict[str, Any]) -> dict[str, Any]:
        """Return a run in the state in which it arrives."""
        moved: dict[str, Any] = run["moved"] or {}
        before: dict[str, Any] = run["origin"] or {}
        if self._move_id is not None and moved.get("move_id") == self._move_id:
            self.unfinished += 1
            origin = {**self._origin, "move_id": self._move_id, "hops": before.get("hops", 0) + 1}
            return {**run, "status": moved["status"], "moved": None, "origin": origin}
        if run["status"] not in OPEN:
            return run
        self.unfinished += 1
        if run["status"] == Status.PAUSED and before:
            # The run arrived as a copy and has not changed; a copy of it has the same origin.
            return run
        origin = {**self._origin, **({"hops": before["hops"]} if "hops" in before else {})}
        error = None if run["requested"] else run["error"]
        return {
            **run,
            "status": Status.PAUSED.value,
            "owner": None,
            "requested": None,
            "wake_ms": None,
            "error": error,
            "origin": origin,
        }


def _chosen(wanted: RunFilter, move_id: str | None) -> sa.Select[str] | None:
    conditions = wanted.conditions()
    if not conditions:
        return None
    chosen = sa.and_(*conditions)
    if move_id is not None:
        # Frozen runs matched the filter before, but now have another state.
        chosen = sa.or_(chosen, sa.and_(runs.c.status == Status.MOVED, runs.c.moved.contains(move_id)))
    return sa.select(runs.c.workflow_exec_id).where(chosen)


def _describe(database: Database) -> str:
    return f"{database.driver.name} {database.location}" if database.is_exclusive else database.location
