"""Linking of what built-in tools can call: `sub_agents` of agents and tasks, and the tasks and workflows of tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, text_at, text_node, with_entries
from compozy.errors import SourceLocation
from compozy.tool.built_in.specs import AGENT_TOOLS

MAX_DEPTH = 5
"""How many agents can ask one another in a row."""
_CALL_AGENT = "cp__call_agent"
# Keys of shared agents and tasks that no call reads.
_OF_RESOURCES: dict[str, Node | None] = {"resource": None, "version": None}


@dataclass(kw_only=True)
class CallLinker:
    """Links what can be called.

    Attributes:
        agent: returns the linked agent that a node names or defines, None if there is none.
        task: returns the linked shared task that a node names, None if there is none.
        workflow: returns the linked workflow that a node names, None if there is none.
        fault: reports what is wrong at a location, with a hint.
    """

    agent: Callable[[Node], MappingNode | None]
    task: Callable[[Node], MappingNode | None]
    workflow: Callable[[Node], MappingNode | None]
    fault: Callable[[SourceLocation, str, str], None]
    _calling: list[str] = field(default_factory=list[str])

    def link_in(self, node: MappingNode) -> MappingNode:
        """Return an agent or a task whose tools hold the agents and tasks that they can call."""
        sub_agents, tools = child(node, "sub_agents"), child(node, "tools")
        if sub_agents is not None and not isinstance(sub_agents, SequenceNode):
            return node
        if tools is not None and not isinstance(tools, SequenceNode):
            return node
        agents = self._targets(sub_agents, self._agent) if sub_agents is not None else None
        items = [self._tool(item, agents) for item in tools.items] if tools is not None else []
        names = {text_at(item, "id") for item in items if isinstance(item, MappingNode)}
        if agents is not None and agents.items and not names & {_CALL_AGENT, "cp__call_agents"}:
            call = MappingNode(entries=(), place=agents.place)
            items.append(with_entries(call, {"id": text_node(_CALL_AGENT, agents.place), "agents": agents}))
        if not items:
            return with_entries(node, {"sub_agents": None})
        place = tools.place if tools is not None else items[0].place
        return with_entries(node, {"tools": SequenceNode(items=tuple(items), place=place), "sub_agents": None})

    def _tool(self, tool: Node, agents: SequenceNode | None) -> Node:
        if not isinstance(tool, MappingNode):
            return tool
        changes: dict[str, Node | None] = {}
        for key, link in (("agents", self._agent), ("tasks", self.task), ("workflows", self.workflow)):
            listed = child(tool, key)
            if isinstance(listed, SequenceNode):
                changes[key] = self._targets(listed, link)
        if agents is not None and text_at(tool, "id") in AGENT_TOOLS and child(tool, "agents") is None:
            changes["agents"] = agents
        return with_entries(tool, changes)

    def _targets(self, listed: SequenceNode, link: Callable[[Node], MappingNode | None]) -> SequenceNode:
        return replace(listed, items=tuple(self._target(item, link) for item in listed.items))

    def _target(self, item: Node, link: Callable[[Node], MappingNode | None]) -> MappingNode:
        found = link(item)
        if found is not None:
            return with_entries(found, _OF_RESOURCES)
        # Reported; what is left is enough for the other checks.
        nothing = MappingNode(entries=(), place=item.place)
        return with_entries(nothing, {"id": item}) if isinstance(item, ScalarNode) else nothing

    def _agent(self, node: Node) -> MappingNode | None:
        name = node.text if isinstance(node, ScalarNode) else ""
        if name in self._calling:
            circle = [*self._calling[self._calling.index(name) :], name]
            # Once per circle, though each of its agents leads into it.
            if name == min(circle):
                message = f"sub_agents: these agents ask one another in a circle: {' -> '.join(circle)}"
                self.fault(node.place, message, "remove one of them")
            return None
        if len(self._calling) >= MAX_DEPTH:
            chain = " -> ".join([*self._calling, name])
            message = f"sub_agents: more than {MAX_DEPTH} agents in a row: {chain}"
            self.fault(node.place, message, "let fewer agents ask others")
            return None
        self._calling.append(name)
        try:
            return self.agent(node)
        finally:
            self._calling.pop()
