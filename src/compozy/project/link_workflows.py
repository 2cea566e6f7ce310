"""Linking of workflows that tasks and tools call: each is linked with its own agents, tools and schemas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from compozy.config.nodes import MappingNode, ScalarNode
from compozy.errors import SourceLocation
from compozy.nearest import suggest

MAX_DEPTH = 5
"""How many workflows can call one another in a row."""

Fault = Callable[[SourceLocation, str, str], None]


@dataclass(kw_only=True)
class WorkflowLinker:
    """Links workflows by ID.

    Attributes:
        nodes: the workflows of the project, not linked.
        link: links one, and returns it with the files that it names.
    """

    nodes: Mapping[str, MappingNode]
    link: Callable[[MappingNode], tuple[MappingNode, frozenset[str]]]
    _calling: list[str] = field(default_factory=list[str])

    def find(self, name: ScalarNode, fault: Fault) -> tuple[MappingNode, frozenset[str]] | None:
        """Return the workflow that is called, linked; None after a report that it cannot be called."""
        node = self.nodes.get(name.text)
        if node is None:
            fault(name.place, f"unknown workflow {name.text!r}", suggest(name.text, self.nodes))
            return None
        if name.text in self._calling:
            circle = [*self._calling[self._calling.index(name.text) :], name.text]
            if name.text == min(circle):
                fault(
                    name.place,
                    f"these workflows call one another in a circle: {' -> '.join(circle)}",
                    "remove one call",
                )
            return None
        if len(self._calling) >= MAX_DEPTH:
            chain = " -> ".join([*self._calling, name.text])
            fault(name.place, f"more than {MAX_DEPTH} workflows call one another in a row: {chain}", "call fewer")
            return None
        self._calling.append(name.text)
        try:
            return self.link(node)
        finally:
            self._calling.pop()
