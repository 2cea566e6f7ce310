"""Which keys a value that fits a JSON Schema can have."""

from __future__ import annotations

from typing import Any

from compozy.schema.json_kinds import is_map

_OPEN = ("patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if", "dependentSchemas", "unevaluatedProperties")


def listed_keys(schema: Any) -> frozenset[str] | None:
    """Return the keys that `schema` lists, None when it lists none or says that there can be others."""
    if not is_map(schema) or any(keyword in schema for keyword in _OPEN):
        return None
    properties = schema.get("properties")
    if not is_map(properties) or schema.get("additionalProperties", False) is not False:
        return None
    return frozenset(properties)


def is_closed(schema: Any) -> bool:
    """Return whether `schema` refuses keys that it does not list."""
    return is_map(schema) and schema.get("additionalProperties") is False
