"""Writes and reads JSON as Go's encoding/json does."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn, cast

from compozy.template.literals import MAX_INT, MIN_INT, quote
from compozy.template.printing import show_float
from compozy.template.values import (
    INVALID,
    MAX_PRINTED_DEPTH,
    GoError,
    GoValue,
    LimitError,
    is_list,
    is_map,
    is_nil_collection,
    type_name,
)

MAX_EXPLAINED = 100_000
"""The location of an error in a longer text comes from Python, not from Go's message."""

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL = re.compile('["\\\\\x00-\x1f\u2028\u2029\ud800-\udfff]')
_SPECIAL_HTML = re.compile('["\\\\\x00-\x1f\u2028\u2029\ud800-\udfff<>&]')


def write_json(value: Any, *, longest: int, indent: str = "", html: bool = True) -> str:
    """Return the value as JSON with sorted keys; `html` escapes <, > and &.

    Raises:
        GoError: the value is not JSON.
        LimitError: the text has more than `longest` characters, or the value is nested too deeply.
    """
    parts: list[str] = []
    size = 0
    for part in _write(value, "\n" if indent else "", indent, _SPECIAL_HTML if html else _SPECIAL, 0):
        size += len(part)
        if size > longest:
            raise LimitError(f"text of more than {longest} characters")
        parts.append(part)
    return "".join(parts)


def _write(value: Any, line: str, indent: str, special: re.Pattern[str], depth: int) -> Iterator[str]:
    if depth > MAX_PRINTED_DEPTH:
        raise LimitError(f"a value is nested more than {MAX_PRINTED_DEPTH} levels deep")
    if (is_map(value) or is_list(value)) and not is_nil_collection(value):
        yield from _write_collection(cast("Any", value), line, indent, special, depth)
    elif isinstance(value, str):
        yield f'"{special.sub(_escape, value)}"'
    elif isinstance(value, GoValue):
        yield f'"{special.sub(_escape, str(value.to_json()))}"'
    else:
        yield _write_plain(value)


def _write_collection(value: Any, line: str, indent: str, special: re.Pattern[str], depth: int) -> Iterator[str]:
    keyed = is_map(value)
    opening, closing = "{}" if keyed else "[]"
    if not value:
        yield opening + closing
        return
    inner = line + indent
    colon = ": " if indent else ":"
    lead = opening + inner
    for key in sorted(value) if keyed else value:
        yield lead
        if keyed:
            yield f'"{special.sub(_escape, key)}"{colon}'
        yield from _write(value[key] if keyed else key, inner, indent, special, depth + 1)
        lead = "," + inner
    yield line + closing


def _write_plain(value: Any) -> str:
    if value is None or value is INVALID or is_nil_collection(value):
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value) if MIN_INT <= value <= MAX_INT else _write_float(float(value))
    if isinstance(value, float):
        return _write_float(value)
    raise GoError(f"json: unsupported type: {type_name(value)}")


def _write_float(number: float) -> str:
    if not math.isfinite(number):
        raise GoError(f"json: unsupported value: {show_float(number)}")
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    if 1e-6 <= abs(number) < 1e21:
        return format(Decimal(repr(number)), "f").removesuffix(".0")
    mantissa, _, exponent = repr(number).partition("e")
    return f"{mantissa}e{int(exponent):+}".replace("e+0", "e+")


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def read_json(text: str) -> Any:
    """Return the value of a JSON text, every number a float; raises GoError with Go's message."""
    try:
        value = json.loads(text, parse_int=_read_float, parse_float=_read_float, parse_constant=_refuse)
    except RecursionError as error:
        raise GoError("exceeded max depth") from error
    except ValueError as error:
        fault = find_fault(text) if len(text) <= MAX_EXPLAINED else ""
        raise GoError(fault or str(error)[:MAX_EXPLAINED]) from error
    return value if text.isascii() and "\\u" not in text else _replace_surrogates(value)


def _read_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return number


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", value)
    if is_map(value):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    if is_list(value):
        return [_replace_surrogates(item) for item in value]
    return value


