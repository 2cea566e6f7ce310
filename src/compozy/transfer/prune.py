"""Deletes runs that ended long ago, and everything stored about them but the sums of their costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import sqlalchemy as sa

from compozy.clock import monotonic_s
from compozy.database.costs import keep_costs
from compozy.database.database import Database
from compozy.database.status import FINAL, Status
from compozy.database.tables import is_one_of
from compozy.database.tables import workflow_states as runs
from compozy.durable.journal import has_journal
from compozy.transfer.load import delete_runs
from compozy.transfer.sections import list_sections

# Small enough that other processes waiting for the lock do not notice.
_AT_ONCE = 200
_MIN_PAUSE_S = 0.02
_MAX_PAUSE_S = 0.5


def count_old(database: Database, before_ms: int, *, moved: bool = False) -> int:
    """Return the number of runs that ended before a time, in ms since 1970 UTC; with `moved`, that left before it."""
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).where(*_is_old(before_ms, moved))).scalar_one())


def prune_runs(
    database: Database, before_ms: int, *, moved: bool = False, report: Callable[[int], None] | None = None
) -> int:
    """Delete the runs that ended before a time and return their number; other processes may continue to write.

    Each batch is a separate transaction, so that what was deleted stays deleted if a later batch fails. Runs that
    another process deletes meanwhile are left to it and not counted.

    Args:
        database: the database, open for writing.
        before_ms: milliseconds since 1970 UTC.
        moved: whether to delete runs that were moved to another database too. From them a lost document can be written
                again, and they keep an old document from being imported here.
        report: called from time to time with the number of deleted runs.

    Raises:
        DatabaseError: the database failed.
    """
    conditions = _is_old(before_ms, moved)
    return delete_in_batches(database, partial(delete_batch, database, conditions=conditions), report=report)


def delete_in_batches(
    database: Database, delete: Callable[[sa.Connection], int], *, report: Callable[[int], None] | None = None
) -> int:
    """Call `delete` in one transaction after the other until it returns 0, and return the sum.

    Raises:
        DatabaseError: the database failed. Earlier transactions are committed.
    """
    deleted = 0
    while True:
        began_s = monotonic_s()
        with database.write() as connection:
            count = delete(connection)
        if not count:
            return deleted
        deleted += count
        if report is not None:
            report(deleted)
        # SQLite has one lock without a queue: without a pause, other processes would wait until their timeout.
        time.sleep(min(max(monotonic_s() - began_s, _MIN_PAUSE_S), _MAX_PAUSE_S))


def delete_batch(database: Database, connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]]) -> int:
    """Delete some of the ended runs for which all conditions hold, and return their number; 0 if none is left."""
    # Locked, so that another process that deletes does not add their costs to the sums a second time.
    query = sa.select(runs.c.workflow_exec_id).where(*conditions).limit(_AT_ONCE).with_for_update(skip_locked=True)
    ids = list(connection.execute(query).scalars())
    if ids:
        keep_costs(connection, ids)
        has = has_journal(database, connection)
        delete_runs(connection, [part for part in list_sections(database) if has or not part.in_journal], ids)
    return len(ids)


def _is_old(before_ms: int, moved: bool) -> tuple[sa.ColumnElement[bool], ...]:
    # Moved runs did not end here; they left at their last change.
    ended_ms = sa.func.coalesce(runs.c.finished_ms, runs.c.updated_ms)
    statuses = [status for status in FINAL if moved or status is not Status.MOVED]
    return (is_one_of(runs.c.status, statuses), ended_ms < before_ms)
