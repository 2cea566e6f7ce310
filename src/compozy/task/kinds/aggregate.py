"""`type: aggregate`: a result that is put together from those of other tasks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compozy.task.kind import TaskKind, always
from compozy.task.options import TaskBase


class AggregateTask(TaskBase):
    """A result that is put together from those of other tasks."""

    type: Literal["aggregate"] = Field(description="Kind of task.")
    outputs: dict[str, Any] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] - it is frozen
        min_length=1, description="The result; templates."
    )


KIND = TaskKind(
    name="aggregate",
    model=AggregateTask,
    runner="compozy.task.aggregate",
    page="/docs/workflows/aggregate",
    is_pure=always,
    shape=('[["', '"]]'),
)
