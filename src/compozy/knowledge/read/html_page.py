"""The elements of an HTML page as Markdown: headings, paragraphs, lists, tables and code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from compozy.knowledge.read.table import markdown_table, spread_cells

# Never part of the text.
_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object", "select", "dialog"})
# The frame of a page. A `header` counts as such only outside of the content, and its heading is kept.
_FRAMES = frozenset({"nav", "footer", "aside"})
_FRAME_ROLES = frozenset({"navigation", "contentinfo", "complementary", "search", "dialog", "alertdialog", "menu"})
_CONTENT = frozenset({"main", "article"})
_BANNER = re.compile(
    r"(?:cookie|consent|gdpr)[-_]?(?:banner|bar|box|notice|popup|pop-up|modal|overlay|dialog|message|wall|alert)"
    r"|onetrust|cookiebot|cookieconsent|cookie-law-info|didomi-host|usercentrics|qc-cmp2|iubenda-cs|osano-cm|klaro"
    r"|truste_|borlabs-cookie|cky-consent|fc-consent",
    re.IGNORECASE,
)
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BLOCKS = frozenset(
    {"p", "div", "section", "article", "main", "header", "footer", "aside", "nav", "blockquote", "figure", "figcaption"}
    | {"dl", "dd", "dt", "form", "fieldset", "address", "details", "summary", "body", "caption", "hgroup"}
)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
# Elements that end a drawing which was left open, as in browsers, but for places where a drawing holds HTML.
_OUT_OF_DRAWINGS = frozenset(
    {*_HEADINGS, "p", "div", "ul", "ol", "dl", "table", "pre", "blockquote", "body", "center", "hr"}
)
_HTML_IN_DRAWINGS = ("foreignobject", "desc")
# Elements whose end need not be written.
_LOOSE = frozenset(
    {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "colgroup", "rp", "html", "head"}
    | {"body", "title"}
)
_SPACE = re.compile(r"[ \t\n\r\f]+")
_BLANKS = re.compile(r"\n{3,}")
_MAX_INDENT = 8
# Deeper ones are part of the one around them: each would copy its text once more.
_MAX_TABLES = 20


@dataclass(kw_only=True)
class _Cell:
    """A cell, and how many columns and rows it spans."""

    parts: list[str] = field(default_factory=list[str])
    columns: int
    rows: int


@dataclass(kw_only=True)
class _Table:
    """A table that is open. `target` is where its text goes."""

    target: list[str]
    rows: list[list[_Cell]] = field(default_factory=list[list[_Cell]])
    is_layout: bool = False


class Page(HTMLParser):
    """Reads one page.

    Attributes:
        title: what its `<title>` says.
    """

    def __init__(self, *, is_whole: bool) -> None:
        """Begin a page; `is_whole` keeps what frames it."""
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._is_whole = is_whole
        self._in_title = False
        self._parts: list[str] = []
        # Open elements whose ends are written, each with what it does to its text: "quiet", "header" or "".
        self._open: list[tuple[str, str]] = []
        self._counts: Counter[str] = Counter()
        self._effects: Counter[str] = Counter()
        self._lists: list[int | None] = []
        self._tables: list[_Table] = []
        self._in_heading = False
        self._is_raised = False

    def text(self) -> str:
        """Return what was read."""
        while self._tables:
            self._end_table()
        lines = (line.rstrip() for line in "".join(self._parts).split("\n"))
        return _BLANKS.sub("\n\n", "\n".join(lines)).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        self._in_title = tag == "title" and not self._counts["svg"]
        if tag in _OUT_OF_DRAWINGS and not any(self._counts[name] for name in _HTML_IN_DRAWINGS):
            self.handle_endtag("svg")
        if tag == "main":
            # It is in none of these: their ends are missing.
            for frame in ("nav", "aside", "footer"):
                self.handle_endtag(frame)
        if tag not in _VOID and tag not in _LOOSE:
            effect = self._effect(tag, dict(attrs))
            self._open.append((tag, effect))
            self._counts[tag] += 1
            self._effects[effect] += 1
        self._is_raised = tag == "sup"
        if not self._is_mute(tag):
            self._start(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element that ends where it begins, as SVG and XHTML have them."""
        if tag in _VOID or not (self._counts["svg"] or tag in _SILENT):
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """End an element, and those inside of it that were left open."""
        if tag == "title":
            self._in_title = False
        if tag in _LOOSE and not self._is_mute(tag):
            self._end(tag)
        while self._counts[tag]:
            name, effect = self._open.pop()
            self._counts[name] -= 1
            self._effects[effect] -= 1
            if effect != "quiet" and not self._is_mute(name):
                self._end(name)
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        """Take text in."""
        if self._in_title:
            self.title += data
        elif not self._is_mute(""):
            self._write("^" if self._is_raised and data.lstrip()[:1].isdigit() else "")
            self._is_raised = False
            self._write(data if self._counts["pre"] else _SPACE.sub(" ", data))

    def parse_marked_section(self, i: int, report: int = 1) -> int:  # noqa: ARG002 - its signature
        """Pass over `<![...>` as browsers do: it is a comment."""
        end = self.rawdata.find(">", i)
        return end + 1 if end >= 0 else -1

    def _is_mute(self, tag: str) -> bool:
        """Return whether an element of this name, "" for text, is passed over where the page stands."""
        if self._effects["quiet"]:
            return True
        return bool(self._effects["header"]) and not self._in_heading and tag not in _HEADINGS

    def _effect(self, tag: str, attributes: Mapping[str, str | None]) -> str:
        """Return what an element does to the text in it."""
        if tag in _SILENT and "shadowrootmode" not in attributes:
            return "quiet"
        # In an article an aside is a note to it; elsewhere it is what else there is.
        if self._is_whole or tag in _CONTENT or (tag == "aside" and self._counts["article"]):
            return ""
        if tag in _FRAMES or _is_hidden(attributes) or _is_frame(attributes):
            return "quiet"
        is_header = tag == "header" or attributes.get("role") == "banner"
        in_content = any(self._counts[name] for name in _CONTENT)
        return "header" if is_header and not in_content else ""

    def _start(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if tag in _HEADINGS:
            self._in_heading = True
            self._mark_layout()
            self._write(f"\n\n{_HEADINGS[tag]} ")
        elif tag in {"ul", "ol", "menu"}:
            self._lists.append(_number(attributes, "start") if tag == "ol" else None)
            self._write("" if len(self._lists) > 1 else "\n\n")
        elif tag == "li":
            self._write(f"\n{self._label()}")
        elif tag == "pre":
            self._write("\n\n```\n")
        elif tag == "br":
            self._write(" " if self._in_heading else "\n")
        elif tag in {"table", "tr", "td", "th"}:
            self._start_of_table(tag, attributes)
        elif tag in _BLOCKS:
            self._write("\n\n")

    def _end(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._in_heading = False
            self._write("\n\n")
        elif tag in {"ul", "ol", "menu"} and self._lists:
            self._lists.pop()
            self._write("" if self._lists else "\n\n")
        elif tag == "pre":
            self._write("\n```\n\n")
        elif tag == "table" and self._tables:
            self._end_table()
        elif tag in _BLOCKS:
            self._write("\n\n")

    def _label(self) -> str:
        """Return what stands before an item of a list."""
        if not self._lists:
            return "- "
        number = self._lists[-1]
        indent = "   " * min(len(self._lists) - 1, _MAX_INDENT)
        if number is None:
            return f"{indent}- "
        self._lists[-1] = number + 1
        return f"{indent}{number}. "

    def _write(self, text: str) -> None:
        if text:
            self._target().append(text)

    def _target(self) -> list[str]:
        """Return where text goes: the cell of a table that is open, else the page."""
        if not self._tables:
            return self._parts
        table = self._tables[-1]
        return table.rows[-1][-1].parts if table.rows and table.rows[-1] else table.target

    def _mark_layout(self) -> None:
        if self._tables:
            self._tables[-1].is_layout = True

    def _start_of_table(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if tag == "table":
            self._mark_layout()
            is_deep = len(self._tables) >= _MAX_TABLES
            self._tables.append(self._tables[-1] if is_deep else _Table(target=self._target()))
        elif tag == "tr" and self._tables:
            self._tables[-1].rows.append([])
        elif not self._tables:
            self._write(" ")
        else:
            if not self._tables[-1].rows:
                self._tables[-1].rows.append([])
            columns, rows = _number(attributes, "colspan"), _number(attributes, "rowspan")
            self._tables[-1].rows[-1].append(_Cell(columns=columns, rows=rows))

    def _end_table(self) -> None:
        table = self._tables.pop()
        if self._tables and self._tables[-1] is table:
            return
        rows = [[(("".join(cell.parts)), cell.columns, cell.rows) for cell in row] for row in table.rows if row]
        # Some tables only place what is on a page.
        if table.is_layout or max(map(len, rows), default=0) < 2:
            text = "\n\n".join(cell for row in rows for cell, _, _ in row)
        else:
            text = markdown_table(spread_cells(rows))
        table.target.append(f"\n\n{text}\n\n")


def _is_hidden(attributes: Mapping[str, str | None]) -> bool:
    return (
        attributes.get("hidden", "until-found") != "until-found"
        or attributes.get("aria-hidden") == "true"
        or _HIDDEN_STYLE.search(attributes.get("style") or "") is not None
    )


def _is_frame(attributes: Mapping[str, str | None]) -> bool:
    if (attributes.get("role") or "").strip().lower() in _FRAME_ROLES:
        return True
    return any(_BANNER.search(attributes.get(name) or "") for name in ("id", "class"))


def _number(attributes: Mapping[str, str | None], name: str) -> int:
    """Return an attribute that is a number, 1 where it is missing."""
    text = attributes.get(name) or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
