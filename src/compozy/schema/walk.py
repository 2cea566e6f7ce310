"""Walks a JSON Schema, knowing which of its keywords contain schemas: a *property* may be called `$ref`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compozy.schema.json_kinds import is_list, is_map

Path = tuple[str | int, ...]

_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLES = frozenset(
    {"items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
    | {"not", "if", "then", "else", "contentSchema"}
)
# Keywords whose schemas apply to the same value, not to a part of it.
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})


def walk_schemas(schema: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield `schema` and every schema inside it with its path, except booleans."""
    if not is_map(schema):
        return
    yield path, schema
    for keyword, below in _parts(schema):
        yield from walk_schemas(below, (*path, *keyword))


def in_place_schemas(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the subschemas of `schema` that apply to the same value."""
    return [below for keyword, below in _parts(schema) if keyword[0] in _IN_PLACE and is_map(below)]


def resolve_pointer(root: Any, reference: str) -> Any:
    """Return the schema at a reference such as `#/$defs/address`.

    Raises:
        LookupError: it does not exist.
    """
    if reference != "#" and not reference.startswith("#/"):
        raise LookupError(reference)
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if is_list(found) and key.isdigit():
            found = found[int(key)]
        elif is_map(found):
            found = found[key]
        else:
            raise LookupError(reference)
    return found


def _parts(schema: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    for keyword, value in schema.items():
        if keyword in _SINGLES:
            yield (keyword,), value
        elif keyword in _MAPS and is_map(value):
            for name, below in value.items():
                yield (keyword, name), below
        elif keyword in _LISTS and is_list(value):
            for index, below in enumerate(value):
                yield (keyword, index), below
