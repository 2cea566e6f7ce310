"""Parses JSON from outside: one parser with the same limits and messages for every source."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, cast

MAX_BYTES = 10 * 1024 * 1024
# The same depth as for YAML files.
MAX_DEPTH = 100
# The largest 64-bit float has 309 digits before the point. Longer integers are rejected before they are parsed, because
# parsing takes quadratic time.
_MAX_DIGITS = 309
_LONGEST_SHOWN = 40
_SURROGATE = re.compile("[\ud800-\udfff]")
_OPENING = re.compile(r"[{\[]")
# A text with more brackets than this before its JSON is not searched to the end.
_MAX_STARTS = 1000


def parse_json(content: str | bytes, *, lenient: bool = False) -> Any:
    """Parse a JSON text and return its value.

    Args:
        content: text, or UTF-8 bytes; a byte order mark is skipped.
        lenient: accept what other programs write: the last of a repeated key wins, and half a surrogate pair becomes
            U+FFFD. Run inputs are strict; documents and model answers are lenient.

    Raises:
        ValueError: the text is not UTF-8 or not JSON, contains NaN or a number too large for a double, is nested deeper
            than 100 levels or, unless `lenient`, repeats a key in one object. The message says which.
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
    """Yield the JSON objects and arrays in `text`, in order, parsed leniently by `parse_json`.

    Brackets that do not start JSON are skipped, as are values beyond the limits. The cost is linear in the length of
    the text: a budget limits how often a part may be read again.
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
        raise ValueError("not UTF-8 text") from error


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
    """Return `text` with U+FFFD for each unpaired surrogate, which UTF-8 cannot encode."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _whole_characters(value: Any) -> Any:
    """Return `value` without unpaired surrogates. Its depth has been checked before."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {replace_surrogates(key): _whole_characters(item) for key, item in fields.items()}
    if isinstance(value, list):
        return [_whole_characters(item) for item in cast("list[Any]", value)]
    return value
