"""`type: parallel`: tasks that run concurrently."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compozy.task.kind import Inside, Task, TaskKind
from compozy.task.options import MAX_WORKERS, Strategy, TaskBase


class ParallelTask(TaskBase):
    """Tasks that run at the same time."""

    type: Literal["parallel"] = Field(description="Kind of task.")
    tasks: tuple[Task, ...] = Field(min_length=1, description="Tasks that run concurrently.")
    strategy: Strategy = Field(default="wait_all", description="When the container has succeeded, and when failed.")
    max_workers: int = Field(
        default=0, ge=0, le=MAX_WORKERS, description="Largest number of concurrent tasks; 0 means no limit."
    )


def _label(task: ParallelTask) -> str:
    return task.type if task.strategy == "wait_all" else f"{task.type}, {task.strategy}"


KIND = TaskKind(
    name="parallel",
    model=ParallelTask,
    runner="compozy.task.parallel",
    page="/docs/workflows/parallel",
    inside=Inside(key="tasks", is_list=True),
    is_container=True,
    roots={("outputs",): frozenset({"progress"})},
    label=_label,
)
