"""JSON and JSON Lines: values with the path of keys that leads to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from compozy.errors import DocumentError
from compozy.jsoninput import parse_json
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.text import clean, decode


def read(data: bytes) -> DocumentText:
    """Return the values of a JSON document, a line each; the items of a list are apart.

    Raises:
        DocumentError: it is no JSON.
    """
    text = decode(data)
    try:
        records = _records(text)
        return DocumentText(text=clean("\n\n".join("\n".join(_lines(record, "")) for record in records)))
    except RecursionError as error:
        raise DocumentError("the JSON is nested too deeply") from error


def _records(text: str) -> list[Any]:
    try:
        value: Any = parse_json(text, lenient=True)
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) < 2:
            raise DocumentError(f"not valid JSON: {error}") from error
        return [_parse_line(line, number) for number, line in enumerate(lines, start=1)]
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _parse_line(line: str, number: int) -> Any:
    try:
        return parse_json(line, lenient=True)
    except ValueError as error:
        raise DocumentError(f"not valid JSON: {error} (in record {number})") from error


def _lines(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _lines(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _lines(item, path)
    elif value is not None:
        shown = value if isinstance(value, str) else json.dumps(value)
        yield f"{path}: {shown}" if path else shown
