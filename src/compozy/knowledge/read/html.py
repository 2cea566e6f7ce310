"""HTML as Markdown: what a page says, without what frames it."""

from __future__ import annotations

import re

from compozy.errors import DocumentError
from compozy.knowledge.read.charset import codec_of_label
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.html_page import Page
from compozy.knowledge.read.text import clean, decode, has_mark

_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""\s*<\?xml[^>]{0,200}encoding\s*=\s*["']([A-Za-z0-9_.:-]{1,40})""")
_HEAD = 65536


def read(data: bytes) -> DocumentText:
    """Return the text of an HTML page.

    Raises:
        DocumentError: it cannot be read.
    """
    text = _decode(data)
    page = _parse(text)
    if not page.text():
        # All of its text is in what usually frames pages.
        page = _parse(text, is_whole=True)
    return DocumentText(text=clean(page.text()), title=page.title.strip(), is_markdown=True)


def _parse(text: str, *, is_whole: bool = False) -> Page:
    page = Page(is_whole=is_whole)
    try:
        page.feed(_without_loose_ends(text))
        page.close()
    except AssertionError as error:
        # The error of Python's parser for an unknown declaration.
        raise DocumentError(f"its HTML cannot be read: {error}") from error
    return page


def _without_loose_ends(text: str) -> str:
    """Return a page in which every comment and every tag that begins has an end.

    For one that has none, Python's parser looks through the rest of the page each time.
    """
    text = text.replace("--!>", "-->")
    for opening, closing, instead in (("<!--", "-->", "&lt;!--"), ("<", ">", "&lt;")):
        end = text.rfind(closing) + 1
        text = text[:end] + text[end:].replace(opening, instead)
    return text


def _decode(data: bytes) -> str:
    head = _without_comments(data[:_HEAD])
    named = _CHARSET.search(head) or _XML_ENCODING.match(head)
    codec = codec_of_label(named[1].decode("ascii")) if named is not None else None
    # Pages name UTF-8 whatever they are in.
    if codec in {None, "utf-8"} or has_mark(data):
        return decode(data)
    return clean(data.decode(str(codec), errors="replace"))


def _without_comments(head: bytes) -> bytes:
    first, *others = head.split(b"<!--")
    return b"".join([first, *(other.partition(b"-->")[2] for other in others)])
