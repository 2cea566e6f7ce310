"""Linking of MCP servers: IDs become what they name, and agents get the servers of their workflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, text_at, with_entries
from compozy.project.resource_kinds import MCP, TOOL
from compozy.project.resources import ResourceScope

# Keys of a shared server that say nothing about how it is used.
_OF_RESOURCES: dict[str, Node | None] = {"resource": None, "name": None, "description": None}
# Keys that a definition has and a mere use does not.
_DEFINES = ("command", "url", "transport")


@dataclass(frozen=True, kw_only=True)
class ServerLinker:
    """Links the MCP servers of one scope.

    Attributes:
        find: returns the node of a shared server, or None after it reported that it does not exist.
        scope: the resources that can be named.
        own: the servers of the workflow, for all its agents.
    """

    find: Callable[[ScalarNode], MappingNode | None]
    scope: ResourceScope
    own: tuple[MappingNode, ...] = ()

    def link_in(self, node: MappingNode) -> MappingNode:
        """Return a task or an agent whose `mcps` are linked."""
        servers = child(node, "mcps")
        if not isinstance(servers, SequenceNode):
            return node
        items = tuple(self._use(item) for item in servers.items)
        return with_entries(node, {"mcps": SequenceNode(items=items, place=servers.place)})

    def with_tool(self, task: MappingNode) -> MappingNode:
        """Return a task whose `tool` is one of an MCP server with that server; other tasks are returned unchanged."""
        tool = child(task, "tool")
        if not isinstance(tool, ScalarNode) or not isinstance(tool.value, str) or self.scope.find(TOOL, tool.text):
            return task
        servers = [found.node for found in self.scope.by_kind.get(MCP.name, {}).values()]
        names = (child(server, "id") for server in servers if tool.text.startswith(prefix_of(server)))
        name = next((name for name in names if isinstance(name, ScalarNode)), None)
        if name is None:
            return task
        named = child(task, "mcps") or SequenceNode(items=(replace(name, place=tool.place),), place=tool.place)
        single = with_entries(MappingNode(entries=(), place=tool.place), {"id": tool})
        return with_entries(task, {"tool": single, "mcps": named})

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


def prefix_of(server: MappingNode) -> str:
    """Return what the names of the tools of a server begin with."""
    return text_at(server, "prefix") or f"{text_at(server, 'id')}__"


def prefixes_in(node: MappingNode) -> tuple[str, ...]:
    """Return what the names of the tools of the MCP servers of an agent or a task begin with."""
    servers = child(node, "mcps")
    items = servers.items if isinstance(servers, SequenceNode) else ()
    return tuple(prefix_of(server) for server in items if isinstance(server, MappingNode))


def is_tool_of_server(task: MappingNode) -> bool:
    """Return whether the `tool` of a task is one of its MCP servers, which only the server knows."""
    tool = child(task, "tool")
    is_bare = isinstance(tool, MappingNode) and len(tool.entries) == 1
    return is_bare and text_at(task, "tool", "id").startswith(prefixes_in(task))
