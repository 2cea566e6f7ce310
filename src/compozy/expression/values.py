"""The values of expressions: JSON, and intermediate times, durations, bytes and types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

from compozy.expression.limits import Budget

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
_LONGEST_SHOWN = 40


class Fail(Exception):
    """An operation failed; ignored where `&&` and `||` do not need its result. `offset` -1: unknown."""

    def __init__(self, message: str, *, hint: str = "", offset: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Type:
    """A type as a value: `type(1) == int`."""

    name: str


TYPES = ("bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint")
_WORDS = {
    "null_type": "null",
    "bool": "true or false",
    "int": "a whole number",
    "double": "a number",
    "string": "a string",
    "bytes": "bytes",
    "list": "a list",
    "map": "a map",
    "timestamp": "a time",
    "duration": "a duration",
    "type": "a type",
}
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "double"),
    (str, "string"),
    (Mapping, "map"),
    ((list, tuple), "list"),
    (bytes, "bytes"),
    (datetime, "timestamp"),
    (timedelta, "duration"),
    (Type, "type"),
)


def type_name(value: Any) -> str:
    """Return CEL's name for the type of `value`."""
    if value is None:
        return "null_type"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "null_type")


def type_words(value: Any) -> str:
    """Return the type of `value` for messages: `a whole number`."""
    return _WORDS[type_name(value)]


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether `value` is a number; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Return whether `value` is a list."""
    return isinstance(value, (list, tuple))


def is_map(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Return whether `value` is a map."""
    return isinstance(value, Mapping)


def equal(left: Any, right: Any, budget: Budget) -> bool:
    """Return whether two values are equal; values of different types are not, except numbers."""
    budget.spend()
    if is_number(left) and is_number(right):
        return left == right
    if type_name(left) != type_name(right):
        return False
    if is_list(left):
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(equal(one, other, budget) for one, other in pairs)
    if is_map(left):
        return len(left) == len(right) and all(
            key in right and equal(value, right[key], budget) for key, value in left.items()
        )
    return left == right


def checked(number: float) -> int | float:
    """Return a computed number; raises Fail if it is not a 64-bit integer."""
    if isinstance(number, int) and not MIN_INT <= number <= MAX_INT:
        raise Fail("the number is too large")
    return number


def to_json(value: Any, budget: Budget) -> Any:
    """Return `value` as JSON, with times, durations and types as text; raises Fail for values without a JSON form."""
    budget.spend()
    if is_map(value):
        return {str(key): to_json(item, budget) for key, item in value.items()}
    if is_list(value):
        return [to_json(item, budget) for item in value]
    if isinstance(value, datetime):
        return show_time(value)
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Type):
        return value.name
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        raise Fail(f"the result contains {type_words(value)}, which cannot be represented in JSON")
    return value


def show_time(moment: datetime) -> str:
    """Format a time as RFC 3339 in UTC: `2026-01-31T12:00:00Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def show_duration(span: timedelta) -> str:
    """Format a duration as seconds with their unit: `5400s`, `0.5s`."""
    micros = span // timedelta(microseconds=1)
    whole, rest = divmod(abs(micros), 1_000_000)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{'-' if micros < 0 else ''}{whole}{fraction}s"


def show(value: Any) -> str:
    """Return a short form of `value` for messages."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str) and not is_number(value):
        return type_words(value)
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
