"""The text of a DOCX as Markdown: its body, then headers, footers, notes and comments."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from xml.parsers import expat

from compozy.errors import DocumentError
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.docx_body import Body, Note
from compozy.knowledge.read.docx_package import Package
from compozy.knowledge.read.docx_styles import Numbering, Properties, Styles
from compozy.knowledge.read.text import clean

_CORE = "docProps/core.xml"
_OLE = b"\xd0\xcf\x11\xe0"
_MAX_MARGINS = 60
_MARGIN = re.compile(r"(?:header|footer)\d*\.xml")


def read(data: bytes) -> DocumentText:
    """Return the text of a DOCX.

    Raises:
        DocumentError: it is none, is broken, is encrypted, or unpacks to too much.
    """
    if data.startswith(_OLE):
        raise DocumentError(
            "the Word document needs a password, or is in the old format .doc", hint="save it as .docx without one"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read(Package(archive))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DocumentError(f"the Word document is broken: {str(error)[:200]}") from error
    except expat.ExpatError as error:
        raise DocumentError(f"the Word document is broken: {error}") from error


def _read(package: Package) -> DocumentText:
    main = package.main_part()
    folder = main.rpartition("/")[0]
    styles, numbering = Styles(), Numbering()
    package.parse(f"{folder}/styles.xml", styles)
    package.parse(f"{folder}/numbering.xml", numbering)

    def read_part(name: str) -> Body:
        body = Body(styles, numbering)
        package.parse(name, body)
        return body

    texts = [read_part(main).text()]
    margins = [name for name in package.names(folder) if _MARGIN.fullmatch(name)][:_MAX_MARGINS]
    # Sections repeat the same ones.
    texts += dict.fromkeys(read_part(f"{folder}/{name}").text() for name in margins)
    for part, mark in (("footnotes", ""), ("endnotes", "e")):
        texts += [_note(note, mark) for note in read_part(f"{folder}/{part}.xml").notes]
    texts += [_comment(note) for note in read_part(f"{folder}/comments.xml").notes]
    core = Properties()
    package.parse(_CORE, core)
    text = "\n\n".join(text for text in texts if text)
    return DocumentText(text=clean(text), title=clean(core.title).strip(), is_markdown=True)


def _note(note: Note, mark: str) -> str:
    return f"[^{mark}{note.id}]: {note.text}" if note.id else note.text


def _comment(note: Note) -> str:
    return f"Comment by {note.author}: {note.text}" if note.author else f"Comment: {note.text}"
