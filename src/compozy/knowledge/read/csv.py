"""Tables in CSV: each row as `column: value` lines, so that a chunk is understood without its head."""

from __future__ import annotations

import csv
import io

from compozy.errors import DocumentError
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.text import decode

_DELIMITERS = ",;\t|"
_MAX_FIELD = 10_000_000


def read(data: bytes) -> DocumentText:
    """Return the rows of a table; the first row names the columns.

    Raises:
        DocumentError: it is no table.
    """
    text = decode(data)
    csv.field_size_limit(_MAX_FIELD)
    head_line = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head_line.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise DocumentError(f"the table is broken: {error}") from error
    head, *body = rows or [[]]
    if not body:
        return DocumentText(text="\n".join(head))
    return DocumentText(text="\n\n".join(_record(head, row) for row in body if any(row)))


def _record(head: list[str], row: list[str]) -> str:
    named = [*head, *(f"column {index + 1}" for index in range(len(head), len(row)))]
    pairs = zip(named, row, strict=False)
    return "\n".join(f"{name.strip()}: {value.strip()}" for name, value in pairs if value.strip())
