"""`type: collection`: one task for each item of a list."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compozy.task.kind import Inside, Task, TaskKind
from compozy.task.options import MAX_WORKERS, Strategy, TaskBase, TaskId

MAX_ITEMS = 100_000
"""How many items a collection runs over at most."""
_ITEM = frozenset({"item", "index"})


class CollectionTask(TaskBase):
    """One task for each item of a list."""

    type: Literal["collection"] = Field(description="Kind of task.")
    items: Any = Field(description="The items: a list, a map, a number, or a template that gives one of them.")
    filter: str | None = Field(
        default=None, min_length=1, description="CEL, or a template; items for which it is false are left out."
    )
    item_var: TaskId | None = Field(default=None, description="Another name for `.item`.")
    index_var: TaskId | None = Field(default=None, description="Another name for `.index`.")
    mode: Literal["parallel", "sequential"] = Field(default="parallel", description="At the same time, or in turn.")
    batch: int = Field(default=0, ge=0, le=MAX_ITEMS, description="Items that are done before the next ones; 0 is all.")
    strategy: Strategy = Field(default="wait_all", description="When the container has succeeded, and when failed.")
    max_workers: int = Field(
        default=0, ge=0, le=MAX_WORKERS, description="Largest number of concurrent tasks; 0 means no limit."
    )
    task: Task = Field(description="Task that runs for each item; its ID may be a template.")


def _label(task: CollectionTask) -> str:
    return "collection, one by one" if task.mode == "sequential" else "collection"


KIND = TaskKind(
    name="collection",
    model=CollectionTask,
    runner="compozy.task.collection",
    page="/docs/workflows/collection",
    inside=Inside(key="task", is_per_item=True, roots=_ITEM),
    is_container=True,
    texts=(("items",), ("filter",)),
    roots={("with",): _ITEM, ("filter",): _ITEM, ("outputs",): frozenset({"progress", "results"})},
    aliases={"item_var": "item", "index_var": "index"},
    label=_label,
)
