"""JSON Schemas as llama.cpp can follow them while it writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

# Under these keys the names are the author's own, not keywords.
_NAME_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
# Their values are data, not schemas.
_DATA = frozenset({"const", "enum", "default", "examples"})


def to_grammar_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` for llama.cpp, which knows no schema `true` and complains about most patterns on stderr.

    What is lost here is not lost: each answer is checked against the whole schema afterwards.
    """
    return {
        key: _simplify(key, value) for key, value in schema.items() if not (key == "pattern" and isinstance(value, str))
    }


def _simplify(key: str, value: Any) -> Any:
    if key in _DATA:
        return value
    if isinstance(value, list):
        return [_schema(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict) and key in _NAME_MAPS:
        return {name: _schema(item) for name, item in cast("dict[str, Any]", value).items()}
    return _schema(value) if isinstance(value, dict) else value


def _schema(value: Any) -> Any:
    if value is True:
        return {}
    return to_grammar_schema(cast("dict[str, Any]", value)) if isinstance(value, dict) else value
