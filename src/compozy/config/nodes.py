"""A YAML file as a tree whose every key and value knows its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

from compozy.config.offsets import decoded_offsets
from compozy.config.scalars import Scalar
from compozy.config.text import SourceText
from compozy.errors import SourceLocation

YamlPath: TypeAlias = tuple[str | int, ...]
"""Keys and list positions that lead to a value, such as `("tasks", 0, "prompt")`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Span:
    """The characters `start` to `end` of a file, in which a scalar is written in `style` ("" is plain)."""

    source: SourceText
    start: int
    end: int
    style: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ScalarNode:
    """Text, a number, true, false or null. `text` is how it is written, without quotes and escapes."""

    value: Scalar
    text: str
    place: SourceLocation
    span: Span | None = None
    variables: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Return whether it is a plain scalar: without quotes, not a block."""
        return self.span is not None and not self.span.style

    def locate(self, offset: int) -> SourceLocation:
        """Return where the character at `offset` of `text` stands in the file, the scalar's own place if unknown."""
        if self.span is None or not self._offsets:
            return self.place
        return self.span.source.place(self._offsets[max(0, min(offset, len(self._offsets) - 1))])

    @cached_property
    def _offsets(self) -> list[int] | None:
        span = self.span
        if span is None:
            return None
        return decoded_offsets(span.source.text, span.start, span.end, style=span.style, expected=self.text)


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceNode:
    """A list."""

    items: tuple[Node, ...]
    place: SourceLocation


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """One `key: value` of a mapping."""

    key: str
    key_place: SourceLocation
    value: Node


@dataclass(frozen=True, kw_only=True, eq=False)
class MappingNode:
    """A map; its keys are text, each occurs once."""

    entries: tuple[Entry, ...]
    place: SourceLocation

    def entry(self, key: str) -> Entry | None:
        """Return the entry of `key`, None when there is none."""
        return next((entry for entry in self.entries if entry.key == key), None)


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def to_value(node: Node) -> Any:
    """Return the JSON value that `node` stands for."""
    if isinstance(node, MappingNode):
        return {entry.key: to_value(entry.value) for entry in node.entries}
    if isinstance(node, SequenceNode):
        return [to_value(item) for item in node.items]
    return node.value


def child(node: Node, step: str | int) -> Node | None:
    """Return the value at one key or index of `node`, None when there is none."""
    if isinstance(node, MappingNode) and isinstance(step, str):
        entry = node.entry(step)
        return entry.value if entry else None
    if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def node_at(node: Node, path: Sequence[str | int]) -> Node | None:
    """Return the node at `path` below `node`, None when there is none."""
    found: Node | None = node
    for step in path:
        found = child(found, step) if found is not None else None
    return found


def text_at(node: Node, *path: str | int) -> str:
    """Return the scalar at `path` as text, "" when there is none."""
    found = node_at(node, path)
    return found.text if isinstance(found, ScalarNode) else ""


def place_at(node: Node, path: Sequence[str | int]) -> SourceLocation:
    """Return the place of the value at `path`, or of the deepest value on the way to it."""
    for step in path:
        below = child(node, step)
        if below is None:
            break
        node = below
    return node.place


def key_place_at(node: Node, path: Sequence[str | int]) -> SourceLocation:
    """Return the place of the last key of `path`; for an index or a missing key, as `place_at`."""
    above = node_at(node, path[:-1]) if path else None
    last = path[-1] if path else None
    if isinstance(above, MappingNode) and isinstance(last, str):
        entry = above.entry(last)
        if entry:
            return entry.key_place
    return place_at(node, path)


def with_entries(node: MappingNode, changes: Mapping[str, Node | None]) -> MappingNode:
    """Return a copy of `node` with other values for some of its keys; None leaves a key out, new keys come last."""
    kept = [
        replace(entry, value=changed) if (changed := changes.get(entry.key)) is not None else entry
        for entry in node.entries
        if entry.key not in changes or changes[entry.key] is not None
    ]
    written = {entry.key for entry in node.entries}
    new = [
        Entry(key=key, key_place=value.place, value=value)
        for key, value in changes.items()
        if value is not None and key not in written
    ]
    return MappingNode(entries=(*kept, *new), place=node.place)


def text_node(text: str, place: SourceLocation) -> ScalarNode:
    """Return text that is not written in a file as it is, at the location that it stands for."""
    return ScalarNode(value=text, text=text, place=place)


def walk_scalars(node: Node, path: YamlPath = ()) -> Iterator[tuple[YamlPath, ScalarNode]]:
    """Yield every scalar below `node` with its path."""
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, MappingNode):
        for entry in node.entries:
            yield from walk_scalars(entry.value, (*path, entry.key))
    else:
        for index, item in enumerate(node.items):
            yield from walk_scalars(item, (*path, index))
