"""Splits an expression into tokens."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

END = "end"
_SKIP = re.compile(r"(?:[ \t\r\n\f]+|//[^\n]*)+")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STRING = re.compile(
    r"(?P<prefix>[rRbB]{0,2})(?:"
    r'"""(?P<a>(?:[^\\]|\\.)*?)"""|'
    r"'''(?P<b>(?:[^\\]|\\.)*?)'''|"
    r'"(?P<c>(?:[^"\\\n\r]|\\.)*)"|'
    r"'(?P<d>(?:[^'\\\n\r]|\\.)*)')",
    re.DOTALL,
)
_RAW = re.compile(
    r'(?P<prefix>[rR][bB]?|[bB][rR])(?:"""(?P<a>.*?)"""|'
    r"'''(?P<b>.*?)'''|"
    r'"(?P<c>[^"\n\r]*)"|'
    r"'(?P<d>[^'\n\r]*)')",
    re.DOTALL,
)
_OPENS = re.compile(r"[rRbB]{0,2}['\"]")
_QUOTED_FIELD = re.compile(r"`([A-Za-z0-9_./ -]+)`")
_SIGN = re.compile(r"&&|\|\||[<>=!]=|[-+*/%<>!?:.,()\[\]{}=&|]")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"`?])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.?))", re.DOTALL
)
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_MAX_INT = 2**63
_MAX_DIGITS = 4000
_LONGEST_SHOWN = 40
_INSTEAD = {"=": "`==` compares", "&": "`&&` is and", "|": "`||` is or; CEL has no filters"}


class ExpressionSyntax(Exception):
    """The text is not a valid expression: message, offset and hint."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A token. `kind` is `value`, `word`, `field` (in backquotes), `sign` or `end`; `value` is a literal's value."""

    kind: str
    text: str
    offset: int
    value: Any = None

    @property
    def end(self) -> int:
        """Return the offset after the token."""
        return self.offset + len(self.text)


def split(text: str) -> list[Token]:
    """Split `text` into tokens, the last of kind `end`; raises ExpressionSyntax."""
    tokens: list[Token] = []
    offset = 0
    while True:
        blank = _SKIP.match(text, offset)
        offset = blank.end() if blank else offset
        if offset == len(text):
            return [*tokens, Token(kind=END, text="", offset=offset)]
        token = _next(text, offset)
        tokens.append(token)
        offset = token.end


def _next(text: str, offset: int) -> Token:
    if _OPENS.match(text, offset):
        return _string(text, offset)
    if found := _WORD.match(text, offset):
        return Token(kind="word", text=found[0], offset=offset)
    if found := _NUMBER.match(text, offset):
        return _number(found[0], offset)
    if found := _QUOTED_FIELD.match(text, offset):
        return Token(kind="field", text=found[0], offset=offset, value=found[1])
    found = _SIGN.match(text, offset)
    if found is None:
        raise ExpressionSyntax(f"unexpected character {text[offset]!r}", offset)
    if found[0] in _INSTEAD:
        raise ExpressionSyntax(f"unknown operator {found[0]!r}", offset, _INSTEAD[found[0]])
    return Token(kind="sign", text=found[0], offset=offset)


def _string(text: str, offset: int) -> Token:
    raw = _RAW.match(text, offset)
    found = raw or _STRING.match(text, offset)
    if found is None:
        raise ExpressionSyntax("unterminated text", offset, "add the closing quote")
    body = next(part for part in found.group("a", "b", "c", "d") if part is not None)
    is_bytes = "b" in found["prefix"].lower()
    start = found.start(next(name for name in "abcd" if found[name] is not None))
    value: Any = body if raw else _ESCAPE.sub(lambda escape: _unescape(escape, start), body)
    if is_bytes:
        value = value.encode("utf-8", "surrogatepass")
    return Token(kind="value", text=found[0], offset=offset, value=value)


def _unescape(found: re.Match[str], start: int) -> str:
    short, *numbers, octal, other = found.groups()
    if short is not None:
        return _CONTROLS.get(short, short)
    digits = next((digits for digits in numbers if digits is not None), None)
    code = int(digits, 16) if digits is not None else int(octal, 8) if octal is not None else -1
    if code < 0:
        raise ExpressionSyntax(f"unknown escape {found[0]!r}", start + found.start(), f"write \\\\{other}")
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ExpressionSyntax(f"{found[0]!r} is not a character", start + found.start())
    return chr(code)


def _number(text: str, offset: int) -> Token:
    digits = text.rstrip("uU")
    if digits[:2].lower() == "0x":
        value: int | float = int(digits, 16)
    elif set(digits) & set(".eE"):
        value = float(digits)
    else:
        # Python does not parse more than 4,300 digits.
        value = int(digits) if len(digits) <= _MAX_DIGITS else math.inf
    # A preceding sign decides: -2^63 is valid, 2^63 is not; the machine checks it.
    if value == math.inf or (isinstance(value, int) and value > _MAX_INT):
        shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        raise ExpressionSyntax(f"the number {shown} is too large", offset)
    return Token(kind="value", text=text, offset=offset, value=value)