_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')
_NUMBER_STATES: dict[str, dict[str, str]] = {
    "sign": {"0": "zero", "123456789": "whole"},
    "zero": {".": "point", "eE": "e"},
    "whole": {"0123456789": "whole", ".": "point", "eE": "e"},
    "point": {"0123456789": "fraction"},
    "fraction": {"0123456789": "fraction", "eE": "e"},
    "e": {"+-": "e_sign", "0123456789": "exponent"},
    "e_sign": {"0123456789": "exponent"},
    "exponent": {"0123456789": "exponent"},
}
_NUMBER_FAULTS = {
    "sign": "in numeric literal",
    "point": "after decimal point in numeric literal",
    "e": "in exponent of numeric literal",
    "e_sign": "in exponent of numeric literal",
}


class _Faulty(Exception):
    """The offset and the context of invalid JSON."""


def find_fault(text: str) -> str:
    """Return Go's message for invalid JSON, "" for valid JSON."""
    scanner = _Scanner(text)
    try:
        scanner.whole()
    except _Faulty as fault:
        offset, context = fault.args
        if offset >= len(text):
            return "unexpected end of JSON input"
        return f"invalid character {_quote_char(text[offset])} {context}"
    return ""


def _quote_char(char: str) -> str:
    if char in "'\"":
        return "'\\''" if char == "'" else "'\"'"
    return f"'{quote(char)[1:-1]}'"


class _Scanner:
    """Walks over a JSON text up to its first error."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> None:
        """Skip the one value of the text."""
        self.value(0)
        if self.space():
            raise _Faulty(self.at, "after top-level value")

    def space(self) -> str:
        """Skip white space and return the next character."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> None:
        """Skip a value."""
        if depth > 200:
            raise GoError("exceeded max depth")
        char = self.space()
        if char in ("{", "["):
            self.collection(char, depth)
        elif char == '"':
            self.string()
        elif char and char in "-0123456789":
            self.number()
        else:
            self.literal(char)

    def literal(self, char: str) -> None:
        """Skip true, false or null."""
        word = {"t": "true", "f": "false", "n": "null"}.get(char)
        if word is None:
            raise _Faulty(self.at, "looking for beginning of value")
        for expected in word:
            if self.text[self.at : self.at + 1] != expected:
                raise _Faulty(self.at, f"in literal {word} (expecting {_quote_char(expected)})")
            self.at += 1

    def string(self) -> None:
        """Skip a string."""
        found = _STRING.match(self.text, self.at)
        self.at = found.end() if found else self.at
        char = self.text[self.at : self.at + 1]
        if char == '"':
            self.at += 1
            return
        if char != "\\":
            raise _Faulty(self.at, "in string literal")
        after = self.text[self.at + 1 : self.at + 2]
        if after != "u":
            raise _Faulty(self.at + 1, "in string escape code")
        self.at += 2
        while self.text[self.at : self.at + 1] in {*"0123456789abcdefABCDEF"}:
            self.at += 1
        raise _Faulty(self.at, "in \\u hexadecimal character escape")

    def number(self) -> None:
        """Skip a number."""
        state = "sign"
        self.at += self.text[self.at] == "-"
        while True:
            char = self.text[self.at : self.at + 1]
            moves = _NUMBER_STATES[state].items()
            following = next((to for chars, to in moves if char and char in chars), None)
            if following is None:
                break
            state = following
            self.at += 1
        if state in _NUMBER_FAULTS:
            raise _Faulty(self.at, _NUMBER_FAULTS[state])

    def collection(self, opening: str, depth: int) -> None:
        """Skip a list or a map."""
        closing = "}" if opening == "{" else "]"
        self.at += 1
        if self.space() == closing:
            self.at += 1
            return
        while True:
            if opening == "{":
                self.key()
            self.value(depth + 1)
            char = self.space()
            if char == closing:
                self.at += 1
                return
            if char != ",":
                raise _Faulty(self.at, "after object key:value pair" if opening == "{" else "after array element")
            self.at += 1

    def key(self) -> None:
        """Skip the key of a map and its colon."""
        if self.space() != '"':
            raise _Faulty(self.at, "looking for beginning of object key string")
        self.string()
        if self.space() != ":":
            raise _Faulty(self.at, "after object key")
        self.at += 1
