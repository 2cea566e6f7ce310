"""Deletes runs and event logs that have reached the age of `retention:`, one batch in each transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from compozy.config.retention import RetentionSettings
from compozy.database.database import Database
from compozy.database.status import Status
from compozy.database.tables import execution_events as events
from compozy.database.tables import is_one_of
from compozy.database.tables import workflow_states as runs
from compozy.transfer.prune import delete_batch

# The number of this task among those that one process at a time does.
TASK = 7382
# Runs whose events are deleted in one transaction.
_LOGS_AT_ONCE = 200
_SUCCEEDED = (Status.SUCCESS,)
# Moved runs are kept: a lost document can be written again from them.
_FAILED = (Status.FAILED, Status.TIMED_OUT, Status.CANCELED)


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """The result of one batch: numbers of runs and of event logs. `is_done` if nothing is left to delete."""

    runs: int = 0
    logs: int = 0
    is_done: bool = False


def delete_next(database: Database, connection: sa.Connection, settings: RetentionSettings, clock_ms: int) -> Deleted:
    """Delete the next batch in this transaction; nothing while another process deletes.

    Args:
        database: the database of the connection.
        connection: of a transaction that writes.
        settings: the ages.
        clock_ms: the time of the leases, in ms since 1970 UTC.
    """
    if not database.driver.take_turn(connection, TASK):
        return Deleted(is_done=True)
    ages = ((_SUCCEEDED, settings.succeeded), (_FAILED, settings.failed))
    for statuses, age_s in ages:
        if age_s is None:
            continue
        if count := delete_batch(database, connection, _ended(statuses, clock_ms, age_s)):
            return Deleted(runs=count)
    if settings.events is not None and (count := _delete_logs(connection, clock_ms, settings.events)):
        return Deleted(logs=count)
    return Deleted(is_done=True)


def _ended(statuses: Sequence[Status], clock_ms: int, age_s: float) -> tuple[sa.ColumnElement[bool], ...]:
    before_ms = clock_ms - round(age_s * 1000)
    # No run ends before it was accepted: with that, the index of lists has all values, and rows are not read.
    return (is_one_of(runs.c.status, statuses), runs.c.created_ms < before_ms, runs.c.finished_ms < before_ms)


def _delete_logs(connection: sa.Connection, clock_ms: int, age_s: float) -> int:
    """Delete whole logs, so that no log has a gap, and return their number."""
    has_log = sa.exists().where(events.c.execution_id == runs.c.workflow_exec_id)
    ended = _ended((*_SUCCEEDED, *_FAILED), clock_ms, age_s)
    query = sa.select(runs.c.workflow_exec_id).where(*ended, has_log).limit(_LOGS_AT_ONCE)
    ids = list(connection.execute(query).scalars())
    if ids:
        connection.execute(sa.delete(events).where(events.c.execution_id.in_(ids)))
    return len(ids)
