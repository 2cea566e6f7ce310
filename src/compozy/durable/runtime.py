"""Executes runs: takes them, starts or resumes them in the journal, and lets go of them in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from dbos import DBOS, SetWorkflowID
from sqlalchemy.exc import DBAPIError

from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.executions import (
    NewExecution,
    claim_one,
    claim_pending,
    get_execution,
    get_status,
    has_claimable,
    release_run,
)
from compozy.database.failures import explain_failure, explain_failures
from compozy.database.status import Status
from compozy.database.tasks import NewTask
from compozy.durable import recover
from compozy.durable.context import RunContext, RunInterruptedError, RunSuspendedError, enter_run
from compozy.durable.control import Controller
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.journal import destroy_journal, launch_journal
from compozy.durable.journal_rows import RUN_FUNCTION
from compozy.durable.lease import LEASE_S, Lease
from compozy.durable.records import accept, end_early, end_unknown
from compozy.durable.recover import BodyEnd, RunStart, find_start, reconcile, resume
from compozy.durable.step import load_recorded
from compozy.durable.unrecorded import Unrecorded
from compozy.errors import DatabaseError, InternalError, RunTimeoutError
from compozy.ids import new_executor_id

_log = structlog.get_logger(__name__)

Execute = Callable[[str], Awaitable[None]]
# How often a process with free places looks for runs that nobody executes.
_POLL_S = 1.0
# How long an orderly stop waits for the journal's last words.
_STOP_S = 5.0
# How soon a process notices that the journal closed a run whose body has ended.
_JOURNAL_POLL_S = 0.01


class Runtime:
    """The executor of this process; there is one at a time, because the engine is one per process.

    Args:
        database: migrated, and held by this process where only one may execute.
        execute: runs one execution from its first task to its end; called again for a run that is resumed.
        max_concurrent: runs at one time; the rest waits, the oldest first.
        role: what this process is to others: `run`, `server`, `worker`, `bench`.
        lays_aside: whether a run that waits for long gives its place up, and is taken up again when its time comes.
    """

    def __init__(
        self, database: Database, *, execute: Execute, max_concurrent: int, role: str, lays_aside: bool = True
    ) -> None:
        self.executor_id = new_executor_id()
        self._database = database
        self._execute = execute
        self._max_concurrent = max_concurrent
        self._lease = Lease(database, self.executor_id, role)
        # Places taken by runs that are being stored, runs from claim to end, and the bodies that execute them.
        self._reserved = 0
        self._carried: dict[str, asyncio.Task[None]] = {}
        self._bodies: dict[str, asyncio.Task[None]] = {}
        self._contexts: dict[str, RunContext] = {}
        # Runs that the journal has nothing of yet.
        self._fresh: set[str] = set()
        self._controller = Controller(
            database, self.executor_id, self._contexts, cancel=self.cancel, lays_aside=lays_aside
        )
        self._unrecorded = Unrecorded(database)
        self._body_ends: dict[str, asyncio.Future[BodyEnd]] = {}
        self._others_wait = False
        self._stop_requested = asyncio.Event()
        self._claimed_s = monotonic_s()
        self._failures: dict[str, DatabaseError] = {}
        self._timeouts: dict[str, RunTimeoutError] = {}
        self._suspended: dict[str, RunContext] = {}
        self._pollers: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()

    async def start(self) -> int:
        """Start executing, first the runs that dead processes left.

        Returns:
            How many runs were left unfinished by processes that died or ended.
        """
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
        self._pollers = [asyncio.create_task(self._poll())]
        if not self._database.is_exclusive:
            supervision = recover.supervise(self._database, self._lease, self._begin, self._stop_requested)
            self._pollers.append(asyncio.create_task(supervision))
        self._controller.start()
        return left

    async def stop(self) -> None:
        """Stop in order: what runs is left as recorded, for the next process to go on with."""
        self._stop_requested.set()
        self._wake.set()
        # Awaited, not canceled: a claim that is under way must not come after this process has signed off.
        await asyncio.gather(*self._pollers, return_exceptions=True)
        await self._controller.stop()
        for body in self._bodies.values():
            body.cancel()
        for run_id, task in self._carried.items():
            end = self._body_ends.get(run_id)
            if run_id not in self._bodies and (end is None or not end.done()):
                # Claimed, and not yet called by the journal: the next process begins it.
                task.cancel()
        if self._carried:
            _, late = await asyncio.wait(self._carried.values(), timeout=_STOP_S)
            for task in late:
                task.cancel()
        with suppress(DBAPIError):
            await recover.forget_queue(self.executor_id)
        destroy_journal()
        self._lease.give_back()

    def stop_claiming(self) -> None:
        """Leave runs that nobody executes to others; those in hand go on."""
        for poller in self._pollers:
            poller.cancel()

    def wake(self) -> None:
        """Look at once for runs that may be taken up, and for what is asked of those in hand."""
        self._wake.set()
        self._controller.wake()

    async def submit(self, new: NewExecution, first_task: str, *, kind: str = "basic") -> bool:
        """Accept a run: once this returns it is never lost.

        Args:
            new: the run.
            first_task: id of the task that begins with it.
            kind: of that task.

        Returns:
            False when a run of this id exists already; it is left as it is.
        """
        # Whoever comes while others wait for a place waits behind them.
        owner = self.executor_id if self._free_places() > 0 and not self._others_wait else None
        self._others_wait = owner is None
        # The place is taken before the first await, so that a burst cannot take it twice.
        self._reserved += 1 if owner else 0
        try:
            task = NewTask(
                workflow_exec_id=new.workflow_exec_id, workflow_id=new.workflow_id, path=first_task, execution_type=kind
            )
            created = await self._database.write_async(partial(accept, new=new, first_task=task, owner=owner))
            if owner and created:
                self._begin(new.workflow_exec_id, RunStart.FRESH)
            elif created:
                self._wake.set()
        finally:
            self._reserved -= 1 if owner else 0
        return created

    async def adopt(self, run_id: str) -> bool:
        """Go on with one run that nobody executes, at once, also where all places are taken.

        Returns:
            False when somebody executes it, or it has ended.
        """
        claim = partial(claim_one, workflow_exec_id=run_id, owner=self.executor_id, journal_format=JOURNAL_FORMAT)
        claimed = await self._database.write_async(claim)
        if claimed:
            self._begin(run_id)
        return claimed

    def claims_stalled_s(self) -> float:
        """Return for how many seconds no look for waiting runs has succeeded; a healthy process looks every second."""
        return monotonic_s() - self._claimed_s

    def in_hand(self) -> set[str]:
        """Return the runs that this process executes."""
        return set(self._carried)

    async def settle(self, timeout_s: float) -> int:
        """Wait up to `timeout_s` for the runs that this process executes, and return how many go on."""
        if not self._carried:
            return 0
        _, unfinished = await asyncio.wait(self._carried.values(), timeout=timeout_s)
        return len(unfinished)

    async def wait(self, run_id: str) -> None:
        """Wait until this process has nothing more to do for a run.

        Raises:
            DatabaseError: the run could not go on here; it is unfinished, and resumed by the next start.
        """
        while (task := self._carried.get(run_id)) is not None:
            # Shielded: whoever waits may give up without stopping the run.
            await asyncio.shield(task)
        if run_id in self._failures:
            raise self._failures[run_id]

    async def cancel(self, run_id: str, status: Status = Status.CANCELED, error: dict[str, Any] | None = None) -> bool:
        """End a run before it is done: CANCELED, or TIMED_OUT.

        Returns:
            False when it had already ended.
        """
        body = self._bodies.get(run_id)
        if body is not None:
            body.cancel()
            await asyncio.gather(self._carried[run_id], return_exceptions=True)
        known = await self._database.read_async(partial(get_status, workflow_exec_id=run_id))
        if known is not None and known.is_final:
            # It came to its end while it was being stopped; what the journal still lacks is its last word.
            if body is not None and await find_start(run_id) is RunStart.RESUME:
                self._begin(run_id, RunStart.RESUME)
                await self.wait(run_id)
            return False
        return await self._end_early(run_id, status, error)

    async def _end_early(self, run_id: str, status: Status, error: dict[str, Any] | None) -> bool:
        # The journal first: whoever finds it canceled there, after this process died between the two, ends it here.
        if await find_start(run_id) is RunStart.RESUME:
            await DBOS.cancel_workflow_async(run_id)
        return await self._database.write_async(partial(end_early, run_id=run_id, status=status, error=error))

    def _free_places(self) -> int:
        return self._max_concurrent - len(self._carried) - self._reserved

    async def _poll(self) -> None:
        while not self._stop_requested.is_set():
            # First, so that who wakes this loop while it looks is not overheard.
            self._wake.clear()
            try:
                await self._let_go_of_failed()
                if self._free_places() > 0:
                    await self._claim()
                self._claimed_s = monotonic_s()
            except DatabaseError as error:
                _log.warning("cannot look for waiting runs", cause=error.message)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _POLL_S)

    async def _claim(self) -> None:
        if not await self._database.read_async(partial(has_claimable, journal_format=JOURNAL_FORMAT)):
            self._others_wait = False
            return
        limit = self._free_places()
        self._reserved += limit
        try:
            claim = partial(claim_pending, owner=self.executor_id, journal_format=JOURNAL_FORMAT, limit=limit)
            claimed = await self._database.write_async(claim)
            self._others_wait = len(claimed) == limit
            for run_id in claimed:
                self._begin(run_id)
        finally:
            self._reserved -= limit

    async def _let_go_of_failed(self) -> None:
        for run_id, error in tuple(self._failures.items()):
            _log.warning("a run cannot go on for now; it is tried again", execution_id=run_id, cause=error.message)
            await self._database.write_async(partial(release_run, workflow_exec_id=run_id, owner=self.executor_id))
            del self._failures[run_id]

    def _begin(self, run_id: str, start: RunStart | None = None) -> None:
        self._failures.pop(run_id, None)
        carry = self._carry(run_id, start, former=self._carried.get(run_id))
        self._carried[run_id] = asyncio.create_task(carry, name=f"run {run_id}")

    async def _carry(self, run_id: str, start: RunStart | None, former: asyncio.Task[None] | None) -> None:
        """Have a run from its claim to the journal's last word on it."""
        if former is not None:
            # Taken for dead meanwhile, this process got its own run back: what it still does of it cannot be recorded.
            if run_id in self._bodies:
                self._bodies[run_id].cancel()
            await asyncio.wait({former})
        self._body_ends[run_id] = asyncio.get_running_loop().create_future()
        try:
            await self._see_through(run_id, start or await find_start(run_id))
        except DBAPIError as error:
            self._failures[run_id] = explain_failure(error, self._database.location)
        except DatabaseError as error:
            self._failures[run_id] = error
        except Exception as error:  # noqa: BLE001 - the worker's edge: one run must not end the others
            _log.exception("a run could not be carried to its end", execution_id=run_id)
            self._failures[run_id] = DatabaseError(f"the journal failed: {type(error).__name__}: {error}")
        finally:
            del self._body_ends[run_id]
            if self._carried[run_id] is asyncio.current_task():
                del self._carried[run_id]
            if run_id not in self._failures:
                self._unrecorded.forget(run_id)
                self._wake.set()

    async def _see_through(self, run_id: str, start: RunStart) -> None:
        if start in {RunStart.CANCELED, RunStart.ENDED}:
            await self._database.write_async(
                partial(end_unknown, run_id=run_id, is_canceled=start is RunStart.CANCELED)
            )
            return
        if start is RunStart.FRESH:
            self._fresh.add(run_id)
            with SetWorkflowID(run_id):
                handle = await DBOS.start_workflow_async(run_journaled, run_id)
        else:
            handle = await resume(run_id, self.executor_id)
        how = await self._body_end(run_id)
        if how is BodyEnd.DONE:
            await handle.get_result(polling_interval_sec=_JOURNAL_POLL_S)
        elif how is BodyEnd.TIMED_OUT:
            await self._end_early(run_id, Status.TIMED_OUT, self._timeouts.pop(run_id).to_json())
        elif how is BodyEnd.SUSPENDED:
            await self._controller.let_go(self._suspended.pop(run_id))
        elif how is BodyEnd.BROKEN:
            await self._database.write_async(partial(end_unknown, run_id=run_id, is_canceled=False))

    async def _body_end(self, run_id: str) -> BodyEnd:
        """Wait for the end of a run's body, and see that it begins: this process may have stood still meanwhile."""
        end = self._body_ends[run_id]
        while not end.done():
            await asyncio.wait({end}, timeout=LEASE_S)
            if end.done() or run_id in self._bodies:
                continue
            run = await self._database.read_async(partial(get_execution, workflow_exec_id=run_id))
            if run.owner != self.executor_id:
                return BodyEnd.INTERRUPTED
            # Another process began it in the journal after it had lost the run to this one.
            await resume(run_id, self.executor_id)
        return end.result()

    async def run_body(self, run_id: str) -> None:
        """What the journal calls for a run; only `run_journaled` does."""
        how = BodyEnd.INTERRUPTED
        try:
            body = self._bodies[run_id] = asyncio.ensure_future(self._execute_in_context(run_id))
            await body
            how = BodyEnd.DONE
        except RunSuspendedError:
            how = BodyEnd.SUSPENDED
            self._suspended[run_id] = self._contexts[run_id]
            raise
        except asyncio.CancelledError as error:
            raise RunInterruptedError from error
        except RunTimeoutError as error:
            how = BodyEnd.TIMED_OUT
            self._timeouts[run_id] = error
            raise RunInterruptedError from error
        except DatabaseError as error:
            # The database is away, which is no fault of the run: nothing is recorded, and the run stays open.
            self._failures[run_id] = error
            raise RunInterruptedError from error
        except Exception:
            _log.exception("a run broke", execution_id=run_id)
            how = BodyEnd.BROKEN
            raise
        finally:
            del self._bodies[run_id]
            self._contexts.pop(run_id, None)
            end = self._body_ends.get(run_id)
            if end is not None and not end.done():
                end.set_result(how)

    async def _execute_in_context(self, run_id: str) -> None:
        is_fresh = run_id in self._fresh
        self._fresh.discard(run_id)
        recorded = [] if is_fresh else await asyncio.to_thread(load_recorded, self._database, run_id)
        context = RunContext(run_id, self.executor_id, self._database.location, self._unrecorded, recorded)
        self._contexts[run_id] = context
        enter_run(context)
        await self._execute(run_id)


@DBOS.workflow(name=RUN_FUNCTION, max_recovery_attempts=None)
async def run_journaled(run_id: str) -> None:
    """The one kind of workflow in the journal; what it does is read from the tables."""
    if _active_runtime is None:
        raise InternalError("the journal called a run while no runtime was active")
    await _active_runtime.run_body(run_id)


_active_runtime: Runtime | None = None
