"""The state of a claimed run in its process, from the claim to the last journal entry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from compozy.database.database import Database
from compozy.database.executions import Execution
from compozy.durable.context import RunContext, RunInterruptedError, RunSuspendedError
from compozy.durable.lease import LEASE_S
from compozy.durable.recover import BodyEnd, find_run, resume
from compozy.errors import DatabaseError, InternalError, RunTimeoutError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A journal entry that this process opened: it starts the run.

    Attributes:
        token: of the execution, as the entry has it.
        run: the run as it was accepted here; None if it was claimed.
    """

    token: str
    run: Execution | None = None


@dataclass(eq=False, slots=True)
class HeldRun:
    """The state of one run in this process.

    Attributes:
        run_id: the run.
        task: supervises the run from its claim to its end; None while only a body that the journal called is left.
        body: executes the tasks of the run, while it does.
        body_end: how the body ended; a new future for each claim.
        context: of the body, and of a run that is suspended until it is released.
        timeout: the limit of time that ended the body.
        failure: why the run cannot continue in this process for now.
        is_replayed: whether its end is stored, and it is executed again only to close its journal entry.
    """

    run_id: str
    task: asyncio.Task[None] | None = None
    body: asyncio.Task[None] | None = None
    body_end: asyncio.Future[BodyEnd] | None = None
    context: RunContext | None = None
    timeout: RunTimeoutError | None = None
    failure: DatabaseError | None = None
    is_replayed: bool = False

    async def execute(self, body: Coroutine[Any, Any, None], is_stopping: Callable[[], bool]) -> None:
        """Execute the body, and keep how it ended.

        Args:
            body: executes the tasks of the run.
            is_stopping: whether this process is stopping.

        Raises:
            RunInterruptedError: the run did not end.
            Exception: a defect, which ends the run.
        """
        how = BodyEnd.INTERRUPTED
        try:
            self.body = asyncio.ensure_future(body)
            await self.body
            how = BodyEnd.DONE
        except RunSuspendedError:
            how = BodyEnd.SUSPENDED
            raise
        except asyncio.CancelledError as error:
            how = self.how_canceled()
            raise RunInterruptedError from error
        except RunTimeoutError as error:
            how = BodyEnd.TIMED_OUT
            self.timeout = error
            raise RunInterruptedError from error
        except DatabaseError as error:
            # The database is not available, which is not an error of the run: nothing is recorded, the run stays open.
            self.failure = error
            raise RunInterruptedError from error
        except Exception as error:
            if is_stopping():
                # The engine or the threads ended before the run was canceled: an error of this process, not of the run.
                raise RunInterruptedError from error
            _log.exception("a run broke", execution_id=self.run_id)
            how = BodyEnd.BROKEN
            raise
        finally:
            self.end_body(how)

    def stop(self) -> None:
        """Cancel what executes here; the next process continues the run."""
        if self.body is not None:
            self.body.cancel()
        elif self.task is not None and (self.body_end is None or not self.body_end.done()):
            # Claimed, and not yet called by the journal: the next process starts it.
            self.task.cancel()

    def how_canceled(self) -> BodyEnd:
        """Return how a body ended that was canceled, by this process or because it cannot record any more."""
        is_lost = self.context is not None and self.context.holder.is_lost
        return BodyEnd.LOST if is_lost else BodyEnd.INTERRUPTED

    def end_body(self, how: BodyEnd) -> None:
        """Record how the body ended, for the task that supervises the run."""
        self.body = None
        if how is not BodyEnd.SUSPENDED:
            self.context = None
        if self.body_end is not None and not self.body_end.done():
            self.body_end.set_result(how)


async def wait_for_body(held: HeldRun, database: Database, executor_id: str) -> BodyEnd:
    """Wait for the end of a run's body, and see that it starts: this process may have stood still meanwhile."""
    if (end := held.body_end) is None:
        raise InternalError("nothing waits for the end of this run's body")
    while not end.done():
        await asyncio.wait({end}, timeout=LEASE_S)
        if end.done() or held.body is not None:
            continue
        run = await find_run(database, held.run_id)
        if run is None or run.owner != executor_id:
            return BodyEnd.LOST
        # Another process started it in the journal after it had lost the run to this one.
        await resume(held.run_id, executor_id)
    return end.result()


def executing_contexts(runs: Mapping[str, HeldRun]) -> dict[str, RunContext]:
    """Return the contexts of the runs whose bodies are being executed, by run ID."""
    return {run_id: held.context for run_id, held in runs.items() if held.body is not None and held.context is not None}
