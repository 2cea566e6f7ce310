"""Prints values as Go's `fmt.Print` does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from compozy.template.literals import MAX_INT, MIN_INT
from compozy.template.values import (
    INVALID,
    MAX_PRINTED_DEPTH,
    GoError,
    GoValue,
    Int64,
    Invalid,
    LimitError,
    Strings,
    Uint8,
    Uint64,
    is_list,
    is_map,
)


def show(value: object) -> str:
    """Return the text of a value, as `%v` gives it."""
    printer = _PRINTERS.get(type(value))
    return printer(value) if printer else _show_deep(value, 0)


def show_float(number: float) -> str:
    """Return the shortest text of a float, with an exponent from 1e6 on and below 1e-4, as Go's `%v`."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else ("+Inf" if number > 0 else "-Inf")
    text = repr(number)
    if "e" not in text:
        if -1e6 < number < 1e6:
            return text.removesuffix(".0")
        return _with_exponent(text)
    mantissa, exponent = text.split("e")
    sign, digits = exponent[0], exponent[1:]
    return f"{mantissa}e{sign}{digits:0>2}" if sign in "+-" else f"{mantissa}e+{exponent:0>2}"


def _with_exponent(text: str) -> str:
    """Return `1234567.0` as `1.234567e+06`."""
    sign = "-" if text[0] == "-" else ""
    whole, _, fraction = text.lstrip("-").partition(".")
    digits = (whole + fraction.removesuffix("0") if fraction != "0" else whole).rstrip("0")
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e+{len(whole) - 1:02}"


def show_int(number: int) -> str:
    """Return the text of a whole number; beyond 64 bits it counts as a float."""
    return int.__repr__(number) if MIN_INT <= number <= MAX_INT else show_float(float(number))


def show_complex(number: complex) -> str:
    """Return the text of a complex number: `(1+2i)`."""
    imaginary = show_float(number.imag)
    return f"({show_float(number.real)}{'' if imaginary[0] in '+-' else '+'}{imaginary}i)"


def _show_deep(value: Any, depth: int) -> str:
    """Return the text of a value inside of `depth` others."""
    if depth > MAX_PRINTED_DEPTH:
        raise LimitError(f"a value is nested more than {MAX_PRINTED_DEPTH} levels deep")
    if is_map(value):
        items = (f"{key}:{_show_item(value[key], depth)}" for key in sorted(value))
        return f"map[{' '.join(items)}]"
    if is_list(value):
        return f"[{' '.join(_show_item(item, depth) for item in value)}]"
    if isinstance(value, GoValue):
        return value.show()
    return _show_subclass(value)


def _show_item(value: object, depth: int) -> str:
    printer = _PRINTERS.get(type(value))
    return printer(value) if printer else _show_deep(value, depth + 1)


def _show_subclass(value: Any) -> str:
    """Return the text of a value of a Python class that is derived from one of JSON's."""
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return _PRINTERS[base](value)
    raise GoError(f"the data holds a Python {type(value).__name__}, which is not a JSON value")


_PRINTERS: dict[type, Callable[[Any], str]] = {
    str: str.__str__,
    bool: lambda value: "true" if value else "false",
    int: show_int,
    float: show_float,
    complex: show_complex,
    type(None): lambda _: "<nil>",
    Invalid: lambda _: "<no value>",
    Int64: int.__repr__,
    Uint8: int.__repr__,
    Uint64: int.__repr__,
}


def print_values(values: Iterable[Any]) -> str:
    """Return the values as `print` does: a space between two that are both no strings."""
    parts: list[str] = []
    was_string = True
    for value in values:
        is_string = type(value) is str
        if parts and not is_string and not was_string:
            parts.append(" ")
        parts.append("<nil>" if value is INVALID else show(value))
        was_string = is_string
    return "".join(parts)


def to_text(value: Any) -> str:
    """Return the text of a value, as Sprig's `toString` does."""
    return value if type(value) is str else show(value)


def to_strings(value: Any) -> list[str]:
    """Return the items of a list as text without the nulls; anything else is the one item."""
    if type(value) is Strings:
        return value
    if is_list(value):
        return [to_text(item) for item in value if item is not None]
    return [] if value is None or value is INVALID else [to_text(value)]
