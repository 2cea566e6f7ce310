"""Tables in CSV: each row as `column: value` lines, so that a chunk is understood without its head."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from compozy.errors import DocumentError
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.text import decode

_DELIMITERS = ",;\t|"
_MAX_FIELD = 10_000_000
# Programs for tables write and read such a line before the head.
_NAMED = re.compile(r'"?sep=([^"\s]|\t)"?\r?\n', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*(?:"|\Z)')
_HEAD = 100_000
# A column may be named "#" as well, but not alone.
_BEFORE = re.compile(r"(?:[ \t]*(?:#[^\n,;\t|]*)?\n)*")
_MAX_TITLES = 20
_LOOKED_AT = 20
# Texts have no control characters, but for tabs and line ends.
_NO_DELIMITER = "\x1f"


def read(data: bytes) -> DocumentText:
    """Return the rows of a table; the first row names the columns.

    Raises:
        DocumentError: it is not a table.
    """
    text = decode(data)
    named = _NAMED.match(text)
    text = text[named.end() :] if named else text
    before, text = _split_preamble(text)
    rows = _rows(text, named[1] if named else _delimiter(text))
    start = _count_titles(rows)
    titles = ["".join(row).strip() for row in rows[:start] if any(row)]
    head, *body = rows[start:] or [[]]
    records = [_record(head, row) for row in body if any(row)] if body else ["\n".join(head)]
    return DocumentText(text="\n\n".join([*before, *titles, *records]))


def _split_preamble(text: str) -> tuple[list[str], str]:
    """Return the comments before the table, and the table."""
    found = _BEFORE.match(text)
    end = found.end() if found else 0
    return [line.strip() for line in text[:end].split("\n") if line.strip()], text[end:]


def _count_titles(rows: Sequence[Sequence[str]]) -> int:
    """Return how many rows before the head are empty, or fill the first of three or more columns, as titles do."""
    for number, row in enumerate(rows[:_MAX_TITLES]):
        if len(row) in {1, 2} or any(map(str.strip, row[1:])):
            return number
    return 0


def _rows(text: str, delimiter: str) -> list[list[str]]:
    csv.field_size_limit(_MAX_FIELD)
    try:
        return list(_reader(text, delimiter, strict=True))
    except csv.Error:
        # A quote that is never closed would make one cell of the rest of the table.
        is_open = text.count('"') % 2 == 1
    try:
        return list(_reader(text, delimiter, quoting=csv.QUOTE_NONE if is_open else csv.QUOTE_MINIMAL))
    except csv.Error as error:
        raise DocumentError(f"the table is broken: {error}") from error


def _reader(text: str, delimiter: str, **options: Any) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, **options)


def _delimiter(text: str) -> str:
    """Return what separates the columns in the head, and as often in the rows; quotes may hold other separators."""
    head_line, *lines = _QUOTED.sub("", text[:_HEAD]).split("\n")[:_LOOKED_AT]

    def fits(delimiter: str) -> tuple[int, int]:
        count = head_line.count(delimiter)
        return sum(line.count(delimiter) == count for line in lines), count

    # A table of one column may have commas in its values.
    return max(filter(head_line.__contains__, _DELIMITERS), key=fits, default=_NO_DELIMITER)


def _record(head: list[str], row: list[str]) -> str:
    named = [*head, *(f"column {index + 1}" for index in range(len(head), len(row)))]
    pairs = zip(named, row, strict=False)
    return "\n".join(f"{name.strip()}: {value.strip()}" for name, value in pairs if value.strip())
