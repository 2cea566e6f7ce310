"""A changed tree of nodes as YAML text: comments, quotes and everything that stays the same are kept as written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from compozy.config.extents import Extents, UnsupportedYamlError, read_extents
from compozy.config.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode, to_value
from compozy.config.parse import parse_yaml
from compozy.config.scalars import resolve_plain
from compozy.errors import SourceLocation

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
_COMMENT = re.compile(r"(?:^|\s)#", re.MULTILINE)
_BLOCKS = frozenset({"|", ">"})
_STEP = 2


def rewrite_yaml(text: str, original: MappingNode, changed: MappingNode) -> str:
    """Return `text`, which was parsed as `original`, so that it says what `changed` says.

    Raises:
        UnsupportedYamlError: the file uses anchors, or comments stand where they cannot be kept.
    """
    if is_same(original, changed):
        return text
    plain = text.replace("\r\n", "\n")
    rewritten = _Writer(read_extents(plain, original)).document(original, changed)
    parsed = parse_yaml(rewritten.encode(), file="")
    if parsed.faults or parsed.node is None or to_value(parsed.node) != to_value(changed):
        raise UnsupportedYamlError("its layout is an unusual one")
    return rewritten.replace("\n", "\r\n") if plain != text else rewritten


def is_same(first: Node, second: Node) -> bool:
    """Return whether two trees stand for the same text."""
    if first is second:
        return True
    if first.place != second.place:
        return False
    if isinstance(first, MappingNode) and isinstance(second, MappingNode):
        return len(first.entries) == len(second.entries) and all(
            a.key == b.key and a.key_place == b.key_place and is_same(a.value, b.value)
            for a, b in zip(first.entries, second.entries, strict=True)
        )
    if isinstance(first, SequenceNode) and isinstance(second, SequenceNode):
        return len(first.items) == len(second.items) and all(map(is_same, first.items, second.items))
    return False


@dataclass(frozen=True)
class _Writer:
    source: Extents

    def document(self, original: MappingNode, changed: MappingNode) -> str:
        first, last = original.entries[0], original.entries[-1]
        head = self.source.lines[: self.source.keys[first.key_place].line]
        tail = self.source.lines[self.source.keys[last.key_place].last_line + 1 :]
        # Comments above the first key belong to the head of the file.
        body = self._mapping(changed, 0, original, without_leading=first.key_place)
        return "\n".join([*head, *body, *tail])

    def _mapping(
        self, node: MappingNode, indent: int, original: MappingNode | None, *, without_leading: object = None
    ) -> Iterator[str]:
        """Yield the lines of a map whose keys stand at `indent`; `original` is what is written in its place."""
        gone = _gone(node, original)
        for entry in sorted(node.entries, key=lambda entry: entry.key_place):
            heir_of = next((each for each in gone if self._holds(each, entry.key_place)), None)
            if heir_of is not None:
                # The first key that comes from there takes over the comments.
                gone.remove(heir_of)
                if heir_of.key_place != without_leading:
                    yield from self._leading(heir_of.key_place, indent)
            yield from self._entry(entry, indent, with_leading=entry.key_place != without_leading)

    def _holds(self, entry: Entry, place: SourceLocation) -> bool:
        return entry.key_place <= place and place.line - 1 <= self.source.keys[entry.key_place].last_line

    def _leading(self, place: SourceLocation, indent: int) -> Iterator[str]:
        key = self.source.keys[place]
        if not key.is_flow and not self.source.lines[key.line][: key.column].strip():
            yield from _shifted(self.source.leading(key.line), indent - key.column)

    def _entry(self, entry: Entry, indent: int, *, with_leading: bool) -> Iterator[str]:
        written, key = self.source.entries.get(entry.key_place), self.source.keys.get(entry.key_place)
        is_new = entry.key_place == entry.value.place
        if written is None or key is None or key.is_flow or is_new:
            yield from self._value(_quoted(entry.key), entry.value, None, indent, "")
            return
        if with_leading:
            yield from self._leading(entry.key_place, indent)
        line = self.source.lines[key.line]
        name = line[key.column : key.end_column] if entry.key == written.key else _quoted(entry.key)
        if not is_same(written.value, entry.value):
            comment = self.source.comment_after(written)
            yield from self._value(name, entry.value, written.value, indent, comment)
            return
        yield " " * indent + name + line[key.end_column :]
        yield from _shifted(self.source.lines[key.line + 1 : key.last_line + 1], indent - key.column)

    def _value(self, name: str, value: Node, written: Node | None, indent: int, comment: str) -> Iterator[str]:
        """Yield `name: value`; `written` is the value that the key had, None for a new key."""
        head = " " * indent + name + ":"
        if not self._is_block(value):
            yield from self._text(f"{head} ", value, indent, comment)
            return
        yield head + comment
        found = self.source.collection(value)
        below = indent + (found.offset if found is not None else _STEP)
        yield from self._block(value, below if isinstance(value, SequenceNode) else max(below, indent + 1), written)

    def _block(self, value: Node, indent: int, written: Node | None) -> Iterator[str]:
        if isinstance(value, MappingNode):
            is_own = isinstance(written, MappingNode) and written.place == value.place
            yield from self._mapping(value, indent, written if is_own and isinstance(written, MappingNode) else None)
        elif isinstance(value, SequenceNode):
            for item in value.items:
                yield from self._item(item, indent)

    def _item(self, item: Node, indent: int) -> Iterator[str]:
        written, dash = self.source.items.get(item.place), self.source.dashes.get(item.place)
        if dash is not None:
            yield from _shifted(self.source.leading(dash.line), indent - dash.column)
        if written is not None and dash is not None and is_same(written, item):
            yield from _shifted(self.source.lines[dash.line : dash.last_line + 1], indent - dash.column)
        elif not self._is_block(item):
            yield from self._text(f"{' ' * indent}- ", item, indent, "")
        else:
            offset = _STEP if dash is None else max(_STEP, item.place.col - 1 - dash.column)
            lines = list(self._block(item, indent + offset, written))
            # Comments of a first key that is new in its place.
            while lines[0].lstrip().startswith("#") or not lines[0].strip():
                yield lines.pop(0)
            yield f"{' ' * indent}-{' ' * (offset - 1)}{lines[0][indent + offset :]}"
            yield from lines[1:]

    def _text(self, head: str, value: Node, indent: int, comment: str) -> Iterator[str]:
        """Yield a scalar, or a collection in brackets or braces, behind `head`."""
        if not isinstance(value, ScalarNode) or value.span is None or value.span.style not in _BLOCKS:
            yield head + self._flow(value) + comment
            return
        first, *rest = self.source.text[value.span.start : value.span.end].rstrip("\n").split("\n")
        least = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
        yield head + first
        yield from _shifted(rest, indent + _STEP - least)

    def _flow(self, node: Node) -> str:
        if isinstance(node, ScalarNode):
            if node.span is None or node.span.style in _BLOCKS:
                return _quoted(node.text) if isinstance(node.value, str) else node.text
            return self.source.text[node.span.start : node.span.end]
        found = self.source.collection(node)
        written = self.source.text[found.start : found.end] if found is not None and found.is_flow else ""
        if written and is_same(self.source.nodes[node.place, type(node)], node):
            return written
        if "\n" in written and _COMMENT.search(written):
            raise UnsupportedYamlError("comments stand inside of brackets or braces")
        space = " " if written[1:2] == " " else ""
        if isinstance(node, MappingNode):
            inside = ", ".join(f"{_quoted(entry.key)}: {self._flow(entry.value)}" for entry in node.entries)
            return f"{{{space}{inside}{space}}}" if inside else "{}"
        return f"[{space}{', '.join(map(self._flow, node.items))}{space}]"

    def _is_block(self, node: Node) -> bool:
        """Return whether a value is written on separate lines; a new one is, unless it comes from within braces."""
        if isinstance(node, ScalarNode) or not (node.entries if isinstance(node, MappingNode) else node.items):
            return False
        found = self.source.collection(node)
        return not found.is_flow if found is not None else not self.source.is_inside_flow(node.place)


def _gone(node: MappingNode, original: MappingNode | None) -> list[Entry]:
    """Return the entries that are there no more."""
    places = {entry.key_place for entry in node.entries if entry.key_place != entry.value.place}
    return [entry for entry in original.entries if entry.key_place not in places] if original is not None else []


def _shifted(lines: Iterable[str], by: int) -> Iterator[str]:
    for line in lines:
        blanks = len(line) - len(line.lstrip(" "))
        yield line if not line.strip() else " " * by + line if by >= 0 else line[min(-by, blanks) :]


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and resolve_plain(text) == text else json.dumps(text, ensure_ascii=False)
