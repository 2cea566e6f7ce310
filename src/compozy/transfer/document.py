"""The format of `compozy db export`: one JSON object with one row per line, so that any size needs little memory.

    {"header":{"format":"compozy-export","version":1,...},"header_checksum":"sha256:...",
    "sections":{
    "compozy_facts":[
    {"name":"project","value":"shop"}
    ],
    ...
    },
    "counts":{"compozy_facts":1,...},
    "checksum":"sha256:..."}

The checksum covers the lines between the first and the last, including their newlines. Readers that go by lines may
rely on this layout; for any other program it is JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Annotated, Any, ClassVar, Literal, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from compozy.database.jsontext import dump_json
from compozy.errors import ExportFileError
from compozy.transfer.sections import check_content

FORMAT = "compozy-export"
VERSION = 1
# A longer line cannot be a row.
_LINE_MAX = 512 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_RESTORE = "export it again, or use another copy of the file"


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of a document. Only the header differs between two exports of the same rows.

    Args:
        project: the project that the runs belong to.
        source: the exported database as shown in messages, without secrets.
        database_id: its database ID.
        driver: `sqlite` or `postgres`.
        revision: the revision of its tables.
        journal_revision: the revision of the engine's tables, 0 without them.
        compozy: the version that wrote the document.
        exported_at: RFC 3339.
        mode: `copy`, whose unfinished runs arrive paused, or `move`, whose unfinished runs continue.
        move_id: the move's ID.
        filters: the requested filters.
    """

    project: str
    source: str
    database_id: str
    driver: Annotated[str, Field(pattern=r"^(postgres|sqlite)$")]
    revision: str
    journal_revision: int
    compozy: str
    exported_at: str
    mode: Literal["copy", "move"]
    move_id: str | None = None
    filters: dict[str, Any] = field(default_factory=dict[str, Any])
    format: str = FORMAT
    version: int = VERSION

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    @property
    def is_move(self) -> bool:
        """Whether unfinished runs continue where the document is imported."""
        return self.mode == "move"


_HEADER = TypeAdapter(Header)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a document. `line` counts from 1."""

    section: str
    line: int
    value: Any


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The totals of a document: its rows by section, its length in bytes."""

    header: Header
    counts: dict[str, int]
    size: int


def write_document(
    out: IO[bytes], header: Header, sections: Iterable[tuple[str, Iterable[dict[str, Any]]]]
) -> Generator[None, None, dict[str, int]]:
    """Write a document; yields after each row, and returns the number of rows by section.

    Raises:
        OSError: the document cannot be written.
    """
    head = asdict(header)
    opening = {"header": head, "header_checksum": _checksum_of(dump_json(head))}
    out.write(f"{dump_json(opening)[:-1]},\n".encode())
    digest = hashlib.sha256()

    def write(line: str) -> None:
        encoded = f"{line}\n".encode()
        digest.update(encoded)
        out.write(encoded)

    counts: dict[str, int] = {}
    write('"sections":{')
    for number, (name, rows) in enumerate(sections):
        counts[name] = 0
        before = ""
        write(f"{',' if number else ''}{dump_json(name)}:[")
        for row in rows:
            write(f"{before}{dump_json(row)}")
            before = ","
            counts[name] += 1
            yield
        write("]")
    write("},")
    write(f'"counts":{dump_json(counts)},')
    out.write(f'"checksum":"sha256:{digest.hexdigest()}"}}\n'.encode())
    return counts


def read_header(source: IO[bytes]) -> Header:
    """Read the header from the first line of a document.

    Raises:
        ExportFileError: the file is not an export, was written by a newer Compozy, or was changed.
    """
    line = source.readline(_LINE_MAX)
    if not line:
        raise ExportFileError("the file is empty", hint="it should have been written by `compozy db export`")
    if line.startswith(_GZIP):
        raise ExportFileError("the file is compressed", hint="import it with `gunzip -c FILE | compozy db import -`")
    if not line.startswith(b'{"header":{'):
        raise ExportFileError(
            "line 1: not a document of `compozy db export`",
            hint="to restore a backup of `compozy db backup`, use `compozy db restore`",
        )
    opening = _object(_parse(line.rstrip().removesuffix(b",") + b"}", 1))
    header = _object(opening.get("header"))
    if header.get("format") != FORMAT:
        raise ExportFileError("line 1: not a document of `compozy db export`")
    version = header.get("version")
    if version != VERSION:
        raise ExportFileError(
            f"line 1: the document has version {version!r}; this Compozy supports {VERSION}",
            hint="use the version of Compozy that wrote it, or a newer one",
        )
    if opening.get("header_checksum") != _checksum_of(dump_json(header)):
        raise ExportFileError("line 1: the header was changed after it was written", hint=_RESTORE)
    return _to_header(header)


