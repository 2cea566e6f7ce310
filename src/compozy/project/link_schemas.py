"""Shared JSON Schemas: an ID, and a `$ref` to an ID or a file, become the schema itself.

A run keeps its schemas with it, so what a `$ref` names is copied into `$defs` of the schema that names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from compozy.config.nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    YamlPath,
    child,
    text_node,
    with_entries,
)
from compozy.config.parse import read_yaml
from compozy.errors import Diagnostic, SourceLocation
from compozy.nearest import suggest
from compozy.project.resource_kinds import SCHEMA
from compozy.project.resources import ResourceScope

_FILE_SUFFIXES = (".yaml", ".yml", ".json")
_OF_RESOURCES = {"id": None, "resource": None}
_DEFINITIONS = "$defs"


@dataclass(kw_only=True)
class SchemaLinker:
    """Replaces references to shared schemas in one scope.

    Attributes:
        scope: the resources that can be named.
        root: the project's folder; no file outside it is read.
        cwd: folder from which locations name files.
        faults: receives what is wrong.
        files: receives the files, as locations name them, whose content was copied.
    """

    scope: ResourceScope
    root: Path
    cwd: Path
    faults: list[Diagnostic]
    files: set[str] = field(default_factory=set[str])

    def link(self, node: Node) -> Node:
        """Return the schema that `node` stands for: itself, or the one that its ID names."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            found = self._by_id(node.value, node.place)
            if found is None:
                return MappingNode(entries=(), place=node.place)
            node = found
        return self._with_definitions(node) if isinstance(node, MappingNode) else node

    def link_in(self, node: MappingNode, *paths: YamlPath) -> MappingNode:
        """Return `node` with the schemas at `paths` linked."""
        for key, *rest in paths:
            value = child(node, key)
            if not isinstance(key, str) or value is None:
                continue
            below = self.link_in(value, tuple(rest)) if rest and isinstance(value, MappingNode) else value
            node = with_entries(node, {key: below if rest else self.link(value)})
        return node

    def _with_definitions(self, node: MappingNode) -> MappingNode:
        if not any(_outside_references(node)):
            return node
        definitions: dict[str, Node] = {}
        linked = self._copy(node, "#", definitions)
        written = child(node, _DEFINITIONS)
        entries = written.entries if isinstance(written, MappingNode) else ()
        new = [Entry(key=key, key_place=value.place, value=value) for key, value in definitions.items()]
        merged = MappingNode(entries=(*entries, *new), place=node.place)
        assert isinstance(linked, MappingNode)  # noqa: S101 - a copy keeps the shape
        return with_entries(linked, {_DEFINITIONS: merged})

    def _copy(self, node: Node, own_root: str, definitions: dict[str, Node]) -> Node:
        """Return `node`, whose own references count from `own_root`, with all references leading into the new root."""
        if isinstance(node, SequenceNode):
            items = tuple(self._copy(item, own_root, definitions) for item in node.items)
            return SequenceNode(items=items, place=node.place)
        if not isinstance(node, MappingNode):
            return node
        entries: list[Entry] = []
        for entry in node.entries:
            value = entry.value
            if entry.key == "$ref" and isinstance(value, ScalarNode) and isinstance(value.value, str):
                value = self._target(value, own_root, definitions)
            else:
                value = self._copy(value, own_root, definitions)
            entries.append(Entry(key=entry.key, key_place=entry.key_place, value=value))
        return MappingNode(entries=tuple(entries), place=node.place)

    def _target(self, reference: ScalarNode, own_root: str, definitions: dict[str, Node]) -> Node:
        base, _, fragment = reference.text.partition("#")
        if not base:
            return text_node(own_root + fragment, reference.place) if own_root != "#" else reference
        if "://" in base:
            return reference
        name = base.replace("~", "-").replace("/", "-").strip(".-")
        if name not in definitions:
            definitions[name] = MappingNode(entries=(), place=reference.place)
            found = self._by_id(base, reference.place)
            if found is not None:
                definitions[name] = self._copy(found, f"#/{_DEFINITIONS}/{name}", definitions)
        return text_node(f"#/{_DEFINITIONS}/{name}{fragment}", reference.place)

    def _by_id(self, text: str, place: SourceLocation) -> MappingNode | None:
        if text.endswith(_FILE_SUFFIXES):
            return self._read_file(text, place)
        found = self.scope.find(SCHEMA, text)
        if found is None:
            hint = suggest(text, self.scope.ids(SCHEMA)) or "define it in `schemas/*.yaml` or under `schemas`"
            self.faults.append(
                Diagnostic(location=place, message=f"unknown schema {text!r}", hint=hint, code="reference")
            )
            return None
        self.files.add(found.node.place.file)
        return with_entries(found.node, _OF_RESOURCES)

    def _read_file(self, text: str, place: SourceLocation) -> MappingNode | None:
        path = ((self.cwd / place.file).parent / text).resolve()
        if not path.is_relative_to(self.root.resolve()):
            self._fault(place, f"schema file {text!r} is outside the project's folder", "copy it into the folder")
            return None
        if not path.is_file():
            self._fault(place, f"schema file {text!r} not found", "the path is relative to the file that names it")
            return None
        root = self.cwd if path.is_relative_to(self.cwd) else Path()
        name = path.relative_to(root).as_posix() if root != Path() else str(path)
        parsed = read_yaml(path, file=name)
        self.faults += parsed.faults
        self.files.add(name)
        if not isinstance(parsed.node, MappingNode):
            if not parsed.faults:
                self._fault(SourceLocation(file=name), "expected a JSON Schema, a map", "")
            return None
        return with_entries(parsed.node, _OF_RESOURCES)

    def _fault(self, place: SourceLocation, message: str, hint: str) -> None:
        self.faults.append(Diagnostic(location=place, message=message, hint=hint, code="reference"))


def _outside_references(node: Node) -> Iterator[str]:
    """Yield the references below `node` that do not lead into the schema itself."""
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from _outside_references(item)
    if not isinstance(node, MappingNode):
        return
    for entry in node.entries:
        value = entry.value
        if entry.key == "$ref" and isinstance(value, ScalarNode) and isinstance(value.value, str):
            if not value.text.startswith("#") and "://" not in value.text:
                yield value.text
        else:
            yield from _outside_references(value)
