"""The kinds of documents, by the end of their names or by their media type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import PurePosixPath
from typing import cast

from compozy.errors import DocumentError
from compozy.knowledge.read.charset import codec_of_media_type
from compozy.knowledge.read.document import MAX_TEXT, DocumentText
from compozy.knowledge.read.text import has_mark, is_assumed

# Each module has a function `read(data: bytes) -> DocumentText`, and is imported when the first such document is read.
_MODULES = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".log": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
}
SUFFIXES = frozenset(_MODULES)
# Their formats are programs of a kind; a file of text is only looked through.
BINARY = frozenset({".pdf", ".docx"})
# Pages are in Windows-1252 where they name no encoding; for these kinds nothing says so.
_WITHOUT_ENCODING = frozenset(kind for kind, module in _MODULES.items() if module not in {"pdf", "docx", "html"})
_MEDIA_TYPES = {
    "text/markdown": ".md",
    "text/x-markdown": ".md",
    "text/plain": ".txt",
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
}


def suffix_of_media_type(media_type: str) -> str:
    """Return the end that names of such documents have.

    Raises:
        DocumentError: documents of this type are not read.
    """
    suffix = _MEDIA_TYPES.get(media_type.partition(";")[0].strip().lower())
    if suffix is None:
        raise DocumentError(f"documents of type {media_type!r} are not read")
    return suffix


def apply_charset(data: bytes, media_type: str) -> bytes:
    """Return the bytes of a text in UTF-8 with its mark, if its media type names an encoding; else as they are.

    The encoding of a media type comes before the one that a page names, and after a mark at the beginning of the bytes.
    """
    codec = codec_of_media_type(media_type)
    if codec is None or suffix_of_media_type(media_type) in BINARY or has_mark(data):
        return data
    try:
        text = data.decode(codec, errors="strict" if codec == "utf-8" else "replace")
    except UnicodeDecodeError:
        # Servers say UTF-8 of all that they have; the reader finds out what else it is.
        return data
    return text.encode("utf-8-sig", errors="replace")


def read_document(name: str, data: bytes, *, suffix: str | None = None) -> DocumentText:
    """Return the text of a document.

    Args:
        name: its name, for its kind and for messages.
        data: its bytes.
        suffix: its kind, where the name does not tell.

    Raises:
        DocumentError: it is broken, of another kind than it says, or comes to too much text.
    """
    kind = (suffix or PurePosixPath(name).suffix).lower()
    if kind not in _MODULES:
        raise DocumentError(f"documents that end in {kind!r} are not read")
    module = import_module(f"compozy.knowledge.read.{_MODULES[kind]}")
    read = cast("Callable[[bytes], DocumentText]", module.read)
    document = read(data)
    if len(document.text) > MAX_TEXT:
        raise DocumentError(f"it comes to more than {MAX_TEXT // 1_000_000} million characters")
    if not document.text.strip():
        raise DocumentError("it contains no text")
    return replace(document, is_assumed=kind in _WITHOUT_ENCODING and is_assumed(data))
