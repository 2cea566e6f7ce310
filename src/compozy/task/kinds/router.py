"""`type: router`: which task follows, by a value."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compozy.task.kind import Route, TaskKind, always
from compozy.task.options import TaskBase

ROUTE_TAKEN = "route_taken"
"""Key in the output of a router that holds the route."""


class RouterTask(TaskBase):
    """Which task follows, by a value."""

    type: Literal["router"] = Field(description="Kind of task.")
    condition: str = Field(  # pyright: ignore[reportIncompatibleVariableOverride] - it is frozen, so narrower is fine
        min_length=1, description="CEL, or a template, that gives the key of a route."
    )
    routes: dict[str, Route] = Field(min_length=1, description="Next task by key: a task ID or a task.")


KIND = TaskKind(
    name="router",
    model=RouterTask,
    runner="compozy.task.router",
    page="/docs/workflows/router",
    is_pure=always,
    condition="routes",
    routes="routes",
    output_keys=frozenset({"condition", ROUTE_TAKEN, "router_type"}),
    kept_keys=frozenset({ROUTE_TAKEN}),
    shape=('{"', '"}'),
)
