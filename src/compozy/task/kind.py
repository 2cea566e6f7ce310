"""The record of a task type, found by the `type` of the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, cast

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic_core import CoreSchema, core_schema

from compozy.config.shape import OpenUnion
from compozy.task.options import TaskBase, TaskId

_TOOLS = ("tools", "tool")
DEFAULT_KIND = "basic"
"""Kind of a task without a `type`."""


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The tasks inside a task.

    Attributes:
        key: where they are written.
        is_list: whether `key` holds a list of tasks, or a single task.
        is_sequence: whether they follow one another along transitions.
        is_per_item: whether the single task runs once per item, so that its ID may be a template.
        roots: template roots that they can read in addition.
    """

    key: str
    is_list: bool = False
    is_sequence: bool = False
    is_per_item: bool = False
    roots: frozenset[str] = frozenset()


def _type_of(task: Any) -> str:
    return task.type


def _never(_task: Any) -> bool:
    return False


def always(_task: Any) -> bool:
    """Return True."""
    return True


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """A kind of task. Only `name`, `model`, `runner` and `page` are required.

    Attributes:
        name: value of `type`.
        model: its configuration.
        runner: module with `RUNNER`, a `compozy.task.tree.Runner`. It is imported when a task of the kind first runs,
            so that reading a project does not load the engine.
        page: page of the documentation.
        inside: the tasks inside it.
        is_container: whether its output holds the outputs of the tasks inside it.
        takes_prompt: whether it asks a model if it has a `prompt` or an `action`.
        is_pure: returns whether a task has no effect outside and needs nothing from there.
        condition: what a `condition` does: skips the task, chooses its route, or accepts what the task waits for.
        routes: key of the map from routes to the tasks that follow; values are IDs or tasks.
        on_timeout: key of the ID of the task that follows a timeout.
        waits_for: key of the name of the signal that it waits for.
        texts: keys whose templates are checked.
        roots: template roots that can be read in addition, by key.
        aliases: keys that give a root another name, with that root.
        schemas: keys that hold a JSON Schema.
        calls: key of the workflow that it runs; its tasks are rows below the task, and are not written inside it.
        output_keys: keys of its output, None if they are not known before it runs.
        kept_keys: keys of its output that `outputs` does not replace.
        shape: opening and closing of its node in Mermaid.
        label: returns its kind for people, "" for none.
        dry_texts: keys that a dry run shows as text.
        dry_values: keys that a dry run shows as values.
    """

    name: str
    model: type[TaskBase]
    runner: str
    page: str
    inside: Inside | None = None
    is_container: bool = False
    takes_prompt: bool = False
    is_pure: Callable[[Any], bool] = _never
    condition: Literal["skips", "routes", "accepts"] = "skips"
    routes: str = ""
    on_timeout: str = ""
    waits_for: str = ""
    texts: tuple[tuple[str, ...], ...] = ()
    roots: Mapping[tuple[str, ...], frozenset[str]] = field(default_factory=dict[tuple[str, ...], frozenset[str]])
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    schemas: tuple[str, ...] = ()
    calls: str = ""
    output_keys: frozenset[str] | None = None
    kept_keys: frozenset[str] = frozenset()
    shape: tuple[str, str] = ('["', '"]')
    label: Callable[[Any], str] = _type_of
    dry_texts: tuple[tuple[str, ...], ...] = ()
    dry_values: tuple[str, ...] = ()

    def asks_model(self, task: TaskBase) -> bool:
        """Return whether `task`, which is of this kind, asks a model."""
        return self.takes_prompt and any(getattr(task, key) is not None for key in ("prompt", "action"))

    def may_have_children(self, task: TaskBase) -> bool:
        """Return whether tasks can run inside `task`: those written there or called, or those of its tool calls."""
        agent = getattr(task, "agent", None)
        return (
            self.inside is not None
            or bool(self.calls)
            or any(getattr(each, key, None) for each in (task, agent) for key in _TOOLS)
        )

    def tasks_inside(self, task: TaskBase) -> list[tuple[TaskBase, tuple[str | int, ...]]]:
        """Return the tasks written inside `task`, with their paths from it; those in routes are not inside."""
        if self.inside is None:
            return []
        key, value = self.inside.key, getattr(task, self.inside.key)
        if self.inside.is_list:
            return [(below, (key, index)) for index, below in enumerate(value)]
        return [] if value is None else [(value, (key,))]

    def routes_of(self, task: TaskBase) -> Mapping[str, str | TaskBase]:
        """Return what may follow `task` by route: the ID of a task, or a task."""
        return getattr(task, self.routes) if self.routes else {}

    def timeout_target(self, task: TaskBase) -> str | None:
        """Return the ID of the task that follows when `task` runs out of time."""
        return getattr(task, self.on_timeout) if self.on_timeout else None


KINDS: dict[str, TaskKind] = {}
"""The registered kinds by name. Import them from `compozy.task.registry`, which registers the built-in ones."""


def register(*kinds: TaskKind) -> None:
    """Add kinds; the models of all kinds accept their tasks from then on."""
    KINDS.update({kind.name: kind for kind in kinds})
    for kind in KINDS.values():
        # Others are built when they are first used.
        if kind.model.__pydantic_complete__:
            kind.model.model_rebuild(force=True)
    reader_of_tasks.cache_clear()


def kind_tag(value: Any) -> str:
    """Return the branch of the union that `value`, a task, is read by; the brackets keep it out of error paths."""
    kind: Any
    if isinstance(value, str):
        kind = "id"
    elif isinstance(value, Mapping):
        kind = cast("Mapping[str, Any]", value).get("type", DEFAULT_KIND)
    else:
        kind = getattr(value, "type", DEFAULT_KIND)
    return f"<{kind}>"


@dataclass(frozen=True, kw_only=True)
class _AnyKind(OpenUnion):
    """Reads a task by the model of its kind, or, in a route, the ID of a task."""

    or_id: bool = False

    def branches(self) -> dict[str, Any]:
        """Return the models of all kinds by tag, and the ID before them."""
        ids: dict[str, Any] = {"<id>": TaskId} if self.or_id else {}
        return ids | {f"<{name}>": kind.model for name, kind in KINDS.items()}

    def discriminator(self, value: Any) -> str:
        """Return the tag of the kind of `value`."""
        return kind_tag(value)

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not KINDS:
            # Models are completed by `register`.
            raise PydanticUndefinedAnnotation("Task", "no kind of task is registered")
        choices = {tag: handler.generate_schema(branch) for tag, branch in self.branches().items()}
        return core_schema.tagged_union_schema(choices, discriminator=kind_tag)


Task = Annotated[TaskBase, _AnyKind()]


@cache
def reader_of_tasks() -> TypeAdapter[tuple[TaskBase, ...]]:
    """Return what reads a list of tasks of the registered kinds. Building it takes 10 ms."""
    return TypeAdapter(tuple[Task, ...])


Route = Annotated[TaskBase | str, _AnyKind(or_id=True)]
