"""Markdown, with the `key: value` lines that may stand in front of it."""

from __future__ import annotations

import re

from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.text import decode

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_PAIR = re.compile(r"^([A-Za-z_][\w-]{0,63}):[ \t]+(.+?)[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"^#[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_MAX_FRONT = 100_000
_MAX_PAIRS = 50
_MAX_VALUE = 500


def read(data: bytes) -> DocumentText:
    """Return a Markdown document; its title is that in front of it, or its first heading."""
    text = decode(data)
    front = _FRONT.match(text[:_MAX_FRONT])
    metadata = _pairs(front[1]) if front else {}
    body = text[front.end() :] if front else text
    heading = _TITLE.search(body)
    title = metadata.pop("title", "") or (heading[1] if heading else "")
    return DocumentText(text=body, title=title, is_markdown=True, metadata=metadata)


def _pairs(front: str) -> dict[str, str]:
    """Return the plain `key: value` lines; lists and maps say nothing that a filter could compare."""
    found: dict[str, str] = {}
    for key, value in _PAIR.findall(front):
        plain = value.strip("\"'")
        if plain and plain[0] not in "[{|>&*!" and len(plain) <= _MAX_VALUE and len(found) < _MAX_PAIRS:
            found[key] = plain
    return found