def _to_header(header: dict[str, Any]) -> Header:
    try:
        found = _HEADER.validate_json(dump_json(header))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ExportFileError(f"line 1: the header is invalid at {where!r}: {first['msg']}", hint=_RESTORE) from None
    if not all(value.isprintable() for value in header.values() if isinstance(value, str)):
        raise ExportFileError("line 1: the header contains characters that cannot be shown", hint=_RESTORE)
    return found


def read_rows(source: IO[bytes], header: Header) -> Generator[Row, None, Summary]:
    """Yield each row of a document after its header, and return the totals.

    Rows are yielded before the checksum at the end is read: store them in one transaction, or read the document to its
    end first.

    Raises:
        ExportFileError: the document is incomplete, was changed, is not in the layout of `compozy db export`, or
                contains a row that Compozy never writes.
    """
    lines = _Lines(source)
    counts: dict[str, int] = {}
    lines.expect(b'"sections":{')
    line = lines.next()
    while line != b"},":
        name = _section_name(line, lines.number, is_first=not counts)
        if name in counts:
            raise lines.error("a section appears twice")
        counts[name] = 0
        while (line := lines.next()) != b"]":
            text = line.removeprefix(b",") if counts[name] else line
            counts[name] += 1
            yield _row(name, lines.number, text)
        line = lines.next()
    told = _parse(b"{" + lines.next().removesuffix(b",") + b"}", lines.number)
    if told != {"counts": counts}:
        raise lines.error("the number of rows differs from `counts`")
    found = lines.checksum()
    if lines.next() != f'"checksum":"{found}"}}'.encode():
        raise ExportFileError("the file was changed after it was written: the checksum differs", hint=_RESTORE)
    if source.read(1):
        raise ExportFileError("there is data after the end of the document", hint=_RESTORE)
    return Summary(header=header, counts=counts, size=lines.size)


def _row(section: str, line: int, text: bytes) -> Row:
    value = _parse(text, line)
    try:
        check_content(section, value)
    except ValueError as error:
        raise ExportFileError(
            f"line {line}: invalid row of {section}: {error}",
            hint="do not import it: Compozy did not write this document",
        ) from None
    return Row(section=section, line=line, value=value)


def verify_document(source: IO[bytes]) -> Summary:
    """Read a document to its end, and return its totals.

    Raises:
        ExportFileError: as for `read_header` and `read_rows`.
    """
    rows = read_rows(source, read_header(source))
    while True:
        try:
            next(rows)
        except StopIteration as end:
            return end.value


class _Lines(Iterator[bytes]):
    """The lines of a document after the first, without their newlines, and their checksum."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.number = 1
        self.size = 0

    def __next__(self) -> bytes:
        line = self._source.readline(_LINE_MAX)
        self.number += 1
        self.size += len(line)
        if not line.endswith(b"\n"):
            what = "line is too long" if len(line) >= _LINE_MAX else "file ends too early"
            raise ExportFileError(f"line {self.number}: the {what}", hint=_RESTORE)
        self._digest.update(line)
        return line[:-1]

    next = __next__

    def expect(self, wanted: bytes) -> None:
        if self.next() != wanted:
            raise self.error(f"expected {wanted.decode()}")

    def checksum(self) -> str:
        """Return the checksum of all lines read so far."""
        return f"sha256:{self._digest.hexdigest()}"

    def error(self, what: str) -> ExportFileError:
        return ExportFileError(
            f"line {self.number}: {what}",
            hint="import the document as `compozy db export` wrote it; a program that reformats JSON breaks it",
        )


def _section_name(line: bytes, number: int, *, is_first: bool) -> str:
    text = line if is_first else line.removeprefix(b",")
    name = _parse(text[:-2], number) if text.endswith(b":[") and (is_first or line.startswith(b",")) else None
    if not isinstance(name, str):
        raise ExportFileError(
            f"line {number}: expected the start of a section",
            hint="import the document as `compozy db export` wrote it; a program that reformats JSON breaks it",
        )
    return name


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _parse(text: bytes, number: int) -> Any:
    try:
        return json.loads(text.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ExportFileError(f"line {number}: invalid JSON", hint=_RESTORE) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _checksum_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
