"""Parts of a DOCX besides its text: heading styles, list numbering, title."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

_HEADING_NAME = re.compile(r"heading ?([1-9])", re.IGNORECASE)
_HEADING_ID = re.compile(r"Heading([1-9])", re.IGNORECASE)
_MAX_LEVEL = 6
_MAX_BASES = 20
_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"))
_ROMAN_ONES = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
_MAX_ROMAN = 5000


@dataclass(kw_only=True)
class _Style:
    name: str = ""
    base: str = ""
    outline: int | None = None
    list_id: str = ""
    list_level: int = 0


class Styles:
    """The styles of paragraphs, by their ids. Word keeps the English names of its built-in styles in every language."""

    def __init__(self) -> None:
        self._styles: dict[str, _Style] = {}
        self._style = _Style()

    def heading_level(self, style_id: str) -> int:
        """Return the level of the headings in a style, from 1 to 6, 0 when it is not for headings."""
        named = _HEADING_ID.fullmatch(style_id) if style_id not in self._styles else None
        if named:
            return min(int(named[1]), _MAX_LEVEL)
        for style in self._chain(style_id):
            if found := _HEADING_NAME.fullmatch(style.name):
                return min(int(found[1]), _MAX_LEVEL)
            if style.name.lower() == "title":
                return 1
            if style.outline is not None:
                return level_of_outline(style.outline)
        return 0

    def list_of(self, style_id: str) -> tuple[str, int]:
        """Return the list that paragraphs in a style belong to, and their level in it; "" for none."""
        for style in self._chain(style_id):
            if style.list_id:
                return style.list_id, style.list_level
        return "", 0

    def _chain(self, style_id: str) -> list[_Style]:
        found: list[_Style] = []
        while style_id in self._styles and len(found) < _MAX_BASES:
            found.append(self._styles[style_id])
            style_id = found[-1].base
        return found

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        value = attributes.get("val", "")
        if tag == "style":
            self._style = self._styles[attributes.get("styleId", "")] = _Style()
        elif tag == "name":
            self._style.name = value
        elif tag == "basedOn":
            self._style.base = value
        elif tag == "outlineLvl":
            self._style.outline = number_of(value, 9)
        elif tag == "numId":
            self._style.list_id = value
        elif tag == "ilvl":
            self._style.list_level = number_of(value)

    def end(self, tag: str) -> None:
        """End an element."""

    def data(self, text: str) -> None:
        """Take text in."""


def level_of_outline(outline: int) -> int:
    """Return the level of a heading by its place in the outline, 0 for text (9)."""
    return min(outline + 1, _MAX_LEVEL) if outline < 9 else 0


def number_of(text: str, otherwise: int = 0) -> int:
    """Return a number that an attribute holds."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else otherwise


@dataclass(kw_only=True)
class _Level:
    form: str = "decimal"
    text: str = ""
    start: int = 1


@dataclass(kw_only=True)
class _List:
    abstract: str = ""
    starts: dict[int, int] = field(default_factory=dict[int, int])


class Numbering:
    """The lists of a document. Counts their items, so that an item gets the number that Word shows."""

    def __init__(self) -> None:
        self._abstracts: dict[str, dict[int, _Level]] = {}
        self._lists: dict[str, _List] = {}
        self._counts: dict[str, dict[int, int]] = defaultdict(dict)
        self._abstract: dict[int, _Level] = {}
        self._list = _List()
        self._level = _Level()
        self._overridden = 0

    def has(self, list_id: str) -> bool:
        """Return whether there is such a list; "0" takes a paragraph out of the list of its style."""
        return list_id in self._lists

    def next_label(self, list_id: str, level: int) -> str:
        """Return what stands before the next item of a list: "- ", "3. ", "b) " or the like."""
        entry = self._lists.get(list_id, _List())
        levels = self._abstracts.get(entry.abstract, {})
        shape = levels.get(level, _Level(form="bullet"))
        if shape.form in {"bullet", "none"}:
            return "- "
        counts = self._counts[list_id if entry.starts else entry.abstract]
        start = entry.starts.get(level, shape.start)
        counts[level] = counts.get(level, start - 1) + 1
        for deeper in [each for each in counts if each > level]:
            del counts[deeper]

        def show(place: re.Match[str]) -> str:
            index = int(place[1]) - 1
            inner = levels.get(index, _Level())
            return _shown(counts.get(index, inner.start), inner.form)

        return f"{_PLACE.sub(show, shape.text).strip() or f'{counts[level]}.'} "

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        value = attributes.get("val", "")
        if tag == "abstractNum":
            self._abstract = self._abstracts[attributes.get("abstractNumId", "")] = {}
        elif tag == "num":
            self._list = self._lists[attributes.get("numId", "")] = _List()
            # Levels that a list changes for itself are not those of the list that it is made from.
            self._abstract = {}
        elif tag == "abstractNumId":
            self._list.abstract = value
        elif tag == "lvl":
            self._level = self._abstract[number_of(attributes.get("ilvl", ""))] = _Level()
        elif tag == "lvlOverride":
            self._overridden = number_of(attributes.get("ilvl", ""))
        elif tag == "startOverride":
            self._list.starts[self._overridden] = number_of(value, 1)
        else:
            self._shape(tag, value)

    def _shape(self, tag: str, value: str) -> None:
        if tag == "numFmt":
            self._level.form = value
        elif tag == "lvlText":
            self._level.text = value[:50]
        elif tag == "start":
            self._level.start = number_of(value, 1)

    def end(self, tag: str) -> None:
        """End an element."""

    def data(self, text: str) -> None:
        """Take text in."""


def _shown(number: int, form: str) -> str:
    if form in {"lowerLetter", "upperLetter"} and number > 0:
        # After z come aa, bb, cc.
        letter = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 10)
        return letter if form == "lowerLetter" else letter.upper()
    if form in {"lowerRoman", "upperRoman"} and 0 < number < _MAX_ROMAN:
        letters = ""
        for value, sign in (*_ROMAN, *_ROMAN_ONES):
            count, number = divmod(number, value)
            letters += sign * count
        return letters if form == "lowerRoman" else letters.upper()
    return str(number)


class Properties:
    """The title that a document has among its properties."""

    def __init__(self) -> None:
        self.title = ""
        self._in_title = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 - as `PartHandler` has it
        """Begin an element."""
        self._in_title = tag == "title"

    def end(self, tag: str) -> None:  # noqa: ARG002 - as `PartHandler` has it
        """End an element."""
        self._in_title = False

    def data(self, text: str) -> None:
        """Take text in."""
        if self._in_title:
            self.title += text
