"""`type: composite`: tasks that run in turn, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from compozy.errors import ChildrenFailedError
from compozy.task.kinds.composite import CompositeTask
from compozy.task.next import Plan, Step, plan_of
from compozy.task.replay import recall_existing
from compozy.task.scope import Scope
from compozy.task.sequence import Sequence
from compozy.task.tree import After, Outcome, Recall, Runner, RunTask, TaskResult, TaskRun, words_of_error


async def run_composite(call: TaskRun, task: CompositeTask, run_task: RunTask) -> Outcome:
    """Run the tasks as a workflow runs its own: in order, or along their transitions."""

    def make(step: Step, given: Mapping[str, Any] | None, scope: Scope, done: Mapping[str, TaskResult]) -> TaskRun:
        return _child(call, step, given, scope, done)

    sequence = Sequence(
        plan=_plan(call, task),
        scope=call.scope.nested(parent=call.as_parent()),
        make=make,
        run_task=run_task,
        at_end=lambda _: After(),
    )
    end = await sequence.run(begun=False)
    output = {"outputs": {child_id: result.end.output for child_id, result in end.results.items()}}
    if end.error is None:
        return Outcome(output=output, children=end.results)
    error = ChildrenFailedError(
        f"its task {end.failed!r} failed: {words_of_error(end.error)}",
        details={"failed": [end.failed], "first": end.error},
    )
    return Outcome(status=end.status, output=output, error=error.to_json(), children=end.results)


def _plan(call: TaskRun, task: CompositeTask) -> Plan:
    """Return how the tasks of a composite follow one another."""
    return plan_of(task.tasks, (*call.place, "tasks"))


def _child(
    call: TaskRun, step: Step, given: Mapping[str, Any] | None, scope: Scope, done: Mapping[str, TaskResult]
) -> TaskRun:
    """Return a task of a composite, ready to run."""
    requests = sum(usage["requests"] for result in done.values() for usage in result.usages())
    return replace(call.child(step.task, step.place, scope, number=requests), given=given)


async def _replay(call: TaskRun, task: CompositeTask, recall: Recall) -> dict[str, TaskResult]:
    scope = call.scope.nested(parent=call.as_parent())
    return await recall_existing(
        [_child(call, step, None, scope, {}) for step in _plan(call, task).steps.values()], recall
    )


RUNNER = Runner(run=run_composite, replay=_replay)
