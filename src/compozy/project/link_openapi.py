"""Linking of OpenAPI files: a tool with `openapi` becomes one HTTP tool for each operation that it offers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from compozy.config.nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child,
    node_at,
    place_at,
    text_at,
    text_node,
    to_value,
    with_entries,
)
from compozy.config.parse import MAX_BYTES, parse_yaml
from compozy.errors import Diagnostic, SourceLocation
from compozy.nearest import suggest
from compozy.tool.config import TOOL_ID_PATTERN, OpenApiSource
from compozy.tool.openapi import Fixed, Operation, OperationTool, read_operations, tool_of
from compozy.tool.openapi_schema import OpenApiError

MAX_OPERATIONS = 100
"""Tools that one entry can become."""
# Keys of the entry that its tools do not have.
_OF_ENTRY: dict[str, Node | None] = dict.fromkeys(
    ("openapi", "resource", "name", "description", "input", "http", "run")
)


@dataclass(frozen=True, kw_only=True)
class OpenApiLinker:
    """Reads OpenAPI files and reports what is wrong with them, at the entries that name them.

    Attributes:
        root: the project's folder; no file outside of it is read.
        cwd: folder from which locations name files.
        report: receives what is wrong.
    """

    root: Path
    cwd: Path
    report: Callable[[Diagnostic], None]

    def with_map(self, tool: MappingNode) -> MappingNode:
        """Return a tool whose `openapi` is a map also if only the file was written."""
        written = child(tool, "openapi")
        if not isinstance(written, ScalarNode):
            return tool
        source = MappingNode(entries=(Entry(key="file", key_place=written.place, value=written),), place=written.place)
        return with_entries(tool, {"openapi": source})

    def with_choice(self, tool: MappingNode, use: MappingNode) -> MappingNode:
        """Return a shared tool over which a use writes keys; those of `openapi` one by one."""
        tool = self.with_map(tool)
        written, above = child(use, "openapi"), child(tool, "openapi")
        changes: dict[str, Node | None] = {entry.key: entry.value for entry in use.entries}
        if isinstance(written, MappingNode) and isinstance(above, MappingNode):
            changes["openapi"] = with_entries(above, {entry.key: entry.value for entry in written.entries})
        return with_entries(tool, changes)

    def tools_of(self, tool: MappingNode) -> tuple[MappingNode, ...]:
        """Return the HTTP tools that a tool with `openapi` stands for.

        There are none if there are errors, which are reported, and only itself if its keys are wrong, which the
        validation reports.
        """
        tool = self.with_map(tool)
        source = _read_source(tool)
        file = node_at(tool, ("openapi", "file"))
        if source is None or not isinstance(file, ScalarNode):
            return (tool,)
        document = self._read(file)
        if document is None:
            return ()
        chosen = self._choose(tool, file.text, document.operations, source)
        if not 0 < len(chosen) <= MAX_OPERATIONS:
            message = f"openapi: {file.text} offers {len(chosen)} operations; 1 to {MAX_OPERATIONS} can become tools"
            self._fault(file.place, message, "choose them with `include` and `exclude`")
            return ()
        made = (self._tool(tool, file, document, operation, source) for operation in chosen)
        return tuple(each for each in made if each is not None)

    def _choose(
        self, tool: MappingNode, file: str, operations: tuple[Operation, ...], source: OpenApiSource
    ) -> list[Operation]:
        for key in ("include", "exclude"):
            for index, pattern in enumerate(getattr(source, key)):
                if not any(_matches(operation, pattern) for operation in operations):
                    place = place_at(tool, ("openapi", key, index))
                    known = [operation.name for operation in operations]
                    hint = suggest(pattern, known) or f"its operations are {_some(known)}"
                    self._fault(place, f"{key}: {pattern!r} is not an operation of {file}", hint)
        return [
            operation
            for operation in operations
            if (not source.include or any(_matches(operation, pattern) for pattern in source.include))
            and not any(_matches(operation, pattern) for pattern in source.exclude)
        ]

    def _tool(
        self, tool: MappingNode, file: ScalarNode, document: _Document, operation: Operation, source: OpenApiSource
    ) -> MappingNode | None:
        prefix = f"{text_at(tool, 'id')}__" if source.prefix is None else source.prefix
        name = f"{prefix}{operation.name}"
        found = _build(document, operation, json.dumps([source.server, source.headers, source.query]))
        if isinstance(found, OperationTool) and not re.fullmatch(TOOL_ID_PATTERN, name):
            found = f"{name!r} is not the name of a tool; choose another `prefix`"
        if isinstance(found, str):
            message = f"openapi: operation {operation.name!r} of {file.text} cannot be a tool: {found}"
            self._fault(file.place, message, "or leave it out with `exclude`")
            return None
        values = {"description": found.description, "input": found.input, "http": found.http}
        changes = {key: _node_of(value, file.place) for key, value in values.items()}
        return with_entries(with_entries(tool, _OF_ENTRY), {"id": text_node(name, file.place), **changes})

    def _read(self, file: ScalarNode) -> _Document | None:
        """Return a document, None if it cannot be used, which is reported."""
        path = ((self.cwd / file.place.file).parent / file.text).resolve()
        if not path.is_relative_to(self.root.resolve()):
            self._fault(file.place, f"openapi: {file.text} is outside of the project", "copy it into the project")
            return None
        try:
            status = path.stat()
            document = _read_document(path, file.text, status.st_mtime_ns, status.st_size)
        except OSError as error:
            message = f"openapi: the file {file.text} cannot be read: {error.strerror}"
            self._fault(file.place, message, "the path is relative to the file in which the tool is written")
            return None
        for fault in document.faults:
            self.report(fault)
        if document.problem:
            self._fault(file.place, f"openapi: {file.text}: {document.problem}", "name an OpenAPI 3 file")
        return None if document.faults or document.problem else document

    def _fault(self, place: SourceLocation, message: str, hint: str) -> None:
        self.report(Diagnostic(location=place, message=message, hint=hint, code="tool"))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Document:
    """A document: its value and its operations, or what is wrong with it."""

    value: Any = None
    operations: tuple[Operation, ...] = ()
    faults: tuple[Diagnostic, ...] = ()
    problem: str = ""


@lru_cache(maxsize=8)
def _read_document(path: Path, shown: str, _changed_ns: int, _size: int) -> _Document:
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    parsed = parse_yaml(data, file=shown, takes_number_keys=True)
    value = to_value(parsed.node) if parsed.node is not None else None
    if parsed.faults:
        return _Document(faults=parsed.faults)
    try:
        return _Document(value=value, operations=tuple(read_operations(value)))
    except OpenApiError as error:
        return _Document(problem=str(error))


@lru_cache(maxsize=8 * MAX_OPERATIONS)
def _build(document: _Document, operation: Operation, fixed: str) -> OperationTool | str:
    """Return a tool, or why the operation cannot be one. It is asked for once for each task that offers it."""
    server, headers, query = json.loads(fixed)
    try:
        return tool_of(document.value, operation, Fixed(server=server, headers=headers, query=query))
    except OpenApiError as error:
        return str(error)


def _read_source(tool: MappingNode) -> OpenApiSource | None:
    """Return the value of `openapi`, None if it has errors, which the validation of the tool reports."""
    try:
        return OpenApiSource.model_validate(to_value(child(tool, "openapi") or tool))
    except ValidationError:
        return None


def _matches(operation: Operation, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (operation.name, operation.label)) or pattern == operation.label


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _node_of(value: Any, place: SourceLocation) -> Node:
    """Return a value of a document as a node of the entry that names it."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        entries = tuple(Entry(key=key, key_place=place, value=_node_of(item, place)) for key, item in items)
        return MappingNode(entries=entries, place=place)
    if isinstance(value, (list, tuple)):
        return SequenceNode(items=tuple(_node_of(item, place) for item in cast("list[Any]", value)), place=place)
    return ScalarNode(value=value, text="" if value is None else str(value), place=place)
