"""What was inside a container whose end is recorded: nothing is run again, not even what was canceled."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator

from compozy.durable.context import current_run
from compozy.task.collection import collection_children
from compozy.task.composite import composite_child, composite_plan
from compozy.task.config import CollectionTask, CompositeTask, ParallelTask, WaitTask
from compozy.task.parallel import parallel_children
from compozy.task.tree import TaskResult, TaskRun, end_step
from compozy.task.wait import processor_child

Recall = Callable[[TaskRun], Awaitable[TaskResult]]
"""Returns what is recorded of a task that has ended."""


async def replay_children(call: TaskRun, recall: Recall) -> dict[str, TaskResult]:
    """Return the tasks inside a container in the attempt that ended it, by id; those without an end were canceled."""
    task = call.task
    if isinstance(task, ParallelTask):
        return {child.id: await _recall(child, recall) for child in parallel_children(call, task)}
    if isinstance(task, CollectionTask):
        if not current_run().is_recorded(f"{call.base}.items"):
            return {}
        return {child.id: await _recall(child, recall) for child in await collection_children(call, task)}
    if isinstance(task, CompositeTask):
        scope = call.scope.nested(parent=call.as_parent())
        steps = composite_plan(call, task).steps.values()
        children = [composite_child(call, step, None, scope, {}) for step in steps]
        return {child.id: await recall(child) for child in children if current_run().is_recorded(end_step(child.path))}
    if isinstance(task, WaitTask):
        return {child.id: await recall(child) for child in _processed(call, task)}
    return {}


def _processed(call: TaskRun, task: WaitTask) -> Iterator[TaskRun]:
    """Yield the runs of the processor, one for each signal that was taken."""
    if task.processor is None:
        return
    for number in itertools.count():
        child = processor_child(call, task.processor, {}, number)
        if not current_run().is_recorded(end_step(child.path)):
            return
        yield child


async def _recall(child: TaskRun, recall: Recall) -> TaskResult:
    if current_run().is_recorded(end_step(child.path)):
        return await recall(child)
    return TaskResult.canceled(child)
