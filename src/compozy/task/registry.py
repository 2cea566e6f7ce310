"""All kinds of tasks. A new kind is one import and one entry here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compozy.task.kind import DEFAULT_KIND, KINDS, Task, TaskKind, reader_of_tasks, register
from compozy.task.kinds import (
    aggregate,
    basic,
    collection,
    composite,
    memory,
    parallel,
    router,
    signal,
    wait,
    workflow,
)
from compozy.task.options import TaskBase

# In this order they stand in the JSON Schema and in the reference.
register(
    basic.KIND,
    parallel.KIND,
    collection.KIND,
    composite.KIND,
    router.KIND,
    aggregate.KIND,
    wait.KIND,
    signal.KIND,
    workflow.KIND,
    memory.KIND,
)

__all__ = ["DEFAULT_KIND", "KINDS", "Task", "kind_of", "read_tasks", "register"]


def read_tasks(documents: Sequence[Mapping[str, Any]]) -> tuple[TaskBase, ...]:
    """Return validated tasks that are kept as JSON, such as those of a tool."""
    return reader_of_tasks().validate_python(documents)


def kind_of(task: TaskBase) -> TaskKind:
    """Return the kind of a task."""
    return KINDS[task.type]
