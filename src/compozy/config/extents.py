"""Where the nodes of a YAML file are written in its text, with the comments around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from compozy.config.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from compozy.errors import SourceLocation

_Key = tuple[SourceLocation, type]


class UnsupportedYamlError(Exception):
    """A file cannot be rewritten with its comments kept; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A list or map: the characters from `start` to `end`, and its column relative to that of its key or dash."""

    start: int
    end: int
    is_flow: bool
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A key or the dash of an item, by line and columns from 0; `last_line` is where its value ends."""

    line: int
    column: int
    end_column: int
    last_line: int
    is_flow: bool


@dataclass(kw_only=True)
class Extents:
    """The location of each node in the text; new nodes, which are not written there, are not in it."""

    text: str
    lines: list[str]
    entries: dict[SourceLocation, Entry] = field(default_factory=dict[SourceLocation, Entry])
    keys: dict[SourceLocation, Mark] = field(default_factory=dict[SourceLocation, Mark])
    items: dict[SourceLocation, Node] = field(default_factory=dict[SourceLocation, Node])
    dashes: dict[SourceLocation, Mark] = field(default_factory=dict[SourceLocation, Mark])
    collections: dict[_Key, Collection] = field(default_factory=dict[_Key, Collection])
    nodes: dict[_Key, Node] = field(default_factory=dict[_Key, Node])

    def collection(self, node: Node) -> Collection | None:
        """Return where a list or map is written, None if it is new."""
        return self.collections.get((node.place, type(node)))

    def end(self, node: Node) -> int:
        """Return the index behind a value, without the line breaks that follow it."""
        if isinstance(node, ScalarNode):
            end = node.span.end if node.span is not None else 0
        else:
            end = self.collections[node.place, type(node)].end
        return len(self.text[:end].rstrip("\n"))

    def leading(self, line: int) -> list[str]:
        """Return the comments and blank lines directly above a line."""
        start = line
        while start > 0 and (not self.lines[start - 1].strip() or self.lines[start - 1].lstrip().startswith("#")):
            start -= 1
        return self.lines[start:line]

    def comment_after(self, entry: Entry) -> str:
        """Return the comment behind a value in one line, or behind the key of a longer one, "" for none."""
        key, found = self.keys[entry.key_place], self.collection(entry.value)
        if found is not None and not found.is_flow:
            rest = self.lines[key.line][key.end_column :].partition(":")[2]
        else:
            end = self.end(entry.value)
            rest = self.text[end:].partition("\n")[0]
        return rest.rstrip() if rest.lstrip().startswith("#") else ""

    def is_inside_flow(self, place: SourceLocation) -> bool:
        """Return whether a location is between brackets or braces."""
        at = sum(len(line) + 1 for line in self.lines[: place.line - 1]) + place.col - 1
        return any(found.is_flow and found.start < at < found.end for found in self.collections.values())


def read_extents(text: str, root: MappingNode) -> Extents:
    """Return where the nodes of `root` are written in `text`, whose lines end in line feeds.

    Raises:
        UnsupportedYamlError: it uses anchors, or its layout is an unusual one.
    """
    found = Extents(text=text, lines=text.split("\n"))
    for begin, end, kind, is_flow in _collections(text):
        place = SourceLocation(file=root.place.file, line=begin.line + 1, col=begin.column + 1)
        found.collections[place, kind] = Collection(start=begin.index, end=end, is_flow=is_flow)
    _index(found, root, owner=0)
    return found


def _collections(text: str) -> Iterator[tuple[Any, int, type, bool]]:
    """Yield where each collection begins, the index of its end, its kind, and whether it is in brackets or braces."""
    untyped: Any = yaml
    opened: list[Any] = []
    last = 0
    try:
        for event in untyped.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or (isinstance(event, yaml.NodeEvent) and event.anchor is not None):
                raise UnsupportedYamlError("it uses YAML anchors")
            if isinstance(event, yaml.ScalarEvent):
                last = event.end_mark.index if event.value or event.style else last
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                opened.append(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                first = opened.pop()
                last = event.end_mark.index if first.flow_style else last
                kind = MappingNode if isinstance(event, yaml.MappingEndEvent) else SequenceNode
                yield first.start_mark, last, kind, bool(first.flow_style)
    except yaml.YAMLError as error:
        raise UnsupportedYamlError("its layout is an unusual one") from error


def _index(found: Extents, node: Node, *, owner: int) -> None:
    """Note what is below `node`; `owner` is the column of the key or dash that it belongs to."""
    found.nodes[node.place, type(node)] = node
    if isinstance(node, ScalarNode):
        return
    here = found.collection(node)
    if here is None:
        raise UnsupportedYamlError("its layout is an unusual one")
    column = node.place.col - 1
    found.collections[node.place, type(node)] = Collection(
        start=here.start, end=here.end, is_flow=here.is_flow, offset=column - owner
    )
    if isinstance(node, MappingNode):
        for entry in node.entries:
            place = entry.key_place
            _index(found, entry.value, owner=place.col - 1)
            found.entries[place] = entry
            found.keys[place] = _mark(found, place, entry.value, is_flow=here.is_flow)
        return
    for item in node.items:
        _index(found, item, owner=column)
        found.items[item.place] = item
        if not here.is_flow:
            dash = SourceLocation(file=item.place.file, line=item.place.line, col=node.place.col)
            found.dashes[item.place] = _mark(found, dash, item, is_flow=False)


def _mark(found: Extents, place: SourceLocation, value: Node, *, is_flow: bool) -> Mark:
    line, column = place.line - 1, place.col - 1
    text = found.lines[line][column:]
    quote = text[:1] if text[:1] in {'"', "'"} else ""
    length = text.find(quote, 1) + 1 if quote else len(text.partition(":")[0].rstrip())
    last_line = max(line, found.text.count("\n", 0, found.end(value)))
    return Mark(line=line, column=column, end_column=column + length, last_line=last_line, is_flow=is_flow)
