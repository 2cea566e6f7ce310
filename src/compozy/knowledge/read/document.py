"""The extracted text of a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# Characters of text that one document may come to; a zip bomb comes to more.
MAX_TEXT = 50_000_000
# Version of the readers; raise it with every change of their results, so that documents are read again.
READING = 4


@dataclass(frozen=True, kw_only=True)
class DocumentText:
    """A document as text.

    Attributes:
        title: its own title, "" when it has none.
        text: without NUL and without halves of characters.
        is_markdown: whether headings and lists in it are marked.
        metadata: what the document says of itself, flat.
        is_assumed: whether it was read as Windows-1252 because it is not UTF-8.
        pages: where each of its pages begins in `text`, for documents that have pages.
    """

    text: str
    title: str = ""
    is_markdown: bool = False
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    is_assumed: bool = False
    pages: Sequence[int] = ()
