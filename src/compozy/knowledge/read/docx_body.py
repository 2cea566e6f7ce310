"""The paragraphs, lists, tables and text boxes of a DOCX, from the elements of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from compozy.knowledge.read.docx_math import Formula
from compozy.knowledge.read.docx_styles import Numbering, Styles, level_of_outline, number_of
from compozy.knowledge.read.table import markdown_table

# Deleted or moved text, replaced properties, pronunciation of signs, editing aids.
_SKIPPED = frozenset(
    {"moveFrom", "pPrChange", "rPrChange", "tblPrChange", "trPrChange", "tcPrChange", "sectPrChange", "numberingChange"}
    | {"rt", "sdtPr", "tabs", "delText", "instrText"}
)
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
_SEPARATORS = frozenset({"separator", "continuationSeparator", "continuationNotice"})
# The font Symbol, from 0x41 and from 0x61.
_SYMBOLS = {
    **dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True)),
    **dict(zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True)),
    0xA3: "≤",
    0xA5: "∞",
    0xAE: "→",
    0xB0: "°",
    0xB1: "±",
    0xB3: "≥",
    0xB4: "×",
    0xB7: "•",
    0xB9: "≠",
    0xBB: "≈",
}
_PRIVATE = range(0xE000, 0xF900)


class _Kind(StrEnum):
    TEXT = "text"
    HEADING = "heading"
    ITEM = "item"
    TABLE = "table"


@dataclass(frozen=True, kw_only=True)
class _Block:
    kind: _Kind
    text: str


@dataclass(kw_only=True)
class _Paragraph:
    parts: list[str] = field(default_factory=list[str])
    boxes: list[_Block] = field(default_factory=list[_Block])
    style: str = ""
    outline: int | None = None
    list_id: str = ""
    list_level: int | None = None
    is_mark_deleted: bool = False


@dataclass(kw_only=True)
class _Table:
    """Rows of cells. A cell is in as many columns as it spans."""

    rows: list[list[list[_Block]]] = field(default_factory=list[list[list[_Block]]])
    is_row_deleted: bool = False
    span: int = 1


@dataclass(frozen=True, kw_only=True)
class Note:
    """A footnote, an endnote or a comment."""

    id: str
    text: str
    author: str


class Body:
    """Takes the elements of one part.

    Attributes:
        notes: the notes in it, where it is a part of notes.
    """

    def __init__(self, styles: Styles, numbering: Numbering) -> None:
        self.notes: list[Note] = []
        self._styles = styles
        self._numbering = numbering
        self._open: list[str] = []
        self._skipped_below = 0
        # Where blocks go: the part, or the innermost cell, text box or note.
        self._targets: list[list[_Block]] = [[]]
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._note = Note(id="", text="", author="")
        # How much text there was before each open alternative, and whether its first choice had any.
        self._characters = 0
        self._before: list[int] = []
        self._before_deleted_mark: list[str] = []
        self._is_raised = False
        self._formula: Formula | None = None
        self._starts: dict[str, Callable[[Mapping[str, str]], None]] = {
            "p": self._start_paragraph,
            "txbxContent": self._start_box,
            "footnote": self._start_note,
            "endnote": self._start_note,
            "comment": self._start_note,
            "footnoteReference": self._refer_to_footnote,
            "endnoteReference": self._refer_to_endnote,
            "r": self._start_run,
            "vertAlign": self._align_run,
            "sym": self._start_symbol,
            "AlternateContent": self._start_alternatives,
            "tbl": self._start_table,
            "tr": self._start_row,
            "tc": self._start_cell,
            "gridSpan": self._start_span,
        }
        self._ends: dict[str, Callable[[], None]] = {
            "p": self._end_paragraph,
            "txbxContent": self._end_box,
            "footnote": self._end_note,
            "endnote": self._end_note,
            "comment": self._end_note,
            "AlternateContent": self._end_alternatives,
            "tbl": self._end_table,
            "tr": self._end_row,
            "tc": self._end_cell,
        }

    def text(self) -> str:
        """Return what was read as Markdown."""
        return _joined(self._targets[0])

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        self._open.append(tag)
        if self._skipped_below:
            return
        if self._is_skipped(tag, attributes):
            self._skipped_below = len(self._open)
        elif self._formula:
            self._formula.start(tag, attributes)
        elif tag == "oMath" and self._paragraphs:
            self._formula = Formula(self._paragraphs[-1].parts)
        elif tag in _CHARACTERS:
            self._add(_CHARACTERS[tag])
        elif tag in self._starts:
            self._starts[tag](attributes)
        elif self._paragraphs:
            _read_property(self._paragraphs[-1], tag, attributes.get("val", ""))

    def end(self, tag: str) -> None:
        """End an element."""
        if not self._skipped_below and tag == "oMath":
            self._formula = None
        elif not self._skipped_below and self._formula:
            self._formula.end(tag)
        elif not self._skipped_below and tag in self._ends:
            self._ends[tag]()
        elif self._skipped_below == len(self._open):
            self._skipped_below = 0
        self._open.pop()

    def data(self, text: str) -> None:
        """Take text in."""
        if self._open and self._open[-1] == "t" and not self._skipped_below:
            self._add(f"^{text}" if self._is_raised and text[:1].isdigit() else text)
            self._is_raised = False

    def _add(self, text: str) -> None:
        if self._paragraphs:
            self._paragraphs[-1].parts.append(text)
            self._characters += len(text)

    def _is_skipped(self, tag: str, attributes: Mapping[str, str]) -> bool:
        if tag == "del":
            self._note_deletion()
            return True
        if tag == "Fallback":
            # Another form of the same text, for older programs.
            return bool(self._before) and self._characters > self._before[-1]
        is_note = tag in {"footnote", "endnote"}
        return tag in _SKIPPED or (is_note and attributes.get("type") in _SEPARATORS)

    def _note_deletion(self) -> None:
        """Take notice of a deleted row or of a deleted end of a paragraph."""
        parents = self._open[-3:-1]
        if parents[-1:] == ["trPr"] and self._tables:
            self._tables[-1].is_row_deleted = True
        elif parents == ["pPr", "rPr"] and self._paragraphs:
            self._paragraphs[-1].is_mark_deleted = True

    def _start_paragraph(self, _: Mapping[str, str]) -> None:
        self._paragraphs.append(_Paragraph(parts=self._before_deleted_mark))
        self._before_deleted_mark = []

    def _end_paragraph(self) -> None:
        paragraph = self._paragraphs.pop()
        target = self._targets[-1]
        if paragraph.is_mark_deleted:
            self._before_deleted_mark = paragraph.parts
        elif text := "".join(paragraph.parts).strip():
            target.append(self._block(paragraph, text))
        target += paragraph.boxes

    def _block(self, paragraph: _Paragraph, text: str) -> _Block:
        heading = self._styles.heading_level(paragraph.style)
        if paragraph.outline is not None:
            heading = level_of_outline(paragraph.outline)
        list_id, level = self._styles.list_of(paragraph.style)
        list_id, level = paragraph.list_id or list_id, level if paragraph.list_level is None else paragraph.list_level
        label = self._numbering.next_label(list_id, level) if self._numbering.has(list_id) else ""
        if heading:
            number = "" if label == "- " else label
            return _Block(kind=_Kind.HEADING, text=f"{'#' * heading} {number}{' '.join(text.split())}")
        if label or paragraph.list_id not in {"", "0"}:
            indent = "   " * min(level, 8)
            lines = text.replace("\n", f"\n{indent}  ")
            return _Block(kind=_Kind.ITEM, text=f"{indent}{label or '- '}{lines}")
        return _Block(kind=_Kind.TEXT, text=text)

    def _start_run(self, _: Mapping[str, str]) -> None:
        self._is_raised = False

    def _align_run(self, attributes: Mapping[str, str]) -> None:
        self._is_raised = attributes.get("val") == "superscript"

    def _start_box(self, _: Mapping[str, str]) -> None:
        self._targets.append([])

    def _end_box(self) -> None:
        blocks = self._targets.pop()
        # Behind the paragraph that it is tied to.
        (self._paragraphs[-1].boxes if self._paragraphs else self._targets[-1]).extend(blocks)

    def _start_note(self, attributes: Mapping[str, str]) -> None:
        self._note = Note(id=attributes.get("id", ""), text="", author=attributes.get("author", ""))
        self._targets.append([])

    def _end_note(self) -> None:
        text = _joined(self._targets.pop())
        if text:
            self.notes.append(Note(id=self._note.id, text=text, author=self._note.author))

    def _refer_to_footnote(self, attributes: Mapping[str, str]) -> None:
        self._add(f"[^{attributes.get('id', '')}]")

    def _refer_to_endnote(self, attributes: Mapping[str, str]) -> None:
        self._add(f"[^e{attributes.get('id', '')}]")

    def _start_symbol(self, attributes: Mapping[str, str]) -> None:
        try:
            code = int(attributes.get("char", ""), 16)
        except ValueError:
            return
        if attributes.get("font") == "Symbol":
            self._add(_SYMBOLS.get(code & 0xFF, ""))
        elif code not in _PRIVATE and 0x20 <= code <= 0xFFFF:
            self._add(chr(code))

    def _start_alternatives(self, _: Mapping[str, str]) -> None:
        self._before.append(self._characters)

    def _end_alternatives(self) -> None:
        self._before.pop()

    def _start_table(self, _: Mapping[str, str]) -> None:
        self._tables.append(_Table())

    def _start_row(self, _: Mapping[str, str]) -> None:
        if self._tables:
            self._tables[-1].rows.append([])
            self._tables[-1].is_row_deleted = False

    def _start_cell(self, _: Mapping[str, str]) -> None:
        self._targets.append([])
        if self._tables:
            self._tables[-1].span = 1

    def _start_span(self, attributes: Mapping[str, str]) -> None:
        if self._tables:
            self._tables[-1].span = min(number_of(attributes.get("val", ""), 1), 100)

    def _end_cell(self) -> None:
        blocks = self._targets.pop()
        if self._tables and self._tables[-1].rows:
            self._tables[-1].rows[-1] += [blocks, *([] for _ in range(self._tables[-1].span - 1))]

    def _end_row(self) -> None:
        if self._tables and self._tables[-1].is_row_deleted:
            self._tables[-1].rows.pop()
            self._tables[-1].is_row_deleted = False

    def _end_table(self) -> None:
        rows = self._tables.pop().rows
        cells = [cell for row in rows for cell in row]
        # Some tables only place what is on a page.
        is_layout = max(map(len, rows), default=0) < 2 or any(
            block.kind in {_Kind.HEADING, _Kind.TABLE} for cell in cells for block in cell
        )
        if is_layout:
            for cell in cells:
                self._targets[-1] += cell
            return
        text = markdown_table([[" ".join(block.text for block in cell) for cell in row] for row in rows])
        if text:
            self._targets[-1].append(_Block(kind=_Kind.TABLE, text=text))


def _read_property(paragraph: _Paragraph, tag: str, value: str) -> None:
    if tag == "pStyle":
        paragraph.style = value
    elif tag == "outlineLvl":
        paragraph.outline = number_of(value, 9)
    elif tag == "numId":
        paragraph.list_id = value
    elif tag == "ilvl":
        paragraph.list_level = number_of(value)


def _joined(blocks: list[_Block]) -> str:
    """Return blocks with a blank line between them, but for the items of a list."""
    parts: list[str] = []
    for before, block in zip([None, *blocks], blocks, strict=False):
        is_same_list = before is not None and before.kind is block.kind is _Kind.ITEM
        parts += ["\n" if is_same_list else "\n\n" if parts else "", block.text]
    return "".join(parts).strip()
