"""JSON values as YAML text that reads back as the same values, and that people can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
# Words that YAML reads as other values, in any version.
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})
_ODD = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")
_LONGEST_PLAIN = 100


def to_yaml(value: Any) -> str:
    """Return a JSON value as a YAML document in block style; the order of keys is kept."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, below in cast("dict[str, Any]", value).items():
            yield from _entry(f"{indent}{_scalar(key)}:", below, indent)
    elif isinstance(value, list) and value:
        for item in cast("list[Any]", value):
            yield from _item(item, indent)
    else:
        yield indent + _scalar(value)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from _lines(value, indent + "  ")
    elif isinstance(value, str) and _is_block(value):
        yield from _block(head, value, indent + "  ")
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, str) and _is_block(value):
        yield from _block(f"{indent}-", value, indent + "  ")
        return
    lines = _lines(value, indent + "  ")
    first = next(lines)
    yield f"{indent}- {first[len(indent) + 2 :]}"
    yield from lines


def _is_block(text: str) -> bool:
    """Return whether a text can be written as the lines that it has."""
    lines = text.split("\n")
    return len(lines) > 1 and not _ODD.search(text) and text.strip() != "" and lines[0] != "" and lines[0][0] != " "


def _block(head: str, text: str, indent: str) -> Iterator[str]:
    stripped = text.rstrip("\n")
    ends = len(text) - len(stripped)
    yield f"{head} |{'-' if ends == 0 else '' if ends == 1 else '+'}"
    yield from (indent + line if line else "" for line in stripped.split("\n"))
    yield from [""] * (ends - 1)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = len(value) <= _LONGEST_PLAIN and _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    if is_plain and not value.endswith("."):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04X}" if ord(found[0]) < 0x10000 else found[0], text)
