"""Stores what the runs of this process record: all changes that wait, in one transaction."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from dbos._context import current_owner_xid
from dbos._utils import retriable_postgres_exception, retriable_sqlite_exception
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from compozy.clock import now_ms
from compozy.database.database import Database
from compozy.database.jsontext import dump_json, load_json
from compozy.database.transitions import HOLD_RUN
from compozy.durable.journal_rows import APPLICATION, SERIALIZATION
from compozy.errors import DatabaseError

# Records of one transaction: more would delay the first of them.
_AT_ONCE = 64
# The pauses before a change is tried again that met a lock or lost its connection.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_STEP_COLUMNS = (
    "workflow_uuid",
    "function_id",
    "function_name",
    "output",
    "started_at_epoch_ms",
    "completed_at_epoch_ms",
    "serialization",
    "application_name",
    "retention_timestamp",
)


class LostRunError(BaseException):
    """Another process has the run, or it has ended. No Exception: the run did not fail."""


@dataclass(eq=False, kw_only=True)
class Holder:
    """A run in the process that executes it: only this execution may record.

    Attributes:
        run_id: the run.
        owner: the process.
        token: of this execution, as the journal has it.
    """

    run_id: str
    owner: str
    token: str | None


@dataclass(eq=False, kw_only=True)
class Record:
    """One change of a run, and the step that the journal records in the same transaction.

    Attributes:
        holder: the run, and the execution that must hold it.
        change: uses only its connection, and returns JSON: the result of the step. It may be called again.
        function_id: the number of the step; None if the journal does not record the change.
        name: the name of the step.
        began_ms: when the change was handed over, in milliseconds since 1970.
    """

    holder: Holder
    change: Callable[[sa.Connection], Any]
    function_id: int | None = None
    name: str = ""
    began_ms: int = 0


@dataclass(eq=False, slots=True)
class _Waiting:
    """A record, and the future of the caller that waits for its result."""

    record: Record
    stored: asyncio.Future[Any]


@dataclass(eq=False, slots=True)
class _Outcome:
    """What became of a record. `is_alone`: its transaction failed, perhaps by another record, and it is next alone."""

    waiting: _Waiting
    result: Any = None
    error: BaseException | None = None
    is_alone: bool = False


class Writer:
    """Stores records of runs. Its threads take all that wait, and store them in one transaction.

    A record that is refused or meets a lock leaves that transaction and is stored alone: it delays no other run.
    Records of one run are never in two transactions at the same time.

    Args:
        database: where runs record.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        # Runs in the transactions that are open.
        self._busy: set[str] = set()
        self._is_closing = False
        self._steps = sa.table("operation_outputs", *map(sa.column, _STEP_COLUMNS), schema=database.journal_schema)
        self._insert = sa.insert(self._steps)
        journal = sa.table(
            "workflow_status", *map(sa.column, ("workflow_uuid", "owner_xid")), schema=database.journal_schema
        )
        is_current = sa.exists().where(
            journal.c.workflow_uuid == sa.bindparam("_id"), journal.c.owner_xid == sa.bindparam("_token")
        )
        self._held = HOLD_RUN.where(is_current)
        self._threads: list[threading.Thread] = []
        self._alone: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the threads; the caller's event loop gets the results."""
        loop = asyncio.get_running_loop()
        for number in range(self._database.driver.writers):
            name = f"compozy-writer-{number}"
            thread = threading.Thread(target=self._work, args=(loop,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    async def close(self) -> None:
        """Store what waits, and end the threads."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._alone:
            await asyncio.wait(self._alone)
        await asyncio.to_thread(lambda: [thread.join() for thread in self._threads])

    async def store(self, record: Record, *, is_seen_through: bool) -> Any:
        """Store a record, and return its result.

        Args:
            record: what to store.
            is_seen_through: whether a canceled caller waits until the transaction has ended, one way or the other.

        Raises:
            DatabaseError: the database refused; nothing was stored.
            asyncio.CancelledError: another process has the run, or it has ended; nothing was stored. Or the caller was
                canceled.
        """
        waiting = _Waiting(record, asyncio.get_running_loop().create_future())
        with self._changed:
            self._waiting.append(waiting)
            self._changed.notify()
        try:
            return await _finish(waiting.stored, is_seen_through=is_seen_through)
        except LostRunError as error:
            raise asyncio.CancelledError from error

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while group := self._take():
            outcomes = self._store_group(group)
            with self._changed:
                self._busy.difference_update(waiting.record.holder.run_id for waiting in group)
                self._changed.notify_all()
            # The loop is closed if the process is ending without waiting for its runs.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._settle, outcomes)

    def _take(self) -> list[_Waiting]:
        """Wait for records and return them; none when the writer closes."""
        with self._changed:
            while True:
                group: list[_Waiting] = []
                left: deque[_Waiting] = deque()
                for waiting in self._waiting:
                    if waiting.stored.cancelled():
                        continue
                    is_next = len(group) < _AT_ONCE and waiting.record.holder.run_id not in self._busy
                    (group if is_next else left).append(waiting)
                self._waiting = left
                if group:
                    self._busy.update(waiting.record.holder.run_id for waiting in group)
                    return group
                if self._is_closing and not left:
                    return []
                self._changed.wait()

    def _store_group(self, group: list[_Waiting]) -> list[_Outcome]:
        """Store records in one transaction; those that fail are taken out of it."""
        outcomes: list[_Outcome] = []
        while group:
            results: list[Any] = []
            is_open = False
            try:
                with self._database.write() as connection:
                    self._database.driver.limit_lock_waits(connection)
                    is_open = True
                    self._apply(group, connection, results)
            except BaseException as error:  # noqa: BLE001 - passed on to the callers
                is_known = is_open and len(results) < len(group)
                failed = group[len(results) : len(results) + 1] if is_known else group
                is_alone = isinstance(error, DatabaseError) or len(failed) > 1
                outcomes += [_Outcome(waiting, error=error, is_alone=is_alone) for waiting in failed]
                group = [waiting for waiting in group if waiting not in failed]
            else:
                stored = zip(group, results, strict=True)
                return [*outcomes, *(_Outcome(waiting, result=result) for waiting, result in stored)]
        return outcomes

    def _apply(self, group: Sequence[_Waiting], connection: sa.Connection, results: list[Any]) -> None:
        """Make the changes of records, add what they return to `results`, and insert the rows of their steps."""
        rows: list[dict[str, Any]] = []
        held: set[Holder] = set()
        for waiting in group:
            record = waiting.record
            if record.holder not in held:
                self._hold(connection, record.holder)
                held.add(record.holder)
            result = record.change(connection)
            if record.function_id is not None:
                rows.append(_row_of(record, result))
            results.append(result)
        self._insert_steps(connection, rows)

    def _hold(self, connection: sa.Connection, holder: Holder) -> None:
        """Lock the row of a run that is held; no other process can take it before the transaction ends."""
        values = {"_id": holder.run_id, "_owner": holder.owner, "_token": holder.token}
        if connection.execute(self._held, values).first() is None:
            raise LostRunError

    def _insert_steps(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        try:
            connection.execute(self._insert, rows)
        except IntegrityError as error:
            # Another process recorded a step under a number that was free when this one began.
            raise LostRunError from error

    def _settle(self, outcomes: Iterable[_Outcome]) -> None:
        """Hand results to the callers; runs on the event loop."""
        for outcome in outcomes:
            if outcome.is_alone:
                task = asyncio.ensure_future(self._store_alone(outcome.waiting))
                self._alone.add(task)
                task.add_done_callback(self._alone.discard)
            else:
                _resolve(outcome)

    async def _store_alone(self, waiting: _Waiting) -> None:
        outcome = _Outcome(waiting)
        try:
            outcome.result = await asyncio.to_thread(self._try_until_stored, waiting)
        except BaseException as error:  # noqa: BLE001 - passed on to the caller
            outcome.error = error
        _resolve(outcome)

    def _try_until_stored(self, waiting: _Waiting) -> Any:
        """Store one record; try again while a lock or a lost connection prevents it."""
        pause_s = _FIRST_PAUSE_S
        is_repeated = False
        while True:
            try:
                with self._database.write() as connection:
                    if is_repeated and (stored := self._find_stored(connection, waiting.record)) is not None:
                        return load_json(stored)
                    results: list[Any] = []
                    self._apply([waiting], connection, results)
                return results[0]
            except DatabaseError as error:
                if self._is_closing or not _may_pass(error):
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            is_repeated = True

    def _find_stored(self, connection: sa.Connection, record: Record) -> str | None:
        """Return the stored result of a record whose commit may have succeeded before its connection was lost."""
        steps = self._steps
        return connection.execute(
            sa.select(steps.c.output)
            .where(steps.c.workflow_uuid == record.holder.run_id, steps.c.function_id == record.function_id)
            .where(steps.c.function_name == record.name, steps.c.started_at_epoch_ms == record.began_ms)
        ).scalar()


def holder_of(run_id: str, owner: str) -> Holder:
    """Return this execution of a run; called by the body of the run."""
    return Holder(run_id=run_id, owner=owner, token=current_owner_xid(run_id))


def _row_of(record: Record, result: Any) -> dict[str, Any]:
    completed_ms = now_ms()
    return {
        "workflow_uuid": record.holder.run_id,
        "function_id": record.function_id,
        "function_name": record.name,
        "output": dump_json(result),
        "started_at_epoch_ms": record.began_ms,
        "completed_at_epoch_ms": completed_ms,
        "serialization": SERIALIZATION,
        "application_name": APPLICATION,
        "retention_timestamp": completed_ms,
    }


def _may_pass(error: DatabaseError) -> bool:
    """Return whether a lock, a deadlock or a lost connection is the reason, which another attempt may not meet."""
    cause = error.__cause__
    return isinstance(cause, PoolTimeoutError) or (
        isinstance(cause, DBAPIError) and (retriable_postgres_exception(cause) or retriable_sqlite_exception(cause))
    )


def _resolve(outcome: _Outcome) -> None:
    stored = outcome.waiting.stored
    if stored.done():
        return
    if outcome.error is None:
        stored.set_result(outcome.result)
    else:
        stored.set_exception(outcome.error)


async def _finish(stored: asyncio.Future[Any], *, is_seen_through: bool) -> Any:
    """Wait for a transaction, which cannot be stopped; a canceled caller waits too if it `is_seen_through`."""
    # Always retrieve the exception: asyncio prints exceptions that are never retrieved.
    stored.add_done_callback(lambda done: done.cancelled() or done.exception())
    canceled: asyncio.CancelledError | None = None
    while not stored.done():
        try:
            await asyncio.wait({stored})
        except asyncio.CancelledError as error:
            if not is_seen_through:
                stored.cancel()
                raise
            canceled = error
    if canceled is not None:
        raise canceled
    return stored.result()
