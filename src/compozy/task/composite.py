"""`type: composite`: tasks that run in turn, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from compozy.errors import ChildrenFailedError
from compozy.task.kinds.composite import CompositeTask
from compozy.task.next import Plan, PlannedTask, plan_of
from compozy.task.replay import recall_existing
from compozy.task.sequence import Sequence
from compozy.task.template_context import TemplateContext
from compozy.task.tree import EndHook, Outcome, Recall, Runner, RunTask, TaskCall, TaskResult, words_of_error


async def run_composite(call: TaskCall, task: CompositeTask, run_task: RunTask) -> Outcome:
    """Run the tasks as a workflow runs its own: in order, or along their transitions."""

    def make(
        planned: PlannedTask, given: Mapping[str, Any] | None, context: TemplateContext, done: Mapping[str, TaskResult]
    ) -> TaskCall:
        return _child(call, planned, given, context, done)

    sequence = Sequence(
        plan=_plan(call, task),
        context=call.context.nested(parent=call.as_parent()),
        make=make,
        run_task=run_task,
        at_end=lambda _: EndHook(),
    )
    end = await sequence.run(started=False)
    output = {"outputs": {child_id: result.end.output for child_id, result in end.results.items()}}
    if end.error is None:
        return Outcome(output=output, children=end.results)
    error = ChildrenFailedError(
        f"its task {end.failed!r} failed: {words_of_error(end.error)}",
        details={"failed": [end.failed], "first": end.error},
    )
    return Outcome(status=end.status, output=output, error=error.to_json(), children=end.results)


def _plan(call: TaskCall, task: CompositeTask) -> Plan:
    """Return how the tasks of a composite follow one another."""
    return plan_of(task.tasks, (*call.yaml_path, "tasks"))


def _child(
    call: TaskCall,
    planned: PlannedTask,
    given: Mapping[str, Any] | None,
    context: TemplateContext,
    done: Mapping[str, TaskResult],
) -> TaskCall:
    """Return a task of a composite, ready to run."""
    requests = sum(usage["requests"] for result in done.values() for usage in result.usages())
    return replace(call.child(planned.task, planned.yaml_path, context, number=requests), given=given)


async def _replay(call: TaskCall, task: CompositeTask, recall: Recall) -> dict[str, TaskResult]:
    context = call.context.nested(parent=call.as_parent())
    return await recall_existing(
        [_child(call, planned, None, context, {}) for planned in _plan(call, task).tasks.values()], recall
    )


RUNNER = Runner(run=run_composite, replay=_replay)
