r"""Go's literals: quoting and unquoting strings and characters, and reading numbers.

Go's strings are bytes. Here a byte that is no part of valid UTF-8 is a lone surrogate U+DC80 to U+DCFF (Python's
`surrogateescape`), so that text which was cut inside of a character can be put together again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

MAX_INT = (1 << 63) - 1
MIN_INT = -(1 << 63)
MAX_UINT = (1 << 64) - 1

_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\"}
_UNESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|(\\|\n)", re.DOTALL)
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?=[0-9a-fA-F_]|\.[0-9a-fA-F])[0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?[pP][+-]?[0-9]+\Z")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_INT = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F_]+)|0[bB]([01_]+)|0[oO]?([0-7_]+)|([1-9][0-9_]*|0))\Z")


class LiteralError(ValueError):
    """The text is not a literal; the message is Go's."""


def to_bytes(text: str) -> bytes:
    """Return the bytes that Go has for the text."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _only_bytes(text) else "replace")


def _only_bytes(text: str) -> bool:
    return not any("\ud800" <= char <= "\udc7f" or "\udd00" <= char <= "\udfff" for char in text)


def from_bytes(data: bytes) -> str:
    """Return the text for Go's bytes."""
    return data.decode("utf-8", "surrogateescape")


def valid_text(text: str) -> str:
    """Return the text with U+FFFD for each byte that is not valid UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        joined = to_bytes(text).decode("utf-8", "surrogateescape")
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in joined)
    return text


def is_print(char: str) -> bool:
    """Return whether Go prints the character as it is, not as an escape."""
    return char.isprintable()


def quote(text: str, *, mark: str = '"', ascii_only: bool = False) -> str:
    """Return the text as a Go literal between two `mark`s."""
    if text.isascii() and text.isprintable() and mark not in text and "\\" not in text:
        return mark + text + mark
    shown = {ord(char): _quote_char(char, mark, ascii_only=ascii_only) for char in set(text)}
    return mark + text.translate(shown) + mark


def _quote_char(char: str, mark: str, *, ascii_only: bool) -> str:
    if char == mark:
        return "\\" + char
    escaped = _ESCAPES.get(char)
    if escaped:
        return escaped
    code = ord(char)
    if is_print(char) and (code < 0x80 or not ascii_only):
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def show_rune(char: str) -> str:
    """Return the character as Go's `%#U` does: `U+0041 'A'`."""
    shown = f"U+{ord(char):04X}"
    return f"{shown} '{char}'" if is_print(char) else shown


def unquote(quoted: str) -> str:
    """Return the text that a string literal stands for."""
    text = quoted[1:-1]
    if quoted[0] == "`":
        return text.replace("\r", "")
    if "\\" not in text:
        return text
    return from_bytes(_ESCAPE.sub(_unescape, text).encode("utf-8", "surrogateescape"))


def _unescape(found: re.Match[str]) -> str:
    code = _escaped_code(found, '"')
    if found.group(1) or found.group(2):
        return chr(code if code < 0x80 else 0xDC00 + code)
    return chr(code)


def _escaped_code(found: re.Match[str], mark: str) -> int:
    """Return the character code, or the byte, that an escape stands for."""
    hex2, octal, hex4, hex8, single, _ = found.groups()
    if hex2 or octal:
        code = int(hex2, 16) if hex2 else int(octal, 8)
        if code > 0xFF:
            raise LiteralError("invalid syntax")
        return code
    if hex4 or hex8:
        code = int(hex4 or hex8, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise LiteralError("invalid syntax")
        return code
    if single == mark:
        return ord(mark)
    if single in _UNESCAPES:
        return _UNESCAPES[single]
    raise LiteralError("invalid syntax")


def read_char(quoted: str) -> int:
    """Return the code of a character constant."""
    text = quoted[1:-1]
    if len(text) == 1 and text != "\\":
        return ord(text)
    found = _ESCAPE.match(text)
    if found is None:
        raise LiteralError("invalid syntax" if not text else f"malformed character constant: {quoted}")
    code = _escaped_code(found, "'")
    if found.end() != len(text):
        raise LiteralError(f"malformed character constant: {quoted}")
    return code


def read_int(text: str) -> int | None:
    """Return the whole number as Go's `ParseInt` with base 0 and any size reads it; None when it is none."""
    found = _INT.match(text)
    if found is None:
        return None
    sign, hexadecimal, binary, octal, decimal = found.groups()
    digits, base = next(
        (digits, base) for digits, base in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if digits
    )
    if not _has_good_underscores(text) or len(digits) > 80:
        return None
    number = int(digits.replace("_", ""), base)
    return -number if sign == "-" else number


def _has_good_underscores(text: str) -> bool:
    """Return whether each underscore stands between digits, or between a base prefix and a digit."""
    if "_" not in text:
        return True
    body = re.sub(r"\A[+-]?(?:0[xXbBoO])?", "0" if text.lstrip("+-")[:1] == "0" else "", text)
    return re.search(r"(?<![0-9a-fA-F])_|_(?![0-9a-fA-F])", body) is None and "_" not in text[:1]


def read_float(text: str) -> float | None:
    """Return the number as Go's `ParseFloat` reads it; None when it is none or too large."""
    if "_" in text:
        if not _has_good_underscores(text):
            return None
        text = text.replace("_", "")
    if _HEX_FLOAT.match(text):
        return _finite(float.fromhex, text)
    if _FLOAT.match(text) and len(text) < 2000:
        return _finite(float, text)
    return None


def _finite(convert: Callable[[str], float], text: str) -> float | None:
    try:
        number = convert(text)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
