"""Plain text: UTF-8, or what its first bytes say."""

from __future__ import annotations

import codecs
import re
import string

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
_LEFT_OUT = "\0\u00ad\ufeff"
_SAMPLE = 8192
_MAX_CONTROLS = 0.01
# A text that begins with the mark of its encoding may have a few bad characters: it was cut, or joined from files.
_MAX_BAD = 0.01
# Characters beyond U+FFFF as Java, Oracle and MySQL export them: each half as if it were a character.
_HALVES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_JAPANESE_MAIL = b"\x1b$"
# A text in Windows-1252 has most of its letters in ASCII, and beyond ASCII little else than letters and these signs. It
# has none of the five bytes that are not defined.
_ASCII_LETTERS = string.ascii_letters.encode()
_SIGNS = "€„…‘’“”•–—\xa0¡£§©«®°±²³µ·»¿×".encode("cp1252")
_BEYOND_ASCII = bytes(set(range(0x80, 0x100)) - set(_SIGNS))
_UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
_FEW_LETTERS, _MAX_LETTERS = 10, 0.4
_FEW_UNDEFINED, _MAX_UNDEFINED = 3, 0.1


def read(data: bytes) -> DocumentText:
    """Return a document of plain text."""
    return DocumentText(text=decode(data))


def decode(data: bytes) -> str:
    """Return bytes as text: UTF-8, UTF-16 or UTF-32 with their marks, else Windows-1252, which old files are in.

    Raises:
        DocumentError: it is not text, or in another encoding.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return clean(_decode(data, encoding))
    sample = data[:_SAMPLE]
    if sum(byte in _CONTROLS for byte in sample) > _MAX_CONTROLS * len(sample):
        raise DocumentError("it is not text, or its encoding is unknown", hint="save it as UTF-8")
    text = _decode_utf8(data)
    return clean(_decode_western(data) if text is None else text)


def is_assumed(data: bytes) -> bool:
    """Return whether `decode` has nothing but the frequency of letters to decide that the bytes are Windows-1252."""
    return not data.isascii() and not has_mark(data) and _decode_utf8(data) is None


def _decode_utf8(data: bytes) -> str | None:
    """Return bytes as text in UTF-8, which may have a few bad bytes; None when they are in another encoding."""
    if _JAPANESE_MAIL in data and data.isascii():
        try:
            return data.decode("iso2022_jp_ext")
        except UnicodeDecodeError:
            return data.decode("ascii")
    data = _HALVES.sub(_join_halves, data)
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd") - data.count("\ufffd".encode())
    beyond_ascii = len(text) - sum(map(str.isascii, text)) - broken
    # A text of Windows-1252 has hardly a letter that is UTF-8 by chance; one bad byte does not make it such a text.
    return text if broken <= beyond_ascii else None


def _join_halves(halves: re.Match[bytes]) -> bytes:
    pair = halves[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass")
    return pair.decode("utf-16").encode()


def _decode_western(data: bytes) -> str:
    """Return bytes as text in Windows-1252.

    Raises:
        DocumentError: they are in another encoding, such as Windows-1251 or Shift_JIS.
    """
    beyond, latin = _count(data, _BEYOND_ASCII), _count(data, _ASCII_LETTERS)
    undefined = _count(data, _UNDEFINED)
    is_foreign = beyond >= _FEW_LETTERS and beyond > _MAX_LETTERS * (beyond + latin)
    if is_foreign or undefined >= max(_FEW_UNDEFINED, _MAX_UNDEFINED * beyond):
        raise DocumentError("it is neither in UTF-8 nor in Windows-1252", hint="save it as UTF-8")
    return data.decode("cp1252", errors="replace")


def _count(data: bytes, wanted: bytes) -> int:
    return len(data) - len(data.translate(None, wanted))


def has_mark(data: bytes) -> bool:
    """Return whether the bytes begin with the mark of an encoding."""
    return any(data.startswith(mark) for mark, _ in _MARKS)


def clean(text: str) -> str:
    """Return text that every store can hold: no NUL, no halves of characters, lines that end in a newline.

    Soft hyphens, which only show where a word may be divided, and marks of encodings are left out as well.
    """
    whole = text.encode("utf-8", errors="replace").decode("utf-8")
    for character in _LEFT_OUT:
        whole = whole.replace(character, "")
    return whole.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes, encoding: str) -> str:
    """Return bytes as text in the encoding of their mark, with U+FFFD for a few bad characters."""
    text = data.decode(encoding, errors="replace")
    bad = len(text) - len(data.decode(encoding, errors="ignore"))
    if bad == len(text) or bad > max(1, _MAX_BAD * len(text)):
        name = encoding.upper().removesuffix("-SIG")
        raise DocumentError(f"it has the byte order mark of {name}, but it is not {name}", hint="save it as UTF-8")
    return text
