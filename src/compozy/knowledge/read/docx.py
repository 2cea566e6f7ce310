"""The text of a DOCX: paragraphs, headings, lists and tables, read from its XML as it is unpacked."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.parsers import expat

from compozy.errors import DocumentError
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.text import clean

MAX_UNPACKED = 256 * 1024 * 1024
_BODY = "word/document.xml"
_CORE = "docProps/core.xml"
_BLOCK = 64 * 1024
_HEADING = re.compile(r"^Heading ?([1-6])$", re.IGNORECASE)
_MAX_DEPTH = 200


def read(data: bytes) -> DocumentText:
    """Return the text of a DOCX.

    Raises:
        DocumentError: it is none, is broken, or unpacks to too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            if _BODY not in names:
                raise DocumentError("it is no Word document")
            body = _Body()
            _parse(archive, _BODY, body)
            core = _Core()
            if _CORE in names:
                _parse(archive, _CORE, core)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DocumentError(f"the Word document is broken: {str(error)[:200]}") from error
    except expat.ExpatError as error:
        raise DocumentError(f"the Word document is broken: {error}") from error
    return DocumentText(text=clean(body.text()), title=clean(core.title).strip(), is_markdown=True)


def _parse(archive: zipfile.ZipFile, name: str, reader: _Body | _Core) -> None:
    parser = expat.ParserCreate()
    # A type declaration could define entities that blow up, or name files; Word writes none.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise DocumentError("the Word document is nested too deeply")
        reader.start(tag.rpartition(":")[2], {key.rpartition(":")[2]: value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        reader.end(tag.rpartition(":")[2])

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = reader.data
    for block in _unpack(archive, name):
        parser.Parse(block)
    parser.Parse(b"", True)


def _unpack(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    unpacked = 0
    with archive.open(name) as file:
        while block := file.read(_BLOCK):
            unpacked += len(block)
            # What the archive says of its size is not to be believed.
            if unpacked > MAX_UNPACKED:
                raise DocumentError(f"the Word document unpacks to more than {MAX_UNPACKED // 2**20} MiB")
            yield block


def _refuse_doctype(*_: object) -> None:
    raise DocumentError("the Word document has a type declaration, which Word does not write")


class _Body:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._paragraph: list[str] = []
        self._mark = ""
        self._in_text = 0
        self._cells = 0

    def text(self) -> str:
        return "".join(self._parts).strip()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "t":
            self._in_text += 1
        elif tag in {"tab", "br", "cr"}:
            self._paragraph.append("\t" if tag == "tab" else "\n")
        elif tag == "pStyle" and (heading := _HEADING.match(attributes.get("val", ""))):
            self._mark = f"{'#' * int(heading[1])} "
        elif tag == "numPr" and not self._mark:
            self._mark = "- "
        elif tag == "tc":
            self._cells += 1

    def end(self, tag: str) -> None:
        if tag == "t":
            self._in_text -= 1
        elif tag == "p":
            self._end_paragraph()
        elif tag == "tc":
            self._cells -= 1
        elif tag == "tr" or tag == "tbl":
            self._parts.append("\n")

    def data(self, text: str) -> None:
        if self._in_text:
            self._paragraph.append(text)

    def _end_paragraph(self) -> None:
        text = "".join(self._paragraph).strip()
        if text and self._cells:
            self._parts.append(f"{text} | ")
        elif text:
            self._parts.append(f"{self._mark}{text}\n" if self._mark == "- " else f"{self._mark}{text}\n\n")
        self._paragraph.clear()
        self._mark = ""


class _Core:
    def __init__(self) -> None:
        self.title = ""
        self._in_title = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: ARG002 - as `_Body` has it
        self._in_title = tag == "title"

    def end(self, tag: str) -> None:  # noqa: ARG002 - as `_Body` has it
        self._in_title = False

    def data(self, text: str) -> None:
        if self._in_title:
            self.title += text
