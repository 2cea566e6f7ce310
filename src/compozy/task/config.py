"""`tasks:` of a workflow, as they are written in a workflow file: one class per kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Discriminator, Field, Tag

from compozy.agent.config import AgentConfig
from compozy.config.settings import Section
from compozy.task.options import TaskBase, TaskId

DEFAULT_KIND = "basic"
MAX_ITEMS = 100_000
"""How many items a collection runs over at most."""
_MAX_WORKERS = 1_000

Strategy = Literal["wait_all", "fail_fast", "best_effort", "race"]


class BasicTask(TaskBase):
    """One step: a prompt to an agent, or, with neither, a pass-through of `with`."""

    type: Literal["basic"] = Field(default="basic", description="Kind of task.")
    prompt: str | None = Field(default=None, min_length=1, description="What the model is asked; a template.")
    agent: AgentConfig | None = Field(default=None, description="Who answers the prompt.")


class ParallelTask(TaskBase):
    """Tasks that run at the same time."""

    type: Literal["parallel"] = Field(description="Kind of task.")
    tasks: tuple[Task, ...] = Field(min_length=1, description="What runs at the same time.")
    strategy: Strategy = Field(default="wait_all", description="When the container has succeeded, and when failed.")
    max_workers: int = Field(default=0, ge=0, le=_MAX_WORKERS, description="Tasks at one time; 0 is all of them.")


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
    max_workers: int = Field(default=0, ge=0, le=_MAX_WORKERS, description="Tasks at one time; 0 is all of them.")
    task: Task = Field(description="What is done with each item; its id may be a template.")


class CompositeTask(TaskBase):
    """Tasks that run in order, as one."""

    type: Literal["composite"] = Field(description="Kind of task.")
    tasks: tuple[Task, ...] = Field(min_length=1, description="What is done, in this order.")
    strategy: Strategy = Field(default="wait_all", description="Without effect: a composite runs its tasks in turn.")


class RouterTask(TaskBase):
    """Which task follows, by a value."""

    type: Literal["router"] = Field(description="Kind of task.")
    condition: str = Field(  # pyright: ignore[reportIncompatibleVariableOverride] - it is frozen, so narrower is fine
        min_length=1, description="CEL, or a template, that gives the key of a route."
    )
    routes: dict[str, Route] = Field(min_length=1, description="What follows, by key: the id of a task, or a task.")


class AggregateTask(TaskBase):
    """A result that is put together from those of other tasks."""

    type: Literal["aggregate"] = Field(description="Kind of task.")
    outputs: dict[str, Any] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] - it is frozen
        min_length=1, description="The result; templates."
    )


class WaitTask(TaskBase):
    """Waits for a signal, or for a person."""

    type: Literal["wait"] = Field(description="Kind of task.")
    wait_for: str = Field(min_length=1, description="Name of the signal; a template.")
    condition: str | None = Field(
        default=None, min_length=1, description="CEL, or a template; signals for which it is false are passed over."
    )
    form: dict[str, Any] | None = Field(
        default=None, description="JSON Schema of the payload; makes it an approval, `compozy workflow approve`."
    )
    processor: Task | None = Field(default=None, description="A task that each signal is put through first.")
    on_timeout: TaskId | None = Field(default=None, description="Id of the task that follows when no signal came.")


class SignalConfig(Section):
    """`signal:`, what is sent."""

    id: str = Field(min_length=1, description="Name of the signal; a template.")
    payload: Any = Field(default=None, description="What comes with it; templates.")
    execution: str | None = Field(
        default=None, min_length=1, description="The one run that it is for; a template. Without it, all that wait."
    )


class SignalTask(TaskBase):
    """Sends a signal to runs that wait for it."""

    type: Literal["signal"] = Field(description="Kind of task.")
    signal: SignalConfig = Field(description="What is sent.")


KINDS: Mapping[str, type[TaskBase]] = {
    "basic": BasicTask,
    "parallel": ParallelTask,
    "collection": CollectionTask,
    "composite": CompositeTask,
    "router": RouterTask,
    "aggregate": AggregateTask,
    "wait": WaitTask,
    "signal": SignalTask,
}


def kind_tag(value: Any) -> str:
    """Return the branch of the union that `value`, a task, is read by; the brackets keep it out of fault paths."""
    kind: Any
    if isinstance(value, str):
        kind = "id"
    elif isinstance(value, Mapping):
        kind = cast("Mapping[str, Any]", value).get("type", DEFAULT_KIND)
    else:
        kind = getattr(value, "type", DEFAULT_KIND)
    return f"<{kind}>"


Task = Annotated[
    Annotated[BasicTask, Tag("<basic>")]
    | Annotated[ParallelTask, Tag("<parallel>")]
    | Annotated[CollectionTask, Tag("<collection>")]
    | Annotated[CompositeTask, Tag("<composite>")]
    | Annotated[RouterTask, Tag("<router>")]
    | Annotated[AggregateTask, Tag("<aggregate>")]
    | Annotated[WaitTask, Tag("<wait>")]
    | Annotated[SignalTask, Tag("<signal>")],
    Discriminator(kind_tag),
]
Route = Annotated[
    Annotated[TaskId, Tag("<id>")]
    | Annotated[BasicTask, Tag("<basic>")]
    | Annotated[ParallelTask, Tag("<parallel>")]
    | Annotated[CollectionTask, Tag("<collection>")]
    | Annotated[CompositeTask, Tag("<composite>")]
    | Annotated[RouterTask, Tag("<router>")]
    | Annotated[AggregateTask, Tag("<aggregate>")]
    | Annotated[WaitTask, Tag("<wait>")]
    | Annotated[SignalTask, Tag("<signal>")],
    Discriminator(kind_tag),
]

for _kind in KINDS.values():
    # The kinds name one another: they are complete only here.
    _kind.model_rebuild()
