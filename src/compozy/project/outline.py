"""A project's files as the checks see them: nodes with the few texts that they compare.

The checks read nodes and not models, so that a fault in one value hides no other fault: a task whose temperature is
wrong still has its template checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compozy.config.nodes import MappingNode, Node, NodePath, ScalarNode, SequenceNode, node_at, place_at, to_value
from compozy.errors import Place
from compozy.project.sources import ProjectSources


@dataclass(frozen=True, kw_only=True, eq=False)
class ProviderOutline:
    """One entry of `llm.providers`; "" stands for a text that is missing or no text."""

    id: str
    type: str
    fallback: str
    node: MappingNode


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskOutline:
    """One entry of `tasks`. `output_schema` is None when there is no map."""

    id: str
    index: int
    node: MappingNode
    output_schema: dict[str, Any] | None

    @property
    def path(self) -> NodePath:
        """Return where the task stands in its file."""
        return ("tasks", self.index)

    @property
    def has_prompt(self) -> bool:
        """Return whether a model is asked."""
        return self.node.entry("prompt") is not None


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkflowOutline:
    """One workflow file."""

    id: str
    file: str
    node: MappingNode
    tasks: tuple[TaskOutline, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ProjectOutline:
    """All files. `knows_providers` is false when compozy.yaml is too faulty to tell which providers there are."""

    knows_providers: bool
    providers: tuple[ProviderOutline, ...]
    workflows: tuple[WorkflowOutline, ...]


def outline_project(read: ProjectSources) -> ProjectOutline:
    """Return the outline of what was read."""
    workflows = [
        WorkflowOutline(id=text_at(file.node, "id"), file=file.shown, node=file.node, tasks=tuple(_tasks(file.node)))
        for file in read.workflows
        if file.node is not None and text_at(file.node, "resource") in {"", "workflow"}
    ]
    listed = node_at(read.node, ("llm", "providers"))
    return ProjectOutline(
        knows_providers=read.is_readable and (read.node.entry("llm") is None or isinstance(listed, SequenceNode)),
        providers=tuple(_providers(read.node)),
        workflows=tuple(workflows),
    )


def text_at(node: Node, *path: str | int) -> str:
    """Return the scalar at `path` as text, "" when there is none."""
    found = node_at(node, path)
    return found.text if isinstance(found, ScalarNode) else ""


def id_place(node: MappingNode) -> Place:
    """Return the place of the `id` of a map."""
    return place_at(node, ("id",))


def map_items(node: Node, *path: str) -> Iterator[tuple[int, MappingNode]]:
    """Yield the maps in the list at `path` with their indexes."""
    found = node_at(node, path)
    for index, item in enumerate(found.items if isinstance(found, SequenceNode) else ()):
        if isinstance(item, MappingNode):
            yield index, item


def _providers(node: MappingNode) -> Iterator[ProviderOutline]:
    for _, item in map_items(node, "llm", "providers"):
        yield ProviderOutline(
            id=text_at(item, "id"), type=text_at(item, "type"), fallback=text_at(item, "fallback"), node=item
        )


def _tasks(node: MappingNode) -> Iterator[TaskOutline]:
    for index, item in map_items(node, "tasks"):
        output = item.entry("output")
        is_map = output is not None and isinstance(output.value, MappingNode)
        yield TaskOutline(
            id=text_at(item, "id"),
            index=index,
            node=item,
            output_schema=to_value(output.value) if output is not None and is_map else None,
        )
