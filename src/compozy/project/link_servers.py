"""Linking of MCP servers: IDs become what they name, and agents get the servers of their workflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, with_entries

# Keys of a shared server that say nothing about how it is used.
_OF_RESOURCES: dict[str, Node | None] = {"resource": None, "name": None, "description": None}
# What a definition has and a mere use does not.
_DEFINES = ("command", "url", "transport")


@dataclass(frozen=True, kw_only=True)
class ServerLinker:
    """Links the MCP servers of one scope.

    Attributes:
        find: returns the node of a shared server, or None after it reported that it does not exist.
        own: the servers of the workflow, for all its agents.
    """

    find: Callable[[ScalarNode], MappingNode | None]
    own: tuple[MappingNode, ...] = ()

    def link_in(self, node: MappingNode) -> MappingNode:
        """Return a task or an agent whose `mcps` are linked."""
        servers = child(node, "mcps")
        if not isinstance(servers, SequenceNode):
            return node
        items = tuple(self._use(item) for item in servers.items)
        return with_entries(node, {"mcps": SequenceNode(items=items, place=servers.place)})

    def with_own(self, task: MappingNode) -> MappingNode:
        """Return a task that asks a model, with the servers of the workflow if neither it nor its agent names any."""
        agent = child(task, "agent")
        asks = child(task, "prompt") is not None or child(task, "action") is not None
        named = child(task, "mcps") or (child(agent, "mcps") if isinstance(agent, MappingNode) else None)
        if not self.own or not asks or named is not None:
            return task
        items = tuple(with_entries(server, _OF_RESOURCES) for server in self.own)
        return with_entries(task, {"mcps": SequenceNode(items=items, place=task.place)})

    def _use(self, node: Node) -> Node:
        """Return what an item of `mcps` names, with what the item says over it."""
        named = child(node, "id") if isinstance(node, MappingNode) else node
        if not isinstance(named, ScalarNode) or not isinstance(named.value, str):
            return node
        if isinstance(node, MappingNode) and any(child(node, key) is not None for key in _DEFINES):
            return with_entries(node, _OF_RESOURCES)
        written = {entry.key: entry.value for entry in node.entries} if isinstance(node, MappingNode) else {}
        found = self.find(named)
        if found is None:
            # Reported; what is left is enough for the other checks.
            return with_entries(MappingNode(entries=(), place=named.place), {"id": named, **written})
        return with_entries(found, {**_OF_RESOURCES, **written})
