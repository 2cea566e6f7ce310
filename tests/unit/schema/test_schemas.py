"""JSON Schemas: their errors, defaults, and messages about values."""

from __future__ import annotations

from typing import Any

import pytest
from referencing.exceptions import Unresolvable

from compozy.schema import apply_defaults, check_schema, is_closed, listed_keys, validate_value

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "default": "World"},
        "age": {"type": "integer", "minimum": 0},
        "kind": {"enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 2, "uniqueItems": True},
    },
    "required": ["age"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "object", "properties": {"on": {"type": "boolean", "default": True}}}},
}


@pytest.mark.parametrize(
    ("schema", "problems"),
    [
        (PERSON, []),
        (True, []),
        ({"properties": {"$ref": {"type": "string"}, "type": {"type": "string"}}}, []),
        ({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}, []),
        ({"$defs": {"a/b~c": {}}, "$ref": "#/$defs/a~1b~0c"}, []),
        (5, ["expected a map or true or false, got 5"]),
        (
            {"type": "strin"},
            ["type: 'strin' is not a type; valid types are string, integer, number, boolean, array, object, null"],
        ),
        ({"properties": {"a": 5}}, ["properties.a: expected a map or true or false, got 5"]),
        ({"required": "a"}, ["required: expected a list, got 'a'"]),
        ({"pattern": "["}, ["pattern: '[' is not a regular expression: unterminated character set at position 1"]),
        ({"$ref": "#"}, ["the schema refers to itself endlessly"]),
        (
            {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}},
            ["$defs.a: the schema refers to itself endlessly"],
        ),
        ({"$ref": "#/$defs/x"}, ["$ref: $ref '#/$defs/x' does not refer to a schema"]),
        ({"$ref": "#anchor"}, ["$ref: $ref '#anchor' does not refer to a schema"]),
        (
            {"items": {"$ref": "https://x.example/s"}},
            ["items.$ref: $ref 'https://x.example/s' refers to another file; copy the schema into `$defs`"],
        ),
        ({"$dynamicRef": "#x"}, ["$dynamicRef: $dynamicRef is not supported; use $ref with a local path"]),
        ({"items": {"$id": "https://x.example/s"}}, ["items.$id: $id is not supported inside a schema"]),
    ],
)
def test_check(schema: Any, problems: list[str]) -> None:
    assert [str(problem) for problem in check_schema(schema)] == problems


def test_defaults() -> None:
    given = {"tags": [{}, {"on": False}, 5]}
    assert apply_defaults(PERSON, given) == {"name": "World", "tags": [{"on": True}, {"on": False}, 5]}
    assert given == {"tags": [{}, {"on": False}, 5]}
    assert apply_defaults(PERSON, {"name": None}) == {"name": None}
    assert apply_defaults({"allOf": [PERSON]}, {})["name"] == "World"
    assert apply_defaults(PERSON, "text") == "text"


def test_defaults_are_not_shared() -> None:
    schema: dict[str, Any] = {"properties": {"list": {"default": []}}}
    apply_defaults(schema, {})["list"].append(1)
    assert apply_defaults(schema, {}) == {"list": []}


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ({"age": 5}, []),
        ({}, [("", "missing key 'age'")]),
        ({"age": 1, "nam": "x", "b": 1}, [("", "unknown keys 'nam', 'b'")]),
        ({"age": "5"}, [("age", "expected a whole number, got '5'")]),
        (
            {"age": -1, "name": "x"},
            [("age", "expected at least 0, got -1"), ("name", "expected at least 2 characters, got 1")],
        ),
        ({"age": 1, "kind": "c"}, [("kind", "expected 'a' or 'b', got 'c'")]),
        ({"age": 1, "tags": [{"on": 1}]}, [("tags[0].on", "expected true or false, got 1")]),
        ({"age": 1, "tags": [5, 5, 5]}, None),
        ([], [("", "expected a map, got a list")]),
    ],
)
def test_values(value: Any, problems: list[tuple[str, str]] | None) -> None:
    found = validate_value(PERSON, value)
    if problems is None:
        assert ("tags", "expected at most 2 items, got 3") in found
        assert ("tags", "duplicate item") in found
    else:
        assert found == problems


def test_remote_references_are_never_fetched() -> None:
    with pytest.raises(Unresolvable):
        validate_value({"$ref": "http://127.0.0.1:9/schema.json"}, {})


def test_keys_of_a_value() -> None:
    assert listed_keys(PERSON) == {"name", "age", "kind", "tags"}
    assert listed_keys({"properties": {"a": {}}}) == {"a"}
    assert listed_keys({"properties": {"a": {}}, "additionalProperties": {}}) is None
    assert listed_keys({"properties": {"a": {}}, "allOf": []}) is None
    assert listed_keys({}) is None
    assert is_closed(PERSON)
    assert not is_closed({"properties": {}})
