"""Executes runs: claims them, starts or resumes them in the journal, and releases them gracefully."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from dbos import DBOS
from dbos._context import current_owner_xid
from sqlalchemy.exc import DBAPIError

from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.executions import NewExecution, get_status, release_run
from compozy.database.failures import explain_failures
from compozy.database.status import Status
from compozy.durable import recover
from compozy.durable.claims import Claims
from compozy.durable.context import RunContext, RunInterruptedError, enter_run
from compozy.durable.control import Controller
from compozy.durable.ends import Ends, end_run_early, log_accepted
from compozy.durable.entries import Ended, Entries
from compozy.durable.held import HeldRun, Opened, executing_contexts, wait_for_body
from compozy.durable.holder import Holder
from compozy.durable.journal import JournalSerializer, destroy_journal, launch_journal
from compozy.durable.journal_rows import RUN_FUNCTION
from compozy.durable.lease import Lease
from compozy.durable.records import Also, accept, end_unknown
from compozy.durable.recover import BodyEnd, RunStart, find_start, reconcile, resume
from compozy.durable.step import load_recorded
from compozy.durable.unrecorded import Unrecorded
from compozy.durable.writer import Writer
from compozy.errors import DatabaseError, InternalError
from compozy.ids import new_executor_id

_log = structlog.get_logger(__name__)

Execute = Callable[[str], Awaitable[None]]
_POLL_S = 1.0  # how often a process with free slots looks for runs without an owner
_STOP_S = 5.0  # how long a graceful stop waits for the journal's last entries, and for log lines
_ENDS = frozenset({BodyEnd.DONE, BodyEnd.BROKEN})
_JOURNAL_POLL_S = 0.01  # how soon a process notices that the journal closed a run whose body has ended


class Runtime:
    """The executor of this process; there is one at a time, because the engine is one per process.

    Args:
        database: migrated, and held by this process where only one may execute.
        execute: runs one execution from its first task to its end; called again for a run that is resumed.
        max_concurrent: runs executed concurrently; the others wait, the oldest first.
        role: of this process, as other processes see it: `run`, `server`, `worker`, `bench`.
        requests: the database as requests use it, for runs that they submit; by default `database`.
        lays_aside: whether a run that waits for long is suspended, and resumed when what it waits for comes.
        queues: of which it claims runs; none for all.
    """

    def __init__(
        self,
        database: Database,
        *,
        execute: Execute,
        max_concurrent: int,
        role: str,
        requests: Database | None = None,
        lays_aside: bool = True,
        queues: Sequence[str] = (),
    ) -> None:
        self.executor_id = new_executor_id()
        self._database = database
        self._execute = execute
        self._max_concurrent = max_concurrent
        self._lease = Lease(database, self.executor_id, role, queues)
        self._reserved = 0  # slots of runs that are being stored
        self._entries = Entries(database.journal_schema, self.executor_id)
        self._claims = Claims(database, self._entries, queues, requests=requests or database)
        self._runs: dict[str, HeldRun] = {}
        # Runs that cannot continue here for now; the next poll releases them.
        self._failures: dict[str, DatabaseError] = {}
        contexts = partial(executing_contexts, self._runs)
        self._controller = Controller(database, self.executor_id, contexts, cancel=self.cancel, lays_aside=lays_aside)
        self._unrecorded = Unrecorded(database)
        self._writer = Writer(database)
        self._ends = Ends(database, self._entries)
        self._stop_requested = asyncio.Event()
        self._claimed_s = monotonic_s()
        self._pollers: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()

    async def start(self) -> int:
        """Start executing, and return how many runs other processes left unfinished; these are first."""
        global _active_runtime  # noqa: PLW0603 - DBOS is one per process, and so is what it calls
        self._lease.take()
        _active_runtime = self
        try:
            left = await recover.free_left_runs(self._database, self.executor_id)
            with explain_failures(self._database.location):
                launch_journal(self._database, self.executor_id)
                for run_id in await reconcile(self._database, self.executor_id):
                    self._begin(run_id)
        except BaseException:
            destroy_journal()
            self._lease.give_back()
            raise
        self._writer.start()
        self._pollers = [asyncio.create_task(self._poll())]
        if not self._database.is_exclusive:
            supervision = recover.supervise(self._database, self._lease, self._begin, self._stop_requested)
            self._pollers.append(asyncio.create_task(supervision))
        self._controller.start()
        return left

    async def stop(self) -> None:
        """Stop gracefully: runs stay as recorded, and the next process resumes them."""
        self._stop_requested.set()
        self._wake.set()
        # Awaited, not canceled: no claim may be committed after this process gave its lease back.
        await asyncio.gather(*self._pollers, return_exceptions=True)
        await self._controller.stop()
        for held in self._runs.values():
            held.stop()
        if tasks := self._tasks():
            _, late = await asyncio.wait(tasks, timeout=_STOP_S)
            for task in late:
                task.cancel()
        with suppress(DBAPIError):
            await recover.forget_queue(self.executor_id)
        await self._ends.close(_STOP_S)
        await self._writer.close()
        destroy_journal()
        self._lease.give_back()

    def stop_claiming(self) -> None:
        """Claim no more runs; those that this process executes continue."""
        for poller in self._pollers:
            poller.cancel()

    def wake(self) -> None:
        """Look immediately for runs to claim, and for requests about runs that this process executes."""
        self._wake.set()
        self._controller.wake()

    async def submit(self, new: NewExecution, first: str, *, kind: str = "basic", also: Also | None = None) -> bool:
        """Accept a run whose first task has this ID and kind, and what `also` stores; from then on, it is never lost.

        Returns:
            False when a run with this ID exists already; it is left as it is.
        """
        owner = self._claims.choose_owner(new, self._free_slots())
        # The slot is taken before the first await, so that a burst cannot take it twice.
        self._reserved += 1 if owner else 0
        try:
            store = partial(accept, new=new, first_task=first, kind=kind, owner=owner, also=also)
            if owner is None:
                created = await self._claims.accept(new, store, locks_more=also is not None)
            else:
                accepted = await self._claims.accept_here(new, store, locks_more=also is not None)
                self._begin_all(accepted)
                created = bool(accepted)
            if created:
                log_accepted(new)
            if owner is None and created:
                self._wake.set()
        finally:
            self._reserved -= 1 if owner else 0
        return created

    async def adopt(self, run_id: str) -> bool:
        """Execute one run that has no owner immediately, even when no slot is free.

        Returns:
            False when another process executes it, or it has ended.
        """
        claimed = await self._claims.take_one(run_id)
        self._begin_all(claimed)
        return bool(claimed)

    def claims_stalled_s(self) -> float:
        """Return for how many seconds no look for waiting runs has succeeded; a healthy process looks every second."""
        return monotonic_s() - self._claimed_s

    def in_hand(self) -> set[str]:
        """Return the runs that this process executes."""
        return set(self._runs)

    async def settle(self, timeout_s: float) -> int:
        """Wait up to `timeout_s` for the runs that this process executes, and return how many are unfinished."""
        tasks = self._tasks()
        return len((await asyncio.wait(tasks, timeout=timeout_s))[1]) if tasks else 0

    async def wait(self, run_id: str) -> None:
        """Wait until this process has finished or released a run.

        Raises:
            DatabaseError: the run could not continue here; it is unfinished, and the next process resumes it.
        """
        while (held := self._runs.get(run_id)) is not None and held.task is not None:
            # Shielded: a caller may stop waiting without stopping the run.
            await asyncio.shield(held.task)
        if run_id in self._failures:
            raise self._failures[run_id]

    async def cancel(self, run_id: str, status: Status = Status.CANCELED, error: dict[str, Any] | None = None) -> bool:
        """End a run before it is done: CANCELED, or TIMED_OUT.

        Returns:
            False when it had already ended.

        Raises:
            DatabaseError: the database refused; the run continues when it is available.
        """
        body = None
        if (held := self._runs.get(run_id)) is not None and (body := held.body) is not None:
            body.cancel()
            await asyncio.gather(held.task or body, return_exceptions=True)
        try:
            with explain_failures(self._database.location):
                known = await self._database.read_async(partial(get_status, workflow_exec_id=run_id))
                if known is None or not known.is_final:
                    return await end_run_early(self._database, run_id, status, error)
                # It ended while it was being stopped; only the journal's last entry is missing.
                is_open = body is not None and await find_start(run_id) is RunStart.RESUME
        except DatabaseError as failure:
            if body is not None and run_id not in self._runs:
                # Nothing executes it any more: the next poll releases it.
                self._failures.setdefault(run_id, failure)
            raise
        if is_open:
            self._begin(run_id, start=RunStart.RESUME)
            await self.wait(run_id)
        return False

    def _free_slots(self) -> int:
        return self._max_concurrent - len(self._runs) - self._reserved

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [held.task for held in self._runs.values() if held.task is not None]

    async def _poll(self) -> None:
        while not self._stop_requested.is_set():
            # Cleared first, so that a wake-up during the look is not lost.
            self._wake.clear()
            try:
                await self._let_go_of_failed()
                await self._claims.settle(self.in_hand)
                await self._claims.admit_waiting()
                if self._free_slots() > 0:
                    await self._claim()
                self._claimed_s = monotonic_s()
            except DatabaseError as error:
                _log.warning("cannot look for waiting runs", cause=error.message)
            except Exception:  # noqa: BLE001 - the worker's edge: the next look may succeed
                _log.exception("cannot look for waiting runs")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _POLL_S)

    async def _claim(self) -> None:
        if not await self._claims.any_wait():
            return
        limit = self._free_slots()
        self._reserved += limit
        try:
            self._begin_all(await self._claims.take(limit))
        finally:
            self._reserved -= limit

    async def _let_go_of_failed(self) -> None:
        for run_id, error in tuple(self._failures.items()):
            _log.warning("a run cannot continue for now; it is tried again", execution_id=run_id, cause=error.message)
            await self._database.write_async(partial(release_run, workflow_exec_id=run_id, owner=self.executor_id))
            del self._failures[run_id]

    def _begin_all(self, claimed: Mapping[str, Opened | None]) -> None:
        for run_id, opened in claimed.items():
            self._begin(run_id, opened)

    def _begin(self, run_id: str, opened: Opened | None = None, start: RunStart | None = None) -> None:
        self._failures.pop(run_id, None)
        held = self._runs.setdefault(run_id, HeldRun(run_id))
        carry = self._carry(held, opened, start, former=held.task or held.body)
        held.task = asyncio.create_task(carry, name=f"run {run_id}")

    async def _carry(
        self, held: HeldRun, opened: Opened | None, start: RunStart | None, former: asyncio.Task[None] | None
    ) -> None:
        """Supervise a run from its claim to the journal's last entry."""
        if former is not None:
            # Its lease expired, and it claimed its own run again: what it still does cannot be recorded.
            if held.body is not None:
                held.body.cancel()
            await asyncio.wait({former})
        held.failure = None
        held.body_end = asyncio.get_running_loop().create_future()
        try:
            with explain_failures(self._database.location):
                if opened is None:
                    await self._resume(held, start or await find_start(held.run_id))
                else:
                    await self._execute_here(held, opened)
        except DatabaseError as error:
            held.failure = error
        except Exception as error:  # noqa: BLE001 - the worker's edge: one run must not end the others
            _log.exception("a run could not be carried to its end", execution_id=held.run_id)
            held.failure = DatabaseError(f"the journal failed: {type(error).__name__}: {error}")
        finally:
            held.body_end = None
            if held.task is asyncio.current_task():
                held.task = None
                self._forget(held)
            if held.failure is None:
                self._unrecorded.forget(held.run_id)
                self._wake.set()

    def _forget(self, held: HeldRun) -> None:
        if held.task is not None or held.body is not None:
            return
        del self._runs[held.run_id]
        if held.failure is not None:
            self._failures[held.run_id] = held.failure

    async def _execute_here(self, held: HeldRun, opened: Opened) -> None:
        """Execute a run that this process starts; the engine is needed only to resume it."""
        error = None
        try:
            await self._execute_body(held, opened.token, opened)
        except RunInterruptedError:
            pass
        except Exception as defect:  # noqa: BLE001 - it is logged, and ends the run
            error = JournalSerializer().serialize(defect)
        end = held.body_end
        how = end.result() if end is not None and end.done() else BodyEnd.INTERRUPTED
        await self._conclude(held, how)
        if how in _ENDS:
            self._ends.add(held.run_id, Ended(run_id=held.run_id, token=opened.token, error=error))

    async def _resume(self, held: HeldRun, start: RunStart) -> None:
        """Let the engine continue a run that the journal has."""
        run_id = held.run_id
        if await recover.end_or_let_go(self._database, run_id, self.executor_id, start):
            return
        handle = await resume(run_id, self.executor_id)
        how = await wait_for_body(held, self._database, self.executor_id)
        if how is BodyEnd.DONE:
            await handle.get_result(polling_interval_sec=_JOURNAL_POLL_S)
        await self._conclude(held, how)
        if how in _ENDS:
            self._ends.add(run_id)

    async def _conclude(self, held: HeldRun, how: BodyEnd) -> None:
        """Do what the end of a body requires."""
        if how is BodyEnd.TIMED_OUT and held.timeout is not None:
            await end_run_early(self._database, held.run_id, Status.TIMED_OUT, held.timeout.to_json())
        elif how is BodyEnd.SUSPENDED and held.context is not None:
            await self._controller.let_go(held.context)
        elif how is BodyEnd.LOST and held.task is asyncio.current_task():
            has_ended = await recover.let_go_of_lost(self._database, held.run_id, self.executor_id)
            if has_ended and not held.is_replayed and not self._stop_requested.is_set():
                held.is_replayed = True
                self._begin(held.run_id, start=RunStart.RESUME)
        elif how is BodyEnd.BROKEN:
            await self._database.write_async(partial(end_unknown, run_id=held.run_id, is_canceled=False))

    async def resume_body(self, run_id: str, token: str | None) -> None:
        """Execute a run that is resumed; called by the journal through `run_journaled`.

        Raises:
            Exception: as `HeldRun.execute`.
        """
        await self._execute_body(self._runs.setdefault(run_id, HeldRun(run_id)), token)

    async def _execute_body(self, held: HeldRun, token: str | None, opened: Opened | None = None) -> None:
        if self._stop_requested.is_set():
            # Claimed, or taken by the engine from its queue, while this process was stopping: the next one executes it.
            raise RunInterruptedError
        try:
            await held.execute(self._execute_in_context(held, token, opened), self._stop_requested.is_set)
        finally:
            self._forget(held)

    async def _execute_in_context(self, held: HeldRun, token: str | None, opened: Opened | None) -> None:
        recorded = None if opened else await asyncio.to_thread(load_recorded, self._database, held.run_id)
        holder = Holder(run_id=held.run_id, owner=self.executor_id, token=token)
        held.context = RunContext(holder, self._writer, self._unrecorded, recorded, opened and opened.run)
        enter_run(held.context)
        await held.context.carry_out(self._execute(held.run_id))


@DBOS.workflow(name=RUN_FUNCTION, max_recovery_attempts=None)
async def run_journaled(run_id: str) -> None:
    """The only workflow function in the journal; what it runs is read from the tables."""
    if _active_runtime is None:
        raise InternalError("the journal called a run while no runtime was active")
    await _active_runtime.resume_body(run_id, current_owner_xid(run_id))


_active_runtime: Runtime | None = None
