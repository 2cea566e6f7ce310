"""Linking of tools: IDs become what they name, and the file of a tool a path from the project's folder."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from compozy.config.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child,
    place_at,
    text_at,
    text_node,
    with_entries,
)
from compozy.errors import SourceLocation
from compozy.nearest import suggest
from compozy.project.edition2025.tools import any_arguments
from compozy.project.link_openapi import OpenApiLinker
from compozy.project.link_schemas import SchemaLinker
from compozy.project.link_servers import is_tool_of_server
from compozy.tool.config import BUILT_IN_PREFIX
from compozy.tool.kinds.typescript import DEFAULT_EXPORT, is_typescript

# Keys of a shared tool that say nothing about how it is called.
_OF_RESOURCES: dict[str, Node | None] = {"resource": None, "name": None}
# Keys that a definition has and a mere use does not.
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
        shared: returns the nodes of all shared tools.
        entrypoint: `runtime.entrypoint` of the project, the file of tools that do not say what to run.
        openapi: reads OpenAPI files.
        fault: reports what is wrong.
    """

    find: Callable[[ScalarNode], MappingNode | None]
    schemas: SchemaLinker
    root: Path
    cwd: Path
    knows: Callable[[str], bool]
    shared: Callable[[], Iterable[MappingNode]]
    entrypoint: ScalarNode | None
    openapi: OpenApiLinker
    fault: Callable[[SourceLocation, str, str], None]

    def link_in(self, node: MappingNode) -> MappingNode:
        """Return a task or an agent whose `tools` and `tool` are linked."""
        tools, tool = child(node, "tools"), child(node, "tool")
        if isinstance(tools, SequenceNode):
            items = tuple(tool for item in tools.items for tool in self._use(item))
            node = with_entries(node, {"tools": SequenceNode(items=items, place=tools.place)})
        if tool is None or is_tool_of_server(node):
            return node
        return with_entries(node, {"tool": self._use_one(tool)})

    def definition(self, node: MappingNode) -> MappingNode:
        """Return the definition of a tool with linked schemas and a path from the project's folder."""
        if child(node, "openapi") is not None:
            self.openapi.tools_of(node)
            return self.openapi.with_map(node)
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
        return all(child(node, key) is None for key in (*_DEFINES, "openapi"))

    def _defines(self, node: MappingNode, name: str) -> bool:
        """Return whether an item of `tools` defines a tool; otherwise it names one."""
        if any(child(node, key) is not None for key in _DEFINES):
            return True
        source = child(node, "openapi")
        if isinstance(source, ScalarNode) or (isinstance(source, MappingNode) and child(source, "file") is not None):
            return True
        return child(node, "input") is not None and self._is_exported(node) and not self.knows(name)

    def _use_one(self, node: Node) -> Node:
        """Return the one tool that `tool` of a task names."""
        tools = self._use(node)
        if len(tools) != 1:
            place = place_at(node, ("id",)) if isinstance(node, MappingNode) else node.place
            names = ", ".join(text_at(tool, "id") for tool in tools if isinstance(tool, MappingNode))
            if tools:
                self.fault(place, "this names more than one tool", f"name one of {names}")
            return MappingNode(entries=(), place=place)
        return tools[0]

    def _use(self, node: Node) -> tuple[Node, ...]:
        """Return what an item of `tools` names, with what it says over it: a tool, or those of an OpenAPI file."""
        named = child(node, "id") if isinstance(node, MappingNode) else node
        if not isinstance(named, ScalarNode) or not isinstance(named.value, str):
            return (node,)
        if isinstance(node, MappingNode) and self._defines(node, named.text):
            return self._tools_of(node)
        written = {entry.key: entry.value for entry in node.entries} if isinstance(node, MappingNode) else {}
        # Enough for the other checks where an unknown ID is reported.
        bare = with_entries(MappingNode(entries=(), place=named.place), {"id": named, **written})
        found = self._named(named) if not named.text.startswith(BUILT_IN_PREFIX) else None
        if found is None:
            return (bare,)
        if child(found, "openapi") is None:
            return (with_entries(self.definition(found), {**_OF_RESOURCES, **written}),)
        return self.openapi.tools_of(self.openapi.with_choice(found, bare))

    def _named(self, named: ScalarNode) -> MappingNode | None:
        """Return the shared tool or the operation with this ID, or None after it was reported that there is none."""
        if self.knows(named.text):
            return self.find(named)
        operations = self._operations()
        if named.text in operations:
            return operations[named.text]
        hint = suggest(named.text, operations)
        if not hint:
            return self.find(named)
        self.fault(named.place, f"unknown tool {named.text!r}", hint)
        return None

    def _tools_of(self, node: MappingNode) -> tuple[MappingNode, ...]:
        return self.openapi.tools_of(node) if child(node, "openapi") is not None else (self.definition(node),)

    def _operations(self) -> dict[str, MappingNode]:
        """Return the tools of all shared OpenAPI files by name."""
        sources = (tool for tool in self.shared() if child(tool, "openapi") is not None)
        return {text_at(tool, "id"): tool for source in sources for tool in self.openapi.tools_of(source)}
