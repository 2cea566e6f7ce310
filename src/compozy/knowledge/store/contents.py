"""A summary of each document in a collection, short enough to compare all with the database's list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_LIMIT = 1 << 128


@dataclass(frozen=True, kw_only=True)
class DocumentContents:
    """The chunks that a collection holds of one document.

    Attributes:
        chunks: how many there are.
        digest: of their ids, in any order; ids are derived from texts, so equal digests are equal texts.
    """

    chunks: int
    digest: str


NOTHING = DocumentContents(chunks=0, digest=f"{0:032x}")


def contents_of(ids: Iterable[str]) -> DocumentContents:
    """Return the contents of a document whose chunks have these ids, each named once."""
    return summarize(("", name) for name in ids).get("", NOTHING)


def summarize(rows: Iterable[tuple[str, str]]) -> dict[str, DocumentContents]:
    """Return the contents of every document.

    Args:
        rows: document and chunk id, each chunk once, in any order.
    """
    totals: dict[str, tuple[int, int]] = {}
    for document, name in rows:
        count, total = totals.get(document, (0, 0))
        totals[document] = count + 1, (total + int(name.replace("-", ""), 16)) % _LIMIT
    return {
        document: DocumentContents(chunks=count, digest=f"{total:032x}") for document, (count, total) in totals.items()
    }
