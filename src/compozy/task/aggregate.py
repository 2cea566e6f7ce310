"""`type: aggregate`: a result that is put together from those of other tasks."""

from __future__ import annotations

from compozy.task.kinds.aggregate import AggregateTask
from compozy.task.tree import Outcome, Runner, RunTask, TaskCall


async def run_aggregate(call: TaskCall, task: AggregateTask, _: RunTask) -> Outcome:  # noqa: ARG001 - one of the kinds
    """Do nothing: the result is in the `outputs`, which are rendered after every kind of task."""
    return Outcome(output=call.shown.get("with", {}))


RUNNER = Runner(run=run_aggregate)
