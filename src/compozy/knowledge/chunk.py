"""A text becomes chunks that an embedder can take: along Markdown structure, paragraphs and sentences."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from compozy.errors import KnowledgeError
from compozy.knowledge.extras import missing_package
from compozy.knowledge.read.document import DocumentText

DEFAULT_SIZE = 800
# Tokens that an embedder adds itself: start and end marks, and the prefix for the kind of text.
RESERVED_TOKENS = 8
# Maximum length that a splitter receives: each scans a text repeatedly.
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
    """A chunk before it has a vector. `page` is its first page, from 1; None if the document has no pages."""

    id: str
    ordinal: int
    text: str
    page: int | None = None


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
    text, pages = _without_tags(content) if chunking.remove_html else (content.text, content.pages)
    seen: Counter[str] = Counter()
    pieces: list[Piece] = []
    for start, portion in _portions(text):
        for offset, chunk in split(portion):
            if not chunk.strip():
                continue
            chunk_id = text_id("\0".join((space, document, str(seen[chunk]), chunk)))
            seen[chunk] += 1
            page = bisect_right(pages, start + offset) or None
            pieces.append(Piece(id=chunk_id, ordinal=len(pieces), text=chunk, page=page))
    return pieces


def _without_tags(content: DocumentText) -> tuple[str, Sequence[int]]:
    """Return the text without tags, and where its pages begin then."""
    ends = (*content.pages[1:], len(content.text))
    texts = [_TAG.sub("", content.text[start:end]) for start, end in zip(content.pages or (0,), ends, strict=True)]
    pages = list(accumulate(map(len, texts[:-1]), initial=0)) if content.pages else ()
    return "".join(texts), pages


def _splitter(chunking: Chunking, *, is_markdown: bool) -> Callable[[str], list[tuple[int, str]]]:
    """Return a function that cuts a text into chunks, each with its place in the text."""
    try:
        from semantic_text_splitter import MarkdownSplitter, TextSplitter
    except ImportError as error:
        raise missing_package(KnowledgeError, "cutting documents", error, extra="knowledge") from error
    kind = MarkdownSplitter if is_markdown else TextSplitter
    overlap = min(chunking.overlap, chunking.size - 1)
    splitter = kind.from_callback(chunking.count_tokens, chunking.size, overlap=overlap)
    return splitter.chunk_indices


def _portions(text: str) -> Iterator[tuple[int, str]]:
    """Yield a long text in portions, each with its place; they end at a blank line, else at a line, else anywhere."""
    start = 0
    while len(text) - start > _MAX_PIECE:
        end = start + _MAX_PIECE
        for mark in ("\n\n", "\n", " "):
            at = text.rfind(mark, start + _MAX_PIECE // 2, end)
            if at > 0:
                end = at + len(mark)
                break
        yield start, text[start:end]
        start = end
    yield start, text[start:]


def text_id(text: str) -> str:
    """Return a UUID, the form of id that every store takes, by which a text is known."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    # Marked as version 8, which is for custom ids (RFC 9562).
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
