"""Linking of memories: an item of `memory` becomes the memory that it names, with what the item says over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, with_entries
from compozy.errors import SourceLocation

# Keys of a memory that say nothing about a conversation.
_OF_RESOURCES: dict[str, Node | None] = {"resource": None, "description": None, "version": None}


@dataclass(frozen=True, kw_only=True)
class MemoryLinker:
    """Links the memories of one scope.

    Attributes:
        find: returns the node of a memory, or None after it reported that it does not exist.
        fault: reports what is wrong at a location, with a hint.
    """

    find: Callable[[ScalarNode], MappingNode | None]
    fault: Callable[[SourceLocation, str, str], None]

    def link_in(self, node: MappingNode) -> MappingNode:
        """Return a task or an agent whose `memory` is linked."""
        if child(node, "memory_ref") is not None:
            return self._task(node)
        listed = child(node, "memory")
        if not isinstance(listed, SequenceNode):
            return node
        items = tuple(self._use(item) for item in listed.items)
        return with_entries(node, {"memory": SequenceNode(items=items, place=listed.place)})

    def _task(self, node: MappingNode) -> MappingNode:
        """Return a memory task with the memory that `memory_ref` names."""
        named = child(node, "memory_ref")
        if not isinstance(named, ScalarNode) or not isinstance(named.value, str):
            return node
        found = self.find(named)
        if found is None:
            return node
        memory = with_entries(found, {**_OF_RESOURCES, "id": named})
        if child(node, "key_template") is None and child(memory, "default_key_template") is None:
            hint = "write `key_template: ...` here, or `default_key_template` in the memory"
            self.fault(named.place, f"memory {named.text!r} has no key here", hint)
        return with_entries(node, {"memory": memory})

    def _use(self, node: Node) -> Node:
        named = child(node, "id") if isinstance(node, MappingNode) else node
        if not isinstance(named, ScalarNode) or not isinstance(named.value, str):
            return node
        written = {entry.key: entry.value for entry in node.entries} if isinstance(node, MappingNode) else {}
        found = self.find(named)
        if found is None:
            # Reported; what is left is enough for the other checks.
            return with_entries(MappingNode(entries=(), place=named.place), {"id": named, **written})
        linked = with_entries(found, {**_OF_RESOURCES, **written})
        if child(linked, "key") is None and child(linked, "default_key_template") is None:
            hint = "write `key: ...` here, or `default_key_template` in the memory"
            self.fault(named.place, f"memory {named.text!r} has no key here", hint)
        return linked
