"""Tables in CSV: each row as `column: value` lines, so that a chunk is understood without its head."""

from __future__ import annotations

import csv
import io
import re

from compozy.errors import DocumentError
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.text import decode

_DELIMITERS = ",;\t|"
_MAX_FIELD = 10_000_000
# Programs for tables write and read such a line before the head.
_NAMED = re.compile(r'"?sep=([^"\s]|\t)"?\r?\n', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*(?:"|\Z)')
_HEAD = 100_000


def read(data: bytes) -> DocumentText:
    """Return the rows of a table; the first row names the columns.

    Raises:
        DocumentError: it is not a table.
    """
    text = decode(data)
    named = _NAMED.match(text)
    text = text[named.end() :] if named else text
    csv.field_size_limit(_MAX_FIELD)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=named[1] if named else _delimiter(text)))
    except csv.Error as error:
        raise DocumentError(f"the table is broken: {error}") from error
    head, *body = rows or [[]]
    if not body:
        return DocumentText(text="\n".join(head))
    return DocumentText(text="\n\n".join(_record(head, row) for row in body if any(row)))


def _delimiter(text: str) -> str:
    """Return what separates the columns in the head; names in quotes may hold other separators."""
    head_line = _QUOTED.sub("", text[:_HEAD]).partition("\n")[0]
    return max(_DELIMITERS, key=head_line.count)


def _record(head: list[str], row: list[str]) -> str:
    named = [*head, *(f"column {index + 1}" for index in range(len(head), len(row)))]
    pairs = zip(named, row, strict=False)
    return "\n".join(f"{name.strip()}: {value.strip()}" for name, value in pairs if value.strip())
