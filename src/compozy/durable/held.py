"""The state of a claimed run in its process, from the claim to the last journal entry."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from compozy.durable.context import RunContext
from compozy.durable.recover import BodyEnd
from compozy.errors import DatabaseError, RunTimeoutError


@dataclass(eq=False, slots=True)
class HeldRun:
    """The state of one run in this process.

    Attributes:
        run_id: the run.
        task: supervises the run from its claim to its end; None while only a body that the journal called is left.
        body: executes the tasks of the run, while it does.
        body_end: how the body ended; a new future for each claim.
        context: of the body, and of a run that is suspended until it is released.
        is_fresh: whether the journal has recorded nothing of this run yet.
        timeout: the limit of time that ended the body.
        failure: why the run cannot continue in this process for now.
    """

    run_id: str
    task: asyncio.Task[None] | None = None
    body: asyncio.Task[None] | None = None
    body_end: asyncio.Future[BodyEnd] | None = None
    context: RunContext | None = None
    is_fresh: bool = False
    timeout: RunTimeoutError | None = None
    failure: DatabaseError | None = None

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


def executing_contexts(runs: Mapping[str, HeldRun]) -> dict[str, RunContext]:
    """Return the contexts of the runs whose bodies are being executed, by run ID."""
    return {run_id: held.context for run_id, held in runs.items() if held.body is not None and held.context is not None}
