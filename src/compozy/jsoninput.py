"""JSON that comes from outside: one parser, with the same limits and the same messages for every source."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, cast

MAX_BYTES = 10 * 1024 * 1024
# As deep as YAML files may be.
MAX_DEPTH = 100
# The largest number of 64 bits has 309 digits before its point; a longer integer is not read at all, because that
# takes a time that grows with the square of its length.
_MAX_DIGITS = 309
_LONGEST_SHOWN = 40
_SURROGATE = re.compile("[\ud800-\udfff]")
_OPENING = re.compile(r"[{\[]")
# Texts with more brackets than this before their JSON are not searched to the end.
_MAX_STARTS = 1000


def parse_json(content: str | bytes, *, lenient: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        content: text, or bytes in UTF-8; a byte order mark is skipped.
        lenient: accept what other programs write: of a key that an object repeats the last value counts, and half a
            surrogate pair becomes U+FFFD. Inputs of runs are strict, documents and model answers are lenient.

    Raises:
        ValueError: it is not UTF-8 or not JSON, holds NaN or a number that no double can hold, is nested over 100
            levels, or, unless `lenient`, repeats a key in one object. The message says which.
    """
    try:
        value = json.loads(_decode(content), **_hooks(lenient=lenient))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(error.msg) from error
    _check_depth(value)
    return _whole_characters(value) if lenient else value


def find_json(text: str) -> Iterator[Any]:
    """Yield the JSON objects and lists within `text`, in order, as `parse_json` reads them leniently.

    Brackets that begin no JSON are passed over, as are values beyond the limits. The cost is linear in the text: a
    budget bounds how often one part of it may be read.
    """
    decoder = json.JSONDecoder(**_hooks(lenient=True))
    budget = 4 * len(text) + 100_000
    position = 0
    for _ in range(_MAX_STARTS):
        found = _OPENING.search(text, position)
        if found is None or budget <= 0:
            return
        start = found.start()
        try:
            value, position = decoder.raw_decode(text, start)
            _check_depth(value)
            yield _whole_characters(value)
        except json.JSONDecodeError as error:
            budget -= error.pos - start
            position = max(start + 1, position)
        except (ValueError, RecursionError):
            budget -= len(text) - start
            position = max(start + 1, position)


def _hooks(*, lenient: bool) -> dict[str, Any]:
    hooks: dict[str, Any] = {
        "parse_constant": _refuse_constant,
        "parse_float": _parse_float,
        "parse_int": _parse_int,
    }
    return hooks if lenient else {**hooks, "object_pairs_hook": _to_object}


def _decode(content: str | bytes) -> str:
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _too_large(text)
    return number


def _parse_int(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS or math.isinf(float(text)):
        raise _too_large(text)
    return int(text)


def _too_large(text: str) -> ValueError:
    return ValueError(f"the number {_short(text)} is too large")


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {_short(repr(key))} appears twice in one object")
            seen.add(key)
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


def replace_surrogates(text: str) -> str:
    """Return `text` with U+FFFD for each half of a surrogate pair, which UTF-8 cannot hold."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _whole_characters(value: Any) -> Any:
    """Return `value` without halves of surrogate pairs; it is not nested deeply any more."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {replace_surrogates(key): _whole_characters(item) for key, item in fields.items()}
    if isinstance(value, list):
        return [_whole_characters(item) for item in cast("list[Any]", value)]
    return value
