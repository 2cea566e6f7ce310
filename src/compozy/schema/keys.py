"""The keys that a value matching a JSON Schema can have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compozy.nearest import nearest
from compozy.schema.json_kinds import is_list, is_map

_OPEN = ("patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if", "dependentSchemas", "unevaluatedProperties")


def listed_keys(schema: Any) -> frozenset[str] | None:
    """Return the keys that `schema` lists; None if it lists none, or declares that there can be others."""
    if not is_map(schema) or any(keyword in schema for keyword in _OPEN):
        return None
    properties = schema.get("properties")
    if not is_map(properties) or schema.get("additionalProperties", False) is not False:
        return None
    return frozenset(properties)


def is_closed(schema: Any) -> bool:
    """Return whether `schema` rejects keys that it does not list."""
    return is_map(schema) and schema.get("additionalProperties") is False


def find_unlisted(schema: Any, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys of `value` that `schema` allows but does not list: they are probably misspelled.

    Yields:
        The path of a key (`address.zipp`), and the most similar listed key, or "".
    """
    if not is_map(schema):
        return
    if is_list(value):
        for index, item in enumerate(value):
            yield from find_unlisted(schema.get("items"), item, f"{path}[{index}]")
    if not is_map(value):
        return
    listed = listed_keys(schema)
    properties: Any = schema.get("properties")
    for key, below in value.items():
        full = f"{path}.{key}" if path else str(key)
        if listed is not None and key not in listed:
            yield full, nearest(str(key), listed) or ""
        elif is_map(properties):
            yield from find_unlisted(properties.get(key), below, full)
