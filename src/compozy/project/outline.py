"""A project's files as the checks see them: nodes with the few texts that they compare.

The checks read nodes and not models, so that a fault in one value hides no other fault: a task whose temperature is
wrong still has its template checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compozy.config.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    YamlPath,
    node_at,
    place_at,
    text_at,
    to_value,
)
from compozy.config.settings import LimitSettings
from compozy.errors import SourceLocation
from compozy.model.params import PARAMS
from compozy.model.registry import PROVIDERS
from compozy.project.sources import ProjectSources
from compozy.task.kind import DEFAULT_KIND, TaskKind
from compozy.task.options import TaskBase
from compozy.task.registry import KINDS

# Stands for a `${...}` that does not exist; the model reports the error in the value.
_UNKNOWN_KIND = TaskKind(name="", model=TaskBase, runner="", page="")


@dataclass(frozen=True, kw_only=True, eq=False)
class ProviderOutline:
    """One entry of `llm.providers`; "" stands for a text that is missing or no text.

    `params` are the parameters that its models accept.
    """

    id: str
    type: str
    missing_key_fallback: str
    params: frozenset[str]
    node: MappingNode


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskOutline:
    """One task. `output_schema` is None if it is not a map.

    `routed` are the tasks that are written in its routes: they belong to the list of their router. `below` is what it
    contains.
    """

    id: str
    kind: TaskKind
    path: YamlPath
    node: MappingNode
    output_schema: dict[str, Any] | None
    routed: tuple[TaskOutline, ...]
    below: TaskList | None

    @property
    def has_prompt(self) -> bool:
        """Return whether a model is asked: with a prompt, or with an action that is chosen when the task runs."""
        return self.node.entry("prompt") is not None or self.node.entry("action") is not None


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskList:
    """The tasks of a workflow (`kind` is None) or inside a task of a `kind`, without those in routes."""

    kind: TaskKind | None
    tasks: tuple[TaskOutline, ...]

    @property
    def is_sequence(self) -> bool:
        """Return whether the tasks follow one another."""
        return self.kind is None or (self.kind.inside is not None and self.kind.inside.is_sequence)

    @property
    def is_per_item(self) -> bool:
        """Return whether its one task runs once per item."""
        return self.kind is not None and self.kind.inside is not None and self.kind.inside.is_per_item

    def members(self) -> Iterator[TaskOutline]:
        """Yield all tasks of the list, those in the routes of a router after it."""
        return with_routed(self.tasks)

    def walk(self) -> Iterator[TaskOutline]:
        """Yield all tasks of the list, and those inside of them."""
        for task in self.members():
            yield task
            yield from task.below.walk() if task.below is not None else ()


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkflowOutline:
    """One workflow file."""

    id: str
    file: str
    node: MappingNode
    list: TaskList


@dataclass(frozen=True, kw_only=True, eq=False)
class ProjectOutline:
    """All files.

    `knows_providers` is false when compozy.yaml is too faulty to tell which providers there are, and `knows_workflows`
    when workflow files were not read, or could not be; `binds_knowledge` says
    whether it gives knowledge to agents that name none. `root` is the folder of the project.
    """

    knows_providers: bool
    knows_workflows: bool = True
    binds_knowledge: bool
    max_nesting_depth: int
    providers: tuple[ProviderOutline, ...]
    workflows: tuple[WorkflowOutline, ...]
    root: Path = Path()


def outline_project(read: ProjectSources) -> ProjectOutline:
    """Return the outline of what was read."""
    workflows = [
        WorkflowOutline(id=text_at(file.node, "id"), file=file.shown, node=file.node, list=task_list_of(file.node))
        for file in read.workflows
        if file.node is not None
    ]
    listed = node_at(read.node, ("llm", "providers"))
    return ProjectOutline(
        root=read.root,
        knows_providers=read.is_readable and (read.node.entry("llm") is None or isinstance(listed, SequenceNode)),
        knows_workflows=read.has_workflows and all(file.node is not None for file in read.workflows),
        binds_knowledge=any(True for _ in map_items(read.node, "knowledge", "bindings")),
        max_nesting_depth=_max_nesting_depth(read.node),
        providers=tuple(_providers(read.node, read.environ)),
        workflows=tuple(workflows),
    )


def task_list_of(workflow: MappingNode) -> TaskList:
    """Return the tasks of a workflow file."""
    tasks = tuple(_task(item, ("tasks", index)) for index, item in map_items(workflow, "tasks"))
    return TaskList(kind=None, tasks=tasks)


def with_routed(tasks: Iterable[TaskOutline]) -> Iterator[TaskOutline]:
    """Yield each task, and behind it those in its routes."""
    for task in tasks:
        yield task
        yield from with_routed(task.routed)


def called_ids(node: MappingNode) -> Iterator[str]:
    """Yield the IDs of the agents and tasks that the tools of a task or an agent can call."""
    for holder in (node, node_at(node, ("agent",))):
        for _, tool in map_items(holder, "tools") if holder is not None else ():
            for key in ("agents", "tasks"):
                for _, called in map_items(tool, key):
                    yield text_at(called, "id")
                    yield from called_ids(called)


def id_place(node: MappingNode) -> SourceLocation:
    """Return the place of the `id` of a map."""
    return place_at(node, ("id",))


def map_items(node: Node, *path: str) -> Iterator[tuple[int, MappingNode]]:
    """Yield the maps in the list at `path` with their indexes."""
    found = node_at(node, path)
    for index, item in enumerate(found.items if isinstance(found, SequenceNode) else ()):
        if isinstance(item, MappingNode):
            yield index, item


def _providers(node: MappingNode, environ: Mapping[str, str]) -> Iterator[ProviderOutline]:
    for _, item in map_items(node, "llm", "providers"):
        yield ProviderOutline(
            id=text_at(item, "id"),
            type=text_at(item, "type"),
            missing_key_fallback=text_at(item, "missing_key_fallback"),
            params=_accepted_params(item, environ),
            node=item,
        )


def _accepted_params(provider: MappingNode, environ: Mapping[str, str]) -> frozenset[str]:
    kind = PROVIDERS.get(text_at(provider, "type"))
    if kind is None:
        return frozenset(PARAMS)
    address = text_at(provider, "base_url") or environ.get(kind.base_url_variable)
    return kind.params | kind.compatible_params if address and address != kind.base_url else kind.params


def _max_nesting_depth(node: MappingNode) -> int:
    found = node_at(node, ("limits", "max_nesting_depth"))
    written = found.value if isinstance(found, ScalarNode) else None
    return written if type(written) is int and written > 0 else LimitSettings().max_nesting_depth


def _task(node: MappingNode, path: YamlPath) -> TaskOutline:
    kind = KINDS.get(text_at(node, "type") or DEFAULT_KIND, _UNKNOWN_KIND)
    output = node.entry("output")
    is_map = output is not None and isinstance(output.value, MappingNode)
    return TaskOutline(
        id=text_at(node, "id"),
        kind=kind,
        path=path,
        node=node,
        output_schema=to_value(output.value) if output is not None and is_map else None,
        routed=tuple(_routed(node, path, kind.routes)) if kind.routes else (),
        below=_below(node, path, kind),
    )


def _routed(node: MappingNode, path: YamlPath, key: str) -> Iterator[TaskOutline]:
    routes = node_at(node, (key,))
    for entry in routes.entries if isinstance(routes, MappingNode) else ():
        if isinstance(entry.value, MappingNode):
            yield _task(entry.value, (*path, key, entry.key))


def _below(node: MappingNode, path: YamlPath, kind: TaskKind) -> TaskList | None:
    if kind.inside is None:
        return None
    key = kind.inside.key
    if kind.inside.is_list:
        return TaskList(
            kind=kind, tasks=tuple(_task(item, (*path, key, index)) for index, item in map_items(node, key))
        )
    only = node_at(node, (key,))
    return TaskList(kind=kind, tasks=(_task(only, (*path, key)),)) if isinstance(only, MappingNode) else None
