"""The checks of `compozy doctor` on the database of a project: reachable, current, in use, on time."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.claims import list_unserved_queues
from compozy.database.database import Database, open_for_reading
from compozy.database.executions import count_by_status
from compozy.database.executors import list_live_executors
from compozy.database.facts import refuse_other_project
from compozy.database.filesystem import is_read_only, read_only_error, require_writable
from compozy.database.load import count_foreign_formats
from compozy.database.migrate import MigrationStatus, read_status
from compozy.database.owner import name_holder, read_holder
from compozy.database.postgres_schemas import refuse_missing_privileges
from compozy.database.status import Status
from compozy.durable.format import FINISH_ELSEWHERE, JOURNAL_FORMAT, describe_foreign_formats
from compozy.errors import CompozyError, DatabaseError
from compozy.plural import plural
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, connections_danger, display_location
from compozy.transfer.check import check_database
from compozy.upkeep.doctor import Check, existing, explained, failed, is_writable, passed, skipped, warned

_NAME = "database"
_UNFINISHED = (Status.PENDING, Status.RUNNING, Status.WAITING)
# Below it, a difference changes neither deadlines nor the order of events noticeably.
_SKEW_MS = 2_000


def check_storage(project: LoadedProject, *, is_deep: bool) -> Iterator[Check]:
    """Yield the checks of the project's database; with `is_deep`, all rows are read as by `compozy db check`."""
    try:
        yield from _check_storage(project, is_deep=is_deep)
    except CompozyError as error:
        yield explained(_NAME, error)


def _check_storage(project: LoadedProject, *, is_deep: bool) -> Iterator[Check]:
    location = display_location(project)
    if project.database.is_in_memory:
        yield warned(
            _NAME, "the database is in memory: its runs end with the process", "set database.path to keep them"
        )
        return
    database = open_for_reading(project.database, location=location)
    if database is None:
        yield _check_new_file(project, location)
        return
    try:
        yield from _check_writable(project)
        yield from _check_database(project, database)
        if is_deep and not read_status(database).pending:
            yield from _check_rows(database)
    finally:
        close_storage(database)


def _check_new_file(project: LoadedProject, location: str) -> Check:
    file = project.database.file
    if file is not None and not is_writable(file.parent):
        if is_read_only(existing(file.parent)):
            return explained(_NAME, read_only_error(location))
        return failed(
            _NAME,
            f"{location} does not exist, and its folder cannot be written",
            "change the owner or mode of the folder, or set database.path",
            exit_status=DatabaseError.exit_status,
        )
    return passed(_NAME, f"{location} does not exist yet; the first run creates it")


def _check_writable(project: LoadedProject) -> Iterator[Check]:
    """Yield the error with which a start refuses a SQLite file that it cannot write."""
    file = project.database.file
    try:
        if file is not None:
            require_writable(file)
    except DatabaseError as error:
        yield explained(_NAME, error)


def _check_database(project: LoadedProject, database: Database) -> Iterator[Check]:
    with database.read() as connection:
        before_ms = now_ms()
        inspection = database.driver.inspect(project.database, connection)
        after_ms = now_ms()
    status = read_status(database)
    revision = f"revision {status.current} of {status.latest}"
    yield passed(_NAME, f"{database.location}, {inspection.version}, {revision}")
    too_many = connections_danger(project, inspection)
    for danger, hint in (*inspection.dangers, *((too_many,) if too_many else ())):
        yield warned(_NAME, danger, hint)
    if inspection.clock_ms is not None:
        yield judge_clock(inspection.clock_ms, before_ms, after_ms)
    if status.pending:
        yield _check_pending(project, status)
        yield skipped("runs", "not checked before the migration")
        return
    with database.read() as connection:
        if database.journal_schema is not None:
            refuse_missing_privileges(connection, database.journal_schema, database.location)
        refuse_other_project(connection, project.name, database.location)
        yield from _check_runs(project, database, connection)
        yield from _check_replica(database, connection)


def _check_pending(project: LoadedProject, status: MigrationStatus) -> Check:
    words = plural(len(status.pending), "pending migration")
    if project.database.auto_migrate:
        return warned(_NAME, f"{words}, applied by the next start", "run `compozy migrate up` to apply them now")
    return failed(
        _NAME,
        f"{words} and database.auto_migrate is off",
        "run `compozy migrate up`",
        exit_status=DatabaseError.exit_status,
    )


def _check_replica(database: Database, connection: sa.Connection) -> Iterator[Check]:
    with database.opened_replica() as replica:
        if replica is None:
            return
        try:
            behind = replica.bytes_behind(connection)
        except DatabaseError as error:
            yield warned("replica", f"{error.message}; lists come from the primary", error.hint)
            return
        yield passed("replica", f"{replica.location} answers, {behind / 1024:.0f} KiB behind")


def judge_clock(server_ms: int, before_ms: int, after_ms: int) -> Check:
    """Return the check of the clock of a database server, which was read between two times of this machine."""
    # The server read its clock at some point between the two.
    skew_ms = max(0, server_ms - after_ms, before_ms - server_ms)
    if skew_ms < _SKEW_MS:
        return passed("clock", "this machine and the database server agree")
    way = "behind" if server_ms > after_ms else "ahead of"
    return warned(
        "clock",
        f"the clock of this machine is {skew_ms / 1000:.1f} s {way} the one of the database server",
        "synchronize both, e.g. with NTP: time limits, waits and the times of events use the clock of this machine",
    )


def _check_runs(project: LoadedProject, database: Database, connection: sa.Connection) -> Iterator[Check]:
    counts = count_by_status(connection)
    unfinished = sum(counts.get(status, 0) for status in _UNFINISHED)
    executing = _list_executing(project, database, connection)
    if executing:
        yield passed("runs", f"{plural(unfinished, 'unfinished run')}; executed by {', '.join(executing)}")
    elif unfinished:
        yield warned(
            "runs",
            f"{plural(unfinished, 'unfinished run')}, and no process executes runs",
            "run `compozy start` or `compozy worker`",
        )
    else:
        yield passed("runs", "no unfinished runs, and no process executes runs")
    if foreign := count_foreign_formats(connection, journal_format=JOURNAL_FORMAT):
        yield warned("runs", describe_foreign_formats(foreign), FINISH_ELSEWHERE)
    if unserved := list_unserved_queues(connection):
        yield warned(
            "queues",
            f"runs wait in {', '.join(map(repr, unserved))}, and no process serves it"
            if len(unserved) == 1
            else f"runs wait in {', '.join(map(repr, unserved))}, and no process serves these queues",
            f"run `compozy worker {' '.join(f'--queue {name}' for name in unserved)}`",
        )


def _list_executing(project: LoadedProject, database: Database, connection: sa.Connection) -> list[str]:
    """Return the processes that execute runs; on a SQLite file, the one that holds its lock."""
    file = project.database.file
    if not database.is_exclusive or file is None:
        return list_live_executors(connection)
    holder = read_holder(file)
    return [] if holder is None else [name_holder(holder).rstrip(",")]


def _check_rows(database: Database) -> Iterator[Check]:
    for finding in check_database(database):
        if finding.fault:
            yield failed(
                _NAME,
                f"{finding.name}: {finding.fault}",
                "see `compozy db check`",
                exit_status=DatabaseError.exit_status,
            )
        else:
            yield passed(_NAME, f"{finding.name}{f': {finding.note}' if finding.note else ''}")
