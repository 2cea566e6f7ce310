"""Schemas of OpenAPI documents as JSON Schema, and references inside a document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

_MAX_REFERENCES = 20
_NAME = re.compile(r"[^A-Za-z0-9_-]+")
# Keywords of JSON Schema that models and the validation of arguments read; schemas below them by how they hold them.
_KEYWORDS = frozenset(
    {
        *("type", "enum", "const", "default", "description", "format", "pattern", "required", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems"),
        *("uniqueItems", "minProperties", "maxProperties"),
    }
)
_ONE = ("items", "additionalProperties", "not")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")

Json = Mapping[str, Any]


class OpenApiError(Exception):
    """A document, or one of its operations, cannot be used."""


def follow(document: Any, value: Any) -> Json:
    """Return what a value stands for: itself, or the object that its `$ref` names inside the document.

    Raises:
        OpenApiError: the reference leads elsewhere, nowhere, or in a circle.
    """
    for _ in range(_MAX_REFERENCES):
        reference = as_map(value).get("$ref")
        if not isinstance(reference, str):
            return as_map(value)
        value = _target(document, reference)
    raise OpenApiError("its references form a cycle")


def _target(document: Any, reference: str) -> Any:
    if not reference.startswith("#/"):
        raise OpenApiError(f"its reference {reference[:200]!r} points outside of the file and is not followed")
    found = document
    for step in reference[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdigit() and int(key) < len(cast("list[Any]", found)):
            found = cast("list[Any]", found)[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = cast("Json", found)[key]
        else:
            raise OpenApiError(f"its reference {reference[:200]!r} does not exist in the file")
    return found


class Schemas:
    """Schemas of OpenAPI as JSON Schema. Those that are referred to become `definitions`, once each."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        self.definitions: dict[str, Any] = {}

    def kinds_of(self, schema: Any) -> list[str]:
        """Return the values of `type` of a schema."""
        kind = follow(self._document, schema).get("type", [])
        return [kind] if isinstance(kind, str) else [str(item) for item in as_list(kind)]

    def convert(self, schema: Any) -> Any:
        """Return a schema of the arguments, with only the keywords that are read."""
        if isinstance(schema, bool):
            return schema
        written = as_map(schema)
        if isinstance(written.get("$ref"), str):
            return {"$ref": f"#/$defs/{self._definition(written['$ref'])}"}
        kept = {key: value for key, value in written.items() if key in _KEYWORDS}
        kept |= {key: self.convert(written[key]) for key in _ONE if key in written}
        kept |= {key: [self.convert(item) for item in as_list(written[key])] for key in _LISTS if key in written}
        if "properties" in written:
            self._add_properties(kept, as_map(written["properties"]))
        _make_bounds_numbers(kept)
        return _nullable(kept) if written.get("nullable") is True else kept

    def _add_properties(self, kept: dict[str, Any], properties: Json) -> None:
        """Add the properties of an object, without those that only answers have."""
        sent = {name: each for name, each in properties.items() if not self._is_read_only(each)}
        kept["properties"] = {name: self.convert(each) for name, each in sent.items()}
        if "required" in kept:
            kept["required"] = [name for name in as_list(kept["required"]) if name in sent or name not in properties]

    def _is_read_only(self, schema: Any) -> bool:
        return not isinstance(schema, bool) and follow(self._document, schema).get("readOnly") is True

    def _definition(self, reference: str) -> str:
        """Return the name of the definition that a reference stands for."""
        if reference not in self._names:
            name = base = _NAME.sub("_", reference.rpartition("/")[2]) or "schema"
            for number in range(2, len(self._names) + 3):
                if name not in self._names.values():
                    break
                name = f"{base}_{number}"
            self._names[reference] = name
            # Before what is below it, which can refer to it again.
            self.definitions[name] = True
            self.definitions[name] = self.convert(follow(self._document, {"$ref": reference}))
        return self._names[reference]


def _make_bounds_numbers(schema: dict[str, Any]) -> None:
    """Write exclusive bounds as numbers; in OpenAPI 3.0 they are switches."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str):
        values = {"enum": [*schema["enum"], None]} if isinstance(schema.get("enum"), list) else {}
        return {**schema, "type": [kind, "null"], **values}
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def without(schema: Any, keywords: frozenset[str]) -> Any:
    """Return a schema without some keywords; names of properties and definitions are not keywords."""
    if isinstance(schema, list):
        return [without(item, keywords) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: without(below, keywords) for name, below in cast("dict[str, Any]", value).items()}
        if key in {"properties", "$defs"}
        else without(value, keywords)
        for key, value in cast("dict[str, Any]", schema).items()
        if key not in keywords
    }


def as_map(value: Any) -> Json:
    """Return a value of a document that has to be a map, an empty one if it is none."""
    return cast("Json", value) if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """Return a value of a document that has to be a list, an empty one if it is none."""
    return cast("list[Any]", value) if isinstance(value, list) else []
