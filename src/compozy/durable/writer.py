"""Stores what the runs of this process record: all changes that wait, in one transaction."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from compozy.database.database import Database
from compozy.database.transitions import HOLD_RUN
from compozy.durable.holder import STEP_COLUMNS, Holder, Record, make
from compozy.durable.retry import may_pass
from compozy.errors import DatabaseError

_log = structlog.get_logger(__name__)

# Records of one transaction: more would delay the first of them.
_AT_ONCE = 64
# Records of one run that wait for its next transaction, and how long the oldest does.
_MOST_DEFERRED = 32
_LONGEST_DEFERRED_S = 0.25
# The pauses before a change is tried again that met a lock or lost its connection.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0


class LostRunError(BaseException):
    """Another process has the run, or it has ended. No Exception: the run did not fail."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """A record of a run, and the future of the caller that waits for its result."""

    holder: Holder
    record: Record
    stored: asyncio.Future[Any]


@dataclass(eq=False, slots=True)
class _Outcome:
    """The outcome of a record. `is_alone`: its transaction failed, perhaps by another record, and it is next alone."""

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
        # Runs in the transactions that are open, and in those whose results are not handed over yet.
        self._busy: set[Holder] = set()
        self._is_closing = False
        steps = sa.table("operation_outputs", *map(sa.column, STEP_COLUMNS), schema=database.journal_schema)
        self._insert = sa.insert(steps)
        journal = sa.table(
            "workflow_status", *map(sa.column, ("workflow_uuid", "owner_xid")), schema=database.journal_schema
        )
        is_current = sa.exists().where(
            journal.c.workflow_uuid == sa.bindparam("_id"), journal.c.owner_xid == sa.bindparam("_token")
        )
        self._held = HOLD_RUN.where(is_current)
        self._threads: list[threading.Thread] = []
        self._tasks: set[asyncio.Task[None]] = set()

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
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(lambda: [thread.join() for thread in self._threads])
        self._threads.clear()

    async def store(self, holder: Holder, record: Record, *, is_seen_through: bool) -> Any:
        """Store a record with all that are deferred, and return its result.

        Args:
            holder: the run, and the execution that must hold it.
            record: what to store.
            is_seen_through: whether a canceled caller waits until the transaction has ended, one way or the other.

        Raises:
            DatabaseError: the database refused; nothing was stored.
            asyncio.CancelledError: another process has the run, or it has ended; nothing was stored. Or the caller was
                canceled.
        """
        waiting = _Waiting(holder, record, asyncio.get_running_loop().create_future())
        if holder.timer is not None:
            holder.timer.cancel()
            holder.timer = None
        with self._changed:
            if self._is_closing:
                raise asyncio.CancelledError
            self._waiting.append(waiting)
            self._changed.notify()
        try:
            return await _finish(waiting.stored, is_seen_through=is_seen_through)
        except LostRunError as error:
            holder.is_lost = True
            raise asyncio.CancelledError from error
        except asyncio.CancelledError:
            # The record may have been withdrawn before a transaction took it, and others with it.
            self._set_timer(holder)
            raise

    async def defer(self, holder: Holder, record: Record) -> None:
        """Store a record with the next transaction of its run; now if many wait, and soon if no transaction follows.

        Its change has no effect outside of the database and is reported only when it is stored. If the process dies
        before, what led to the change is done again.

        Raises:
            DatabaseError: as for `store`.
            asyncio.CancelledError: as for `store`.
        """
        with self._changed:
            holder.deferred.append(record)
        if len(holder.deferred) >= _MOST_DEFERRED:
            await self.flush(holder)
        else:
            self._set_timer(holder)

    def _set_timer(self, holder: Holder) -> None:
        """Store what is deferred a moment later, if no transaction of the run follows."""
        if holder.deferred and holder.timer is None:
            holder.timer = asyncio.get_running_loop().call_later(_LONGEST_DEFERRED_S, self._store_due, holder)

    def _store_due(self, holder: Holder) -> None:
        holder.timer = None
        self._start(self._flush_due(holder))

    async def _flush_due(self, holder: Holder) -> None:
        # The next transaction of the run meets the same error, and reports it.
        with suppress(DatabaseError, asyncio.CancelledError):
            await self.flush(holder)

    async def flush(self, holder: Holder) -> None:
        """Store what is deferred: before anything outside can see its effects.

        Raises:
            DatabaseError: as for `store`.
            asyncio.CancelledError: as for `store`.
        """
        with self._changed:
            is_waiting = bool(holder.deferred or holder.storing)
        if is_waiting:
            await self.store(holder, Record(change=_nothing), is_seen_through=True)

    def tell(self, holder: Holder, told: Callable[[], None]) -> None:
        """Call `told` when everything that is deferred is stored; immediately if nothing is."""
        with self._changed:
            unstored = [*holder.storing, *holder.deferred]
            if unstored:
                unstored[-1].told.append(told)
        if not unstored:
            told()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while group := self._take():
            outcomes = self._store_group(group)
            # The loop is closed if the process is ending without waiting for its runs.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._settle, outcomes)

    def _release(self, runs: set[Holder]) -> None:
        """Let the next transactions of `runs` begin."""
        with self._changed:
            self._busy -= runs
            self._changed.notify_all()

    def _take(self) -> list[_Waiting]:
        """Wait for records and return them; none when the writer closes."""
        with self._changed:
            while True:
                group: list[_Waiting] = []
                left: deque[_Waiting] = deque()
                for waiting in self._waiting:
                    if waiting.stored.cancelled():
                        continue
                    is_next = len(group) < _AT_ONCE and waiting.holder not in self._busy
                    (group if is_next else left).append(waiting)
                self._waiting = left
                if group:
                    self._busy.update(waiting.holder for waiting in group)
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
                self._restore_deferred(group)
                is_known = is_open and len(results) < len(group)
                failed = group[len(results) : len(results) + 1] if is_known else group
                if isinstance(error, DatabaseError) or len(failed) > 1:
                    # Later records of its run are stored after it.
                    runs = {waiting.holder for waiting in failed}
                    failed = [waiting for waiting in group[group.index(failed[0]) :] if waiting.holder in runs]
                    outcomes += [_Outcome(waiting, is_alone=True) for waiting in failed]
                else:
                    outcomes += [_Outcome(waiting, error=error) for waiting in failed]
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
            holder = waiting.holder
            if holder not in held:
                self._hold(connection, holder)
                held.add(holder)
                for record in self._take_deferred(holder):
                    make(record, connection, rows, holder.run_id)
            results.append(make(waiting.record, connection, rows, holder.run_id))
        if rows:
            connection.execute(self._insert, rows)

    def _take_deferred(self, holder: Holder) -> list[Record]:
        with self._changed:
            holder.storing, holder.deferred = holder.deferred, []
        return holder.storing

    def _restore_deferred(self, group: Iterable[_Waiting]) -> None:
        """Defer again what a transaction that failed was to store."""
        with self._changed:
            for waiting in group:
                waiting.holder.deferred[:0] = waiting.holder.storing
                waiting.holder.storing = []

    def _hold(self, connection: sa.Connection, holder: Holder) -> None:
        """Lock the row of a run that is held; no other process can take it before the transaction ends."""
        values = {"_id": holder.run_id, "_owner": holder.owner, "_token": holder.token}
        if connection.execute(self._held, values).first() is None:
            raise LostRunError

    def _settle(self, outcomes: Iterable[_Outcome]) -> None:
        """Hand results to the callers; runs on the event loop."""
        alone: defaultdict[Holder, list[_Waiting]] = defaultdict(list)
        for outcome in outcomes:
            if outcome.is_alone:
                alone[outcome.waiting.holder].append(outcome.waiting)
            else:
                self._resolve(outcome)
        self._release({outcome.waiting.holder for outcome in outcomes} - alone.keys())
        for holder, records in alone.items():
            self._start(self._store_alone(holder, records))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start what `close` waits for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _resolve(self, outcome: _Outcome) -> None:
        stored, error = outcome.waiting.stored, outcome.error
        if error is None:
            error = self._tell_stored(outcome.waiting.holder)
        elif isinstance(error, DatabaseError):
            self._tell_refused(outcome.waiting.holder)
        elif isinstance(error, Exception):
            # Its change failed, and what was to be stored with it waits again.
            self._set_timer(outcome.waiting.holder)
        if stored.done():
            return
        if error is None:
            stored.set_result(outcome.result)
        else:
            stored.set_exception(error)

    def _tell_stored(self, holder: Holder) -> Exception | None:
        """Report the deferred records that are stored now, and return the error of a report."""
        with self._changed:
            storing, holder.storing = holder.storing, []
        try:
            for record in storing:
                for told in record.told:
                    record.context.run(told)
        except Exception as error:  # noqa: BLE001 - the caller gets it, as if it had told it itself
            return error
        return None

    def _tell_refused(self, holder: Holder) -> None:
        """Report the records that a refused transaction was to store too."""
        with self._changed:
            refused = [record.refused for record in holder.deferred if record.refused is not None]
        for report in refused:
            report()

    async def _store_alone(self, holder: Holder, records: Sequence[_Waiting]) -> None:
        """Store records of one run, each in a transaction, in their order."""
        for waiting in records:
            try:
                outcome = _Outcome(waiting, result=await asyncio.to_thread(self._try_until_stored, waiting))
            except BaseException as error:  # noqa: BLE001 - passed on to the caller
                outcome = _Outcome(waiting, error=error)
            self._resolve(outcome)
        self._release({holder})

    def _try_until_stored(self, waiting: _Waiting) -> Any:
        """Store one record; try again while a lock or a lost connection prevents it.

        If the lost transaction was stored after all, the number of its step exists: that is a DatabaseError, after
        which the run is resumed, and finds the step.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            results: list[Any] = []
            try:
                with self._database.write() as connection:
                    self._apply([waiting], connection, results)
            except BaseException as error:
                self._restore_deferred([waiting])
                if self._is_closing or not may_pass(error):
                    raise
                _log.warning(
                    "a step cannot be recorded for now; it is tried again",
                    execution_id=waiting.holder.run_id,
                    cause=str(error),
                )
            else:
                return results[0]
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _nothing(_: sa.Connection) -> None:
    return None


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
