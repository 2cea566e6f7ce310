"""A list of tasks from its first to its end: those of a workflow, or of a composite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.status import Status
from compozy.database.tasks import start_new_task
from compozy.durable.context import current_run
from compozy.durable.step import transact
from compozy.errors import CompozyError
from compozy.task.next import Following, Plan, PlannedTask, following
from compozy.task.template_context import TemplateContext, render_value
from compozy.task.tree import EndHook, RunTask, TaskCall, TaskResult

_GIVEN = "given"
_REFUSED = "refused"
_UNTIL = "until_ms"


@dataclass(frozen=True, kw_only=True)
class SequenceEnd:
    """How a list ended: `error` is that of the task `failed`, both None when it succeeded."""

    results: Mapping[str, TaskResult]
    failed: str | None = None
    error: dict[str, Any] | None = None

    @property
    def status(self) -> Status:
        """Return SUCCESS or FAILED."""
        return Status.SUCCESS if self.error is None else Status.FAILED


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """A list of tasks that run one after the other.

    Args:
        plan: what follows what.
        context: what their templates see; their results are put into it.
        make: returns a planned task, ready to run: `make(planned, given, context, done)`, where `given` is the input
            from the transition and `done` the results so far.
        run_task: runs one.
        at_end: what else is stored with the end of the last task.
    """

    plan: Plan
    context: TemplateContext
    make: Callable[[PlannedTask, Mapping[str, Any] | None, TemplateContext, Mapping[str, TaskResult]], TaskCall]
    run_task: RunTask
    at_end: Callable[[SequenceEnd], EndHook]
    _results: dict[str, TaskResult] = field(default_factory=dict[str, TaskResult])

    async def run(self, *, started: bool) -> SequenceEnd:
        """Run the list; `begun` if the row of its first task already says that it runs.

        Raises:
            RunSuspendedError: the run comes to a halt.
            DatabaseError: the run cannot go on here.
        """
        task_id: str | None = self.plan.first
        given: Mapping[str, Any] | None = None
        error: dict[str, Any] | None = None
        end = SequenceEnd(results=self._results)
        while task_id is not None:
            call = self._call(task_id, given, error)
            result = await self.run_task(call, started=started, on_end=partial(self._after, call))
            self._note(call, result)
            follow = self._following(call, result)
            end = self._end_after(call, result, follow)
            task_id = None if end.error is not None else follow.task_id
            given, error = result.recorded.get(_GIVEN), result.end.error or error
            started = call.task.sleep is None
            if task_id is not None and call.task.sleep is not None:
                await _sleep(call, call.task.sleep, result.recorded)
        return end

    def _call(self, task_id: str, given: Mapping[str, Any] | None, error: dict[str, Any] | None) -> TaskCall:
        context = self.context if error is None else self.context.with_roots(error=error)
        return self.make(self.plan.tasks[task_id], given, context, self._results)

    def _after(self, call: TaskCall, result: TaskResult) -> EndHook:
        """Return what is stored with the end of a task: the beginning of the next, or what ends the list."""
        self._note(call, result)
        follow = self._following(call, result)
        try:
            given = self._render_given(result, follow)
        except CompozyError as error:
            refused = {_REFUSED: error.to_json()}
            return self._at_end(call, replace(result, recorded=refused), follow, refused)
        if follow.task_id is None:
            return self._at_end(call, result, follow, {})
        record: dict[str, Any] = {} if given is None else {_GIVEN: given}
        if call.task.sleep is not None:
            return EndHook(write=partial(_begin_pause, record, call.task.sleep), record=record)
        row = self._call(follow.task_id, None, None).row()
        return EndHook(write=lambda connection: start_new_task(connection, row), record=record, can_wait=True)

    def _at_end(self, call: TaskCall, result: TaskResult, follow: Following, record: Mapping[str, Any]) -> EndHook:
        after = self.at_end(self._end_after(call, result, follow))
        return replace(after, record={**after.record, **record})

    def _end_after(self, call: TaskCall, result: TaskResult, follow: Following) -> SequenceEnd:
        error = result.recorded.get(_REFUSED)
        if error is None and follow.is_failure:
            error = result.end.error or {}
        failed = call.id if error is not None else None
        return SequenceEnd(results=self._results, failed=failed, error=error)

    def _following(self, call: TaskCall, result: TaskResult) -> Following:
        return following(self.plan, call.task.id, result.end.status, result.end.output)

    def _render_given(self, result: TaskResult, follow: Following) -> dict[str, Any] | None:
        if follow.task_id is None or follow.with_ is None:
            return None
        error = {} if result.end.error is None else {"error": result.end.error}
        context = self.context.with_roots(**result.roots, **error)
        return render_value(follow.with_, follow.with_path, context)

    def _note(self, call: TaskCall, result: TaskResult) -> None:
        self._results[call.task.id] = result
        self.context.tasks[call.task.id] = result.view()


def _begin_pause(record: dict[str, Any], seconds: float, _: sa.Connection) -> None:
    """Record with the end of a task until when the pause behind it lasts: it counts from there, and costs no commit."""
    record[_UNTIL] = now_ms() + int(seconds * 1000)


async def _sleep(call: TaskCall, seconds: float, recorded: Mapping[str, Any]) -> None:
    """Pause behind a task; a run that is resumed waits for the rest only."""
    until_ms = recorded.get(_UNTIL)
    if until_ms is None:
        # It ended under a version that recorded its pause in a separate step.
        until_ms = await transact(f"{call.path}.sleep", lambda _: now_ms() + int(seconds * 1000))
    await current_run().wait(until_ms=until_ms)
