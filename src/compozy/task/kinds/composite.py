"""`type: composite`: tasks that run in turn, as one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compozy.task.kind import Inside, Task, TaskKind
from compozy.task.options import Strategy, TaskBase


class CompositeTask(TaskBase):
    """Tasks that run in order, as one."""

    type: Literal["composite"] = Field(description="Kind of task.")
    tasks: tuple[Task, ...] = Field(min_length=1, description="Tasks to run, in this order.")
    strategy: Strategy = Field(default="wait_all", description="Without effect: a composite runs its tasks in turn.")


KIND = TaskKind(
    name="composite",
    model=CompositeTask,
    runner="compozy.task.composite",
    page="/docs/workflows/composite",
    inside=Inside(key="tasks", is_list=True, is_sequence=True),
    is_container=True,
)
