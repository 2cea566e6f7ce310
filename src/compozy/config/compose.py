"""The parser's events become nodes: duplicate keys, odd keys, tags, aliases, merge keys and limits are checked here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import yaml

from compozy.config.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode, Span
from compozy.config.scalars import Scalar, resolve_plain
from compozy.config.text import SourceText
from compozy.errors import Diagnostic, SourceLocation

MAX_DEPTH = 100
MAX_NODES = 200_000
MAX_ALIASED_NODES = 50_000

_PREFIX = "tag:yaml.org,2002:"
_SCALAR_TAGS: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "null": type(None),
}


class LimitReachedError(Exception):
    """The rest of the file is not read; its diagnostic is already recorded."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Anchor:
    node: Node
    count: int
    height: int


class Composer:
    """Builds the nodes of one document from `events`; `faults` collects what is wrong on the way."""

    def __init__(self, source: SourceText, events: Iterator[yaml.Event], *, takes_number_keys: bool = False) -> None:
        self.faults: list[Diagnostic] = []
        self._source = source
        self._events = events
        self._takes_number_keys = takes_number_keys
        self._anchors: dict[str, _Anchor | None] = {}
        self._count = 0
        self._aliased = 0
        self._height = 0  # of the node that was composed last

    def compose_document(self) -> Node | None:
        """Return the root of the first document, None when there is none or a limit is reached."""
        root: Node | None = None
        documents = 0
        try:
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._fault(event, "a second document starts here", "one file holds one document")
                        break
                elif isinstance(event, yaml.NodeEvent):
                    root = self._compose(event, depth=1)
        except LimitReachedError:
            return None
        return root

    def _compose(self, event: yaml.Event, depth: int) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            self._stop(event, f"the file holds more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._resolve_alias(event, depth)
        anchor = event.anchor if isinstance(event, yaml.NodeEvent) else None
        if anchor is not None:
            self._anchors[anchor] = None  # known, but not complete yet
        first = self._count
        node = self._compose_content(event, depth)
        if anchor is not None:
            self._anchors[anchor] = _Anchor(node=node, count=self._count - first + 1, height=self._height)
        return node

    def _compose_content(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            return self._compose_sequence(event, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._compose_mapping(event, depth)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101 - a node event has no other kinds
        self._height = 1
        return self._compose_scalar(event)

    def _resolve_alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        name = str(event.anchor)
        if name not in self._anchors:
            hint = "an unquoted value that starts with `*` repeats the value marked `&...`; put text in quotes"
            self._stop(event, f"nothing is marked &{name}", hint)
        anchor = self._anchors[name]
        if anchor is None:
            self._stop(event, f"*{name} stands inside the value that it repeats")
        self._aliased += anchor.count
        self._count += anchor.count
        if self._aliased > MAX_ALIASED_NODES:
            self._stop(event, f"aliases repeat more than {MAX_ALIASED_NODES} values")
        if depth + anchor.height > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        self._height = anchor.height
        return anchor.node

    def _compose_sequence(self, event: yaml.SequenceStartEvent, depth: int) -> SequenceNode:
        self._check_collection_tag(event, "seq")
        items: list[Node] = []
        height = 0
        for item in self._events:
            if isinstance(item, yaml.SequenceEndEvent):
                break
            items.append(self._compose(item, depth + 1))
            height = max(height, self._height)
        self._height = height + 1
        return SequenceNode(items=tuple(items), place=self._place(event))

    def _compose_mapping(self, event: yaml.MappingStartEvent, depth: int) -> MappingNode:
        self._check_collection_tag(event, "map")
        entries: dict[str, Entry] = {}
        merged: list[Entry] = []
        height = 0
        for key_event in self._events:
            if isinstance(key_event, yaml.MappingEndEvent):
                break
            key = self._compose(key_event, depth + 1)
            value = self._compose(next(self._events), depth + 1)
            height = max(height, self._height)
            if isinstance(key, ScalarNode) and key.is_plain and key.text == "<<":
                merged.extend(self._merged_entries(value))
            else:
                self._add_entry(entries, key, key_event, value)
        for entry in merged:
            entries.setdefault(entry.key, entry)
        self._height = height + 1
        return MappingNode(entries=tuple(entries.values()), place=self._place(event))

    def _add_entry(self, entries: dict[str, Entry], key: Node, key_event: yaml.Event, value: Node) -> None:
        place = self._place(key_event)
        text = key.value if isinstance(key, ScalarNode) else None
        if isinstance(text, bool):
            # The routes of a router, which a condition that is true or false chooses from.
            text = "true" if text else "false"
        elif isinstance(key, ScalarNode) and isinstance(text, int | float) and self._takes_number_keys:
            text = key.text
        if not isinstance(text, str):
            self.faults.append(self._odd_key_fault(key, place))
        elif text in entries:
            line = entries[text].key_place.line
            message = f"duplicate key {text!r}, first in line {line}"
            self.faults.append(Diagnostic(location=place, message=message, code="yaml"))
        else:
            entries[text] = Entry(key=text, key_place=place, value=value)

    def _odd_key_fault(self, key: Node, place: SourceLocation) -> Diagnostic:
        if isinstance(key, ScalarNode):
            message, hint = f"a key must be text, got {key.text or 'nothing'}", f'write "{key.text}" in quotes'
        elif isinstance(key, MappingNode):
            message = "a key must be text, got a map"
            hint = 'a value that starts with `{{` needs quotes: "{{ ... }}"'
        else:
            message, hint = "a key must be text, got a list", ""
        return Diagnostic(location=place, message=message, hint=hint, code="yaml")

    def _merged_entries(self, value: Node) -> list[Entry]:
        sources = value.items if isinstance(value, SequenceNode) else (value,)
        entries: list[Entry] = []
        for source in sources:
            if not isinstance(source, MappingNode):
                message = "`<<` takes a map, or a list of maps"
                self.faults.append(Diagnostic(location=source.place, message=message, code="yaml"))
                continue
            entries.extend(source.entries)
        return entries

    def _compose_scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        text, style = event.value, event.style or ""
        return ScalarNode(
            value=self._resolve(event, text, style),
            text=text,
            place=self._place(event),
            span=Span(source=self._source, start=event.start_mark.index, end=event.end_mark.index, style=style),
        )

    def _resolve(self, event: yaml.ScalarEvent, text: str, style: str) -> Scalar:
        tag = event.tag
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._fault(event, "an escape names half a character", "write the character itself")
        if tag is None and style:
            return text
        if tag in {"!", _PREFIX + "str"}:
            return text
        try:
            value = resolve_plain(text)
        except ValueError:
            self._fault(event, f"{text[:40]} is not a number that can be stored", "put it in quotes if it is text")
            return text
        if tag is not None:
            self._check_scalar_tag(event, value)
        return value

    def _check_scalar_tag(self, event: yaml.ScalarEvent, value: Scalar) -> None:
        name = str(event.tag).removeprefix(_PREFIX)
        expected = _SCALAR_TAGS.get(name)
        if expected is None or not str(event.tag).startswith(_PREFIX):
            self._fault(event, f"unknown tag {_shown_tag(str(event.tag))}", "leave the tag out")
        elif not isinstance(value, expected) or (isinstance(value, bool) and name != "bool"):
            self._fault(event, f"{event.value!r} does not match its tag !!{name}")

    def _check_collection_tag(self, event: yaml.CollectionStartEvent, name: str) -> None:
        if event.tag not in {None, "!", _PREFIX + name}:
            self._fault(event, f"unknown tag {_shown_tag(str(event.tag))}", "leave the tag out")

    def _place(self, event: yaml.Event) -> SourceLocation:
        return self._source.place(event.start_mark.index)

    def _fault(self, event: yaml.Event, message: str, hint: str = "") -> None:
        self.faults.append(Diagnostic(location=self._place(event), message=message, hint=hint, code="yaml"))

    def _stop(self, event: yaml.Event, message: str, hint: str = "") -> NoReturn:
        self._fault(event, message, hint)
        raise LimitReachedError(message)


def _shown_tag(tag: str) -> str:
    return "!!" + tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else tag
