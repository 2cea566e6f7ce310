"""Concurrent tasks inside a container, up to a limit, until the container's end is decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import sqlalchemy as sa

from compozy.database.status import Status
from compozy.database.tasks import NewTask, insert_pending_tasks, start_task
from compozy.durable.context import current_run
from compozy.durable.step import transact
from compozy.errors import ChildrenFailedError
from compozy.plural import plural
from compozy.task.branches import run_branches
from compozy.task.options import Strategy
from compozy.task.status import container_status, progress_of, status_of_counts
from compozy.task.tree import EndHook, Outcome, RunTask, TaskCall, TaskResult, end_step, nothing_after, words_of_error

_MAX_TOLD = 5


@dataclass(kw_only=True)
class Pool:
    """Runs `children` of a container.

    Args:
        workers: how many at one time; 0 is all of them.
        run_task: runs one of them.
    """

    children: Sequence[TaskCall]
    strategy: Strategy
    workers: int
    run_task: RunTask
    _results: dict[int, TaskResult] = field(default_factory=dict[int, TaskResult])
    _counts: Counter[Status] = field(default_factory=Counter[Status])
    # Children whose rows already have the status RUNNING, because it was stored with the end of another.
    _begun: set[int] = field(default_factory=set[int])

    async def run(self) -> dict[str, TaskResult]:
        """Return the results by id, in the order of the children; those that were not needed any more are CANCELED.

        Raises:
            RunSuspendedError: the run comes to a halt.
            DatabaseError: the run cannot go on here.
        """
        await self._recall()
        left = [number for number in range(len(self.children)) if number not in self._results]
        queue, count = iter(left), min(self.workers or len(left), len(left))
        if self.decided() is None and count:
            with current_run().branching(count) as end_branch:
                # Each branch takes its first child before any of them runs.
                firsts = list(islice(queue, count))
                await run_branches([self._work(first, queue, end_branch) for first in firsts], self._is_over)
        return {
            child.id: self._results.get(number) or TaskResult.canceled(child)
            for number, child in enumerate(self.children)
        }

    def decided(self, ending: TaskResult | None = None) -> Status | None:
        """Return how the container ends, with the result of one more child, if given; None while that is open."""
        counts = self._counts + Counter([ending.end.status] if ending else [])
        return status_of_counts(self.strategy, {**counts, Status.PENDING: len(self.children) - counts.total()})

    async def _recall(self) -> None:
        """Look first at those whose ends are recorded: they may decide that none of the others runs again."""
        for number, child in enumerate(self.children):
            if current_run().is_recorded(end_step(child.path)):
                self._note(number, await self.run_task(child, started=True, on_end=nothing_after))

    def _note(self, number: int, result: TaskResult) -> None:
        self._counts[result.end.status] += 1
        self._results[number] = result

    def _is_over(self) -> bool:
        return self.decided() is not None

    async def _work(self, number: int | None, queue: Iterator[int], end_branch: Callable[[], None]) -> None:
        try:
            while number is not None and not self._is_over():
                child = self.children[number]
                following: list[int] = []

                def on_end(result: TaskResult, following: list[int] = following) -> EndHook:
                    # Called again with another result if the first one is refused: nothing is stored yet.
                    if self.decided(result) is not None:
                        return EndHook()
                    if not following:
                        following.extend(islice(queue, 1))
                    return EndHook(write=partial(_begin, [self.children[found].row() for found in following]))

                self._note(number, await self.run_task(child, started=number in self._begun, on_end=on_end))
                self._begun.update(following)
                number = following[0] if following else next(queue, None)
        finally:
            end_branch()


async def begin_children(call: TaskCall, children: Sequence[TaskCall]) -> None:
    """Store the tasks of a container that has started."""
    rows = [child.row() for child in children]
    await transact(f"{call.base}.children", lambda connection: insert_pending_tasks(connection, rows))


def outcome_of(strategy: Strategy, output: Mapping[str, Any], results: Mapping[str, TaskResult]) -> Outcome:
    """Return the result of a container whose tasks have all ended."""
    statuses = [result.end.status for result in results.values()]
    status = container_status(strategy, statuses)
    if status is Status.SUCCESS:
        return Outcome(output=dict(output), children=results, roots={"progress": progress_of(statuses)})
    return Outcome(status=status or Status.CANCELED, output=dict(output), error=failure_of(results), children=results)


def failure_of(results: Mapping[str, TaskResult]) -> dict[str, Any]:
    """Return the error of a container: which of its tasks failed, and why."""
    failed = {
        child_id: result.end.error or {}
        for child_id, result in results.items()
        if result.end.status in {Status.FAILED, Status.TIMED_OUT}
    }
    told = [f"{child_id!r}: {words_of_error(error)}" for child_id, error in islice(failed.items(), _MAX_TOLD)]
    more = f"; and {len(failed) - _MAX_TOLD} more" if len(failed) > _MAX_TOLD else ""
    return ChildrenFailedError(
        f"{len(failed)} of {plural(len(results), 'task')} inside it failed: {'; '.join(told)}{more}",
        details={"failed": list(failed), "first": next(iter(failed.values()), None)},
    ).to_json()


def _begin(rows: Sequence[NewTask], connection: sa.Connection) -> None:
    for row in rows:
        start_task(connection, row)
