"""The tasks inside a task whose end is recorded: none of them runs again, not even those that were canceled."""

from __future__ import annotations

from collections.abc import Iterable

from compozy.durable.context import current_run
from compozy.task.tree import Recall, TaskCall, TaskResult, end_step


async def recall_all(children: Iterable[TaskCall], recall: Recall) -> dict[str, TaskResult]:
    """Return the recorded results of `children` by ID; those without a recorded end were canceled."""
    return {child.id: await recall(child) if _has_ended(child) else TaskResult.canceled(child) for child in children}


async def recall_existing(children: Iterable[TaskCall], recall: Recall) -> dict[str, TaskResult]:
    """Return the recorded results of `children` by ID, without those that have no recorded end: they never ran."""
    return {child.id: await recall(child) for child in children if _has_ended(child)}


def _has_ended(child: TaskCall) -> bool:
    return current_run().is_recorded(end_step(child.path))
