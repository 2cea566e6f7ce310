"""Reads the number constants of a template."""

from __future__ import annotations

from compozy.template.lexer import Kind, Token
from compozy.template.literals import MAX_INT, MAX_UINT, MIN_INT, LiteralError, quote, read_char, read_float, read_int
from compozy.template.nodes import Number


def read_number(token: Token) -> Number:
    """Return the node of a number, a character constant or a complex number; raises LiteralError."""
    text = token.text
    node = Number(token.pos, text)
    if token.kind == Kind.CHAR_CONSTANT:
        node.as_int = node.as_uint = read_char(text)
        node.as_float = float(node.as_int)
    elif token.kind == Kind.COMPLEX:
        _set_complex(node, _read_complex(text))
    elif text.endswith("i") and (imaginary := read_float(text[:-1])) is not None:
        _set_complex(node, complex(0, imaginary))
    else:
        _set_real(node, text)
    return node


def _read_complex(text: str) -> complex:
    middle = max(text.rfind("+"), text.rfind("-"))
    if text[middle - 1] in "eEpP":
        middle = max(text.rfind("+", 0, middle), text.rfind("-", 0, middle))
    return complex(_read_part(text[:middle]), _read_part(text[middle:-1]))


def _read_part(text: str) -> float:
    """Return a part of a complex number."""
    number = read_float(text)
    if number is not None:
        return number
    if text.lstrip("+-")[:2] in {"", "0x", "0X"}:
        raise LiteralError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    raise LiteralError("syntax error scanning complex number")


def _set_complex(node: Number, value: complex) -> None:
    node.as_complex = value
    if value.imag == 0:
        node.as_float = value.real
        _set_whole(node, value.real)


def _set_real(node: Number, text: str) -> None:
    whole = read_int(text)
    if whole is not None and MIN_INT <= whole <= MAX_INT:
        node.as_int = whole
        node.as_float = float(whole)
    if whole is not None and 0 <= whole <= MAX_UINT and (text[0] not in "+-" or whole == 0):
        node.as_uint = whole
        node.as_float = float(whole)
    if node.as_int is not None or node.as_uint is not None:
        return
    number = read_float(text)
    if number is None:
        raise LiteralError(f"illegal number syntax: {quote(text)}")
    if not any(char in ".eEpP" for char in text):
        raise LiteralError(f"integer overflow: {quote(text)}")
    node.as_float = number
    _set_whole(node, number)


def _set_whole(node: Number, number: float) -> None:
    if not number.is_integer():
        return
    if MIN_INT <= number <= MAX_INT:
        node.as_int = int(number)
    if 0 <= number <= MAX_UINT:
        node.as_uint = int(number)
