"""JSON that comes from outside: what the command line and the server accept of it, in the same words."""

from __future__ import annotations

import json
import math
from typing import Any, cast

MAX_BYTES = 10 * 1024 * 1024
# As deep as YAML files may be.
MAX_DEPTH = 100
# What Python reads; a longer number takes a time that grows with the square of its length.
_MAX_DIGITS = 4300
_LONGEST_SHOWN = 40


def parse_json(content: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no UTF-8 or no JSON, holds NaN, an infinity or a number that becomes one, a number of more
            than 4300 digits or a key twice in one object, or is nested over 100 levels; its message says which.
    """
    try:
        value = json.loads(
            _decode(content),
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
            parse_int=_parse_int,
            object_pairs_hook=_to_object,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(error.msg) from error
    _check_depth(value)
    return value


def _decode(content: str | bytes) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {_short(text)} is too large")
    return number


def _parse_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"the number {_short(text)} has more than {_MAX_DIGITS} digits")
    return int(text)


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in value if keys.count(key) > 1)
        raise ValueError(f"the key {_short(repr(twice))} stands twice in one object")
    return value


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        level = [item for found in level for item in _items(found)]


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).values())
    return cast("list[Any]", value) if isinstance(value, list) else []
