"""HTML as Markdown: headings, paragraphs, lists and tables; neither scripts nor styles nor what frames the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from compozy.errors import DocumentError
from compozy.knowledge.read.charset import codec_of_label
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.text import clean, decode, has_mark

_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "nav", "iframe", "object"})
_BLOCKS = frozenset(
    {"p", "div", "section", "article", "main", "header", "footer", "aside", "ul", "ol", "table", "blockquote", "pre"}
    | {"figure", "figcaption", "dl", "dd", "dt", "form", "fieldset", "address", "details", "summary", "body"}
)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset=["']?\s*([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\n\r\f]+")
_BLANKS = re.compile(r"\n{3,}")
_HEAD = 4096


def read(data: bytes) -> DocumentText:
    """Return the text of an HTML page.

    Raises:
        DocumentError: it cannot be read.
    """
    page = _Page()
    try:
        page.feed(_decode(data))
        page.close()
    except AssertionError as error:
        # Python's parser, on a declaration such as `<![x`.
        raise DocumentError(f"its HTML cannot be read: {error}") from error
    return DocumentText(text=page.text(), title=page.title.strip(), is_markdown=True)


def _decode(data: bytes) -> str:
    named = _CHARSET.search(data[:_HEAD])
    codec = codec_of_label(named[1].decode("ascii")) if named is not None else None
    if codec is None or has_mark(data):
        return decode(data)
    return clean(data.decode(codec, errors="replace"))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._parts: list[str] = []
        self._silent = 0
        self._in_title = False
        self._is_pre = 0

    def text(self) -> str:
        """Return what was read."""
        lines = (line.rstrip() for line in "".join(self._parts).split("\n"))
        return _BLANKS.sub("\n\n", "\n".join(lines)).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its signature
        """Begin an element."""
        if tag in _SILENT:
            self._silent += 1
        elif tag == "title":
            self._in_title = True
        elif tag in _HEADINGS:
            self._parts.append(f"\n\n{_HEADINGS[tag]} ")
        elif tag == "li":
            self._parts.append("\n- ")
        elif tag in {"br", "tr"}:
            self._parts.append("\n")
        elif tag in {"td", "th"}:
            self._parts.append(" | ")
        elif tag in _BLOCKS:
            self._parts.append("\n\n")
        self._is_pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "title":
            self._in_title = False
        elif tag in _BLOCKS or tag in _HEADINGS:
            self._parts.append("\n\n")
        if tag == "pre":
            self._is_pre = max(0, self._is_pre - 1)

    def handle_data(self, data: str) -> None:
        """Take text in."""
        if self._in_title:
            self.title += data
        elif not self._silent:
            self._parts.append(data if self._is_pre else _SPACE.sub(" ", data))
