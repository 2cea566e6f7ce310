"""Plain text: UTF-8, or what its first bytes say."""

from __future__ import annotations

import codecs

from compozy.errors import DocumentError
from compozy.knowledge.read.document import DocumentText

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A text has none of these; a picture with the name of a text has many.
_CONTROLS = frozenset(range(0x20)) - {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1B}
_SAMPLE = 8192
_MAX_CONTROLS = 0.01


def read(data: bytes) -> DocumentText:
    """Return a document of plain text."""
    return DocumentText(text=decode(data))


def decode(data: bytes) -> str:
    """Return bytes as text: UTF-8, UTF-16 or UTF-32 with their marks, else Windows-1252, which old files are in.

    Raises:
        DocumentError: it is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return clean(_decode(data, encoding))
    sample = data[:_SAMPLE]
    if sum(byte in _CONTROLS for byte in sample) > _MAX_CONTROLS * len(sample):
        raise DocumentError("it is no text, or in an encoding that is not known", hint="save it as UTF-8")
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd") - data.count("\ufffd".encode())
    beyond_ascii = len(text) - sum(map(str.isascii, text)) - broken
    # A text of Windows-1252 has hardly a letter that is UTF-8 by chance; one bad byte does not make it such a text.
    return clean(text if broken <= beyond_ascii else data.decode("cp1252", errors="replace"))


def has_mark(data: bytes) -> bool:
    """Return whether the bytes begin with the mark of an encoding."""
    return any(data.startswith(mark) for mark, _ in _MARKS)


def clean(text: str) -> str:
    """Return text that every store can hold: no NUL, no halves of characters, lines that end in a newline.

    Soft hyphens, which only show where a word may be divided, are left out as well.
    """
    whole = text.encode("utf-8", errors="replace").decode("utf-8")
    return whole.replace("\0", "").replace("\u00ad", "").replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentError(f"it begins as {encoding.upper()} and is none", hint="save it as UTF-8") from error
