"""A text becomes chunks that an embedder can take: along Markdown structure, paragraphs and sentences."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compozy.errors import KnowledgeError
from compozy.knowledge.extras import missing_package
from compozy.knowledge.read.document import DocumentText

DEFAULT_SIZE = 800
# Tokens that an embedder adds by itself: marks of begin and end, and what it is told the text is.
RESERVED_TOKENS = 8
# No splitter is given a longer text at once: each looks at a text again and again.
_MAX_PIECE = 200_000
_TAG = re.compile(r"<[^<>]{1,500}>")


@dataclass(frozen=True, kw_only=True)
class Chunking:
    """How documents are cut: `size` and `overlap` in tokens as `count_tokens` has them."""

    size: int
    overlap: int
    count_tokens: Callable[[str], int]
    remove_html: bool = False


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A chunk before it has a vector."""

    id: str
    ordinal: int
    text: str


def cut(document: str, content: DocumentText, chunking: Chunking, *, space: str) -> list[Piece]:
    """Return the chunks of a document; equal texts at equal places have equal ids, whatever else changed.

    Args:
        document: its name.
        content: its text.
        chunking: how to cut.
        space: what else ids depend on: the knowledge base.

    Raises:
        KnowledgeError: the splitter is not installed.
    """
    split = _splitter(chunking, is_markdown=content.is_markdown)
    text = _TAG.sub("", content.text) if chunking.remove_html else content.text
    seen: Counter[str] = Counter()
    pieces: list[Piece] = []
    for piece in _portions(text):
        for chunk in split(piece):
            if not chunk.strip():
                continue
            chunk_id = text_id("\0".join((space, document, str(seen[chunk]), chunk)))
            seen[chunk] += 1
            pieces.append(Piece(id=chunk_id, ordinal=len(pieces), text=chunk))
    return pieces


def _splitter(chunking: Chunking, *, is_markdown: bool) -> Callable[[str], list[str]]:
    try:
        from semantic_text_splitter import MarkdownSplitter, TextSplitter
    except ImportError as error:
        raise missing_package(KnowledgeError, "cutting documents", error, extra="knowledge") from error
    kind = MarkdownSplitter if is_markdown else TextSplitter
    overlap = min(chunking.overlap, chunking.size - 1)
    splitter = kind.from_callback(chunking.count_tokens, chunking.size, overlap=overlap)
    return splitter.chunks


def _portions(text: str) -> Iterator[str]:
    """Yield a long text in portions that end at a blank line, else at a line, else anywhere."""
    start = 0
    while len(text) - start > _MAX_PIECE:
        end = start + _MAX_PIECE
        for mark in ("\n\n", "\n", " "):
            at = text.rfind(mark, start + _MAX_PIECE // 2, end)
            if at > 0:
                end = at + len(mark)
                break
        yield text[start:end]
        start = end
    yield text[start:]


def text_id(text: str) -> str:
    """Return a UUID, the form of id that every store takes, by which a text is known."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    # Marked as version 8, the one for ids of one's own making (RFC 9562).
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
