"""Shared resources: agents, schemas and tasks that are written once and named by ID."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compozy.config.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child,
    node_at,
    place_at,
    text_at,
    with_entries,
)
from compozy.config.unsupported_keys import UNSUPPORTED_KEYS
from compozy.config.words import show_value
from compozy.errors import Diagnostic
from compozy.nearest import suggest
from compozy.project.outline import id_place
from compozy.project.resource_kinds import RESOURCE_KINDS, WORKFLOW, ResourceKind

WORKFLOW_LISTS = tuple(kind.plural for kind in RESOURCE_KINDS.values() if kind.in_workflows)
"""Keys of the lists of resources in a workflow."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Resource:
    """One resource: `node` is what is written, `file` is None if it is an item of a list in another file."""

    kind: ResourceKind
    id: str
    node: MappingNode
    file: Path | None = None


@dataclass(frozen=True, eq=False)
class ResourceScope:
    """The resources that can be named at one place, by kind and ID; the nearest definition counts."""

    by_kind: Mapping[str, Mapping[str, Resource]] = field(default_factory=dict[str, Mapping[str, Resource]])

    def find(self, kind: ResourceKind, resource_id: str) -> Resource | None:
        """Return the resource of this ID, None if there is none."""
        return self.by_kind.get(kind.name, {}).get(resource_id)

    def ids(self, kind: ResourceKind) -> list[str]:
        """Return the IDs of all resources of a kind."""
        return list(self.by_kind.get(kind.name, {}))

    def with_resources(self, resources: tuple[Resource, ...]) -> ResourceScope:
        """Return the scope in which `resources` hide those of the same kind and ID; the first of two counts."""
        merged = {name: dict(found) for name, found in self.by_kind.items()}
        for resource in reversed(resources):
            if resource.id:
                merged.setdefault(resource.kind.name, {})[resource.id] = resource
        return ResourceScope(merged)


def listed_resources(node: MappingNode, *, is_workflow: bool) -> Iterator[Resource]:
    """Yield the resources in the lists of compozy.yaml or of a workflow; items that are not maps are left out."""
    for kind in RESOURCE_KINDS.values():
        found = node_at(node, (kind.plural,)) if kind.in_workflows or not is_workflow else None
        for item in found.items if isinstance(found, SequenceNode) else ():
            if isinstance(item, MappingNode):
                yield Resource(kind=kind, id=text_at(item, "id"), node=item)


def with_listed(node: MappingNode, resources: Iterable[Resource]) -> MappingNode:
    """Return compozy.yaml with these resources, in the order of `listed_resources`, in its lists."""
    by_kind: dict[str, list[MappingNode]] = {}
    for resource in resources:
        by_kind.setdefault(resource.kind.plural, []).append(resource.node)
    changes: dict[str, Node | None] = {}
    for plural, nodes in by_kind.items():
        found, rest = child(node, plural), iter(nodes)
        if isinstance(found, SequenceNode):
            items = tuple(next(rest, item) if isinstance(item, MappingNode) else item for item in found.items)
            changes[plural] = SequenceNode(items=items, place=found.place)
    return with_entries(node, changes)


def kind_of_file(path: Path, node: MappingNode) -> str:
    """Return what a file holds: the value of its `resource`, else the kind of its folder, else `workflow`."""
    written = child(node, "resource")
    if isinstance(written, ScalarNode) and written.text:
        return written.text
    return next((kind.name for kind in RESOURCE_KINDS.values() if kind.folder == path.parent.name), WORKFLOW)


def find_duplicates(resources: tuple[Resource, ...]) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each resource whose ID is used by another one of its kind."""
    seen: dict[tuple[str, str], list[Resource]] = {}
    for resource in resources:
        if resource.id:
            seen.setdefault((resource.kind.name, resource.id), []).append(resource)
    for (kind, resource_id), found in seen.items():
        places = [id_place(resource.node) for resource in found]
        for place in places if len(places) > 1 else ():
            others = ", ".join(str(other) for other in places if other != place)
            yield Diagnostic(
                location=place, message=f"duplicate {kind} id {resource_id!r}, also in {others}", code="duplicate_id"
            )


def find_odd_items(workflow: MappingNode) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each item of a list of resources in a workflow that is not a map."""
    for key in WORKFLOW_LISTS:
        found = child(workflow, key)
        for index, item in enumerate(found.items if isinstance(found, SequenceNode) else ()):
            if not isinstance(item, MappingNode):
                message = f"{key}[{index}]: expected a map, got {show_value(item)}"
                yield Diagnostic(location=item.place, message=message, code="value")


def unknown_kind(node: MappingNode, kind: str) -> Diagnostic:
    """Return the diagnostic of a file whose `resource` names no kind."""
    kinds = [WORKFLOW, *RESOURCE_KINDS]
    unsupported = UNSUPPORTED_KEYS.get(kind) or UNSUPPORTED_KEYS.get(f"{kind}s")
    hint = unsupported or suggest(kind, kinds) or f"one of {', '.join(kinds)}"
    message = f"resource: unknown kind {kind!r}"
    return Diagnostic(location=place_at(node, ("resource",)), message=message, hint=hint, code="resource")
