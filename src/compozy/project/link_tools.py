"""Linking of tools: IDs become what they name, and the file of a tool a path from the project's folder."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, text_at, text_node, with_entries
from compozy.project.edition2025.tools import any_arguments
from compozy.project.link_schemas import SchemaLinker
from compozy.tool.config import BUILT_IN_PREFIX
from compozy.tool.kinds.typescript import DEFAULT_EXPORT, is_typescript

# Keys of a shared tool that say nothing about how it is called.
_OF_RESOURCES: dict[str, Node | None] = {"resource": None, "name": None}
# What a definition has and a mere use does not.
_DEFINES = ("run", "http")


@dataclass(frozen=True, kw_only=True)
class ToolLinker:
    """Links the tools of one scope.

    Attributes:
        find: returns the node of a shared tool, or None after it reported that there is none.
        schemas: links their schemas.
        root: the project's folder.
        cwd: folder from which locations name files.
        knows: returns whether there is a shared tool of an ID.
        entrypoint: `runtime.entrypoint` of the project, the file of tools that do not say what to run.
    """

    find: Callable[[ScalarNode], MappingNode | None]
    schemas: SchemaLinker
    root: Path
    cwd: Path
    knows: Callable[[str], bool]
    entrypoint: ScalarNode | None

    def link_in(self, node: MappingNode) -> MappingNode:
        """Return a task or an agent whose `tools` and `tool` are linked."""
        tools, tool = child(node, "tools"), child(node, "tool")
        if isinstance(tools, SequenceNode):
            items = tuple(self._use(item) for item in tools.items)
            node = with_entries(node, {"tools": SequenceNode(items=items, place=tools.place)})
        return with_entries(node, {"tool": self._use(tool)}) if tool is not None else node

    def definition(self, node: MappingNode) -> MappingNode:
        """Return the definition of a tool with linked schemas and a path from the project's folder."""
        node = self.schemas.link_in(node, ("input",), ("output",))
        run = child(node, "run")
        if run is None and self._is_exported(node):
            run = self.entrypoint
            if run is not None and child(node, "input") is None:
                node = with_entries(node, {"input": any_arguments(run)})
        if not isinstance(run, ScalarNode) or not isinstance(run.value, str):
            return node
        file, colon, function = run.text.rpartition(":")
        if not colon and is_typescript(run.text):
            file, function = run.text, DEFAULT_EXPORT
        elif not colon:
            return node
        folder = (self.cwd / run.place.file).parent
        path = os.path.relpath(os.path.normpath(folder / file), self.root)
        return with_entries(node, {"run": text_node(f"{Path(path).as_posix()}:{function}", run.place)})

    def _is_exported(self, node: MappingNode) -> bool:
        """Return whether a tool is one of those that the entrypoint exports."""
        if self.entrypoint is None or text_at(node, "id").startswith(BUILT_IN_PREFIX):
            return False
        return all(child(node, key) is None for key in _DEFINES)

    def _defines(self, node: MappingNode, name: str) -> bool:
        """Return whether an item of `tools` defines a tool; otherwise it names one."""
        if any(child(node, key) is not None for key in _DEFINES):
            return True
        return child(node, "input") is not None and self._is_exported(node) and not self.knows(name)

    def _use(self, node: Node) -> Node:
        """Return what an item of `tools` names, with what the item says over it."""
        named = child(node, "id") if isinstance(node, MappingNode) else node
        if not isinstance(named, ScalarNode) or not isinstance(named.value, str):
            return node
        if isinstance(node, MappingNode) and self._defines(node, named.text):
            return self.definition(node)
        written = {entry.key: entry.value for entry in node.entries} if isinstance(node, MappingNode) else {}
        if named.text.startswith(BUILT_IN_PREFIX):
            return with_entries(MappingNode(entries=(), place=named.place), {"id": named, **written})
        found = self.find(named)
        if found is None:
            # Reported; what is left is enough for the other checks.
            return with_entries(MappingNode(entries=(), place=named.place), {"id": named, **written})
        return with_entries(self.definition(found), {**_OF_RESOURCES, **written})
