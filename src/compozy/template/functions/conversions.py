"""Converts any value to a number, as Sprig does: other values count as 0."""

from __future__ import annotations

import math
from typing import Any

from compozy.template.functions.registry import function
from compozy.template.literals import MAX_INT, MIN_INT, read_float, read_int
from compozy.template.printing import show, to_strings, to_text
from compozy.template.values import Int64, Strings


def as_int(value: Any) -> int:
    """Return the value as a whole number of 64 bits."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return int(value) if MIN_INT <= value <= MAX_INT else _cut_float(float(value))
    if isinstance(value, float):
        return _cut_float(value)
    if isinstance(value, str):
        number = read_int(_trim_zero_decimal(value))
        return number if number is not None and MIN_INT <= number <= MAX_INT else 0
    return 0


def _cut_float(number: float) -> int:
    """Return a float cut to a whole number, as the processors that Go runs on most do."""
    if not math.isfinite(number) or not MIN_INT <= number < 2.0**63:
        return MIN_INT
    return math.trunc(number)


def _trim_zero_decimal(text: str) -> str:
    """Return `3.00` as `3`."""
    whole, dot, zeros = text.rpartition(".")
    return whole if dot and zeros and not zeros.strip("0") else text


def as_float(value: Any) -> float:
    """Return the value as a float."""
    if isinstance(value, int):
        return float(value)
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return _SPECIAL.get(value.lower().lstrip("+"), read_float(value) or 0.0)
    return 0.0


_SPECIAL = {"inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf, "nan": math.nan}


@function("int", "any")
def to_int(value: Any) -> int:
    """Return the value as an int."""
    return as_int(value)


@function("int64", "any")
def to_int64(value: Any) -> Int64:
    """Return the value as an int64."""
    return Int64(as_int(value))


@function("float64", "any")
def to_float(value: Any) -> float:
    """Return the value as a float."""
    return as_float(value)


@function("atoi", "text")
def parse_int(text: str) -> int:
    """Return the decimal number, 0 when it is none."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 1000:
        return 0
    return max(min(int(text), MAX_INT), MIN_INT)


@function("toDecimal", "any", walks=True)
def parse_octal(value: Any) -> Int64:
    """Return the number for its octal digits."""
    text = show(value)
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not digits or len(digits) > 100 or any(char not in "01234567" for char in digits):
        return Int64(0)
    number = int(text, 8)
    return Int64(number if MIN_INT <= number <= MAX_INT else 0)


@function("toString", "any", walks=True)
def to_string(value: Any) -> str:
    """Return the text of the value."""
    return to_text(value)


@function("toStrings", "any", walks=True)
def to_string_list(value: Any) -> Strings:
    """Return the items of a list as text."""
    return Strings(to_strings(value))
