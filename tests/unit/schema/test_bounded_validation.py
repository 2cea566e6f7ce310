"""Values that are slow on purpose: patterns that backtrack, and long lists."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from compozy.schema import check_schema, validate_value

SLOW = "^(?:a|aa)+$"
VALUE = "a" * 40 + "!"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": SLOW}, VALUE),
        ({"$schema": DIALECT, "pattern": SLOW}, VALUE),
        ({"properties": {"a": {"$schema": DIALECT, "pattern": SLOW}}}, {"a": VALUE}),
        ({"not": {"pattern": SLOW}}, VALUE),
        ({"patternProperties": {SLOW: True}}, {VALUE: 1}),
        ({"patternProperties": {SLOW: True}, "additionalProperties": False}, {VALUE: 1}),
        ({"allOf": [{"patternProperties": {SLOW: True}}], "unevaluatedProperties": False}, {VALUE: 1}),
        ({"propertyNames": {"pattern": SLOW}}, {VALUE: 1}),
        ({"items": {"pattern": SLOW}}, [VALUE] * 1000),
        ({"items": {"pattern": SLOW}}, ["a" * 21 + "!"] * 9000),
    ],
)
def test_slow_patterns_are_refused(schema: Any, value: Any) -> None:
    began = process_time()
    ((path, message),) = validate_value(schema, value)
    assert process_time() - began < 4
    assert (path, message) == ("", f"matching the pattern {SLOW} took longer than 1 s")


def test_a_pattern_that_backtracks() -> None:
    """Python's `re` needs years for this one."""
    pattern = r"^([a-zA-Z0-9]+\.?)+@example\.com$"
    assert len(validate_value({"pattern": pattern}, VALUE)) == 1
    assert validate_value({"pattern": pattern}, "ada.lovelace@example.com") == []


@pytest.mark.parametrize(
    "items",
    [list(range(20_000)), [number * (2**61 - 1) for number in range(20_000)], [{"a": [n]} for n in range(9000)]],
)
def test_unique_items_are_linear(items: list[Any]) -> None:
    """The numbers of the second list have the same hash."""
    began = process_time()
    assert validate_value({"uniqueItems": True}, items) == []
    assert validate_value({"uniqueItems": True}, [*items, items[7]]) == [("", "duplicate item")]
    assert process_time() - began < 4


@pytest.mark.parametrize(
    ("items", "is_unique"),
    [
        ([1, True], True),
        ([0, False], True),
        ([1, 1.0], False),
        ([{"a": 1, "b": 2.0}, {"b": 2, "a": 1}], False),
        ([[1], [True]], True),
        (["1", 1], True),
        ([None, "null"], True),
        ([], True),
    ],
)
def test_equal_items(items: list[Any], *, is_unique: bool) -> None:
    assert (validate_value({"uniqueItems": True}, items) == []) == is_unique
    assert validate_value({"uniqueItems": False}, items) == []


@pytest.mark.parametrize("pattern", ["(((a{1000}){1000}){1000})", "((a{1,999}){999}){2}", "(?:(?:[a-z]{400}){400}){9}"])
def test_patterns_that_multiply_are_refused(pattern: str) -> None:
    """Compiling the first one would use all memory."""
    (problem,) = check_schema({"pattern": pattern})
    assert "nested repetitions multiply to more than 100000" in str(problem)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"patternProperties": {"^x": {"type": "integer"}}}, {"xa": 1, "b": ""}, {"xa": ""}),
        ({"properties": {"a": True}, "additionalProperties": False}, {"a": 1}, {"b": 1}),
        ({"properties": {"a": True}, "additionalProperties": {"type": "null"}}, {"a": 1, "b": None}, {"b": 1}),
        ({"patternProperties": {"^x": True}, "additionalProperties": False}, {"xa": 1}, {"ax": 1}),
        (
            {"$ref": "#/$defs/base", "unevaluatedProperties": False, "$defs": {"base": {"properties": {"a": True}}}},
            {"a": 1},
            {"b": 1},
        ),
        (
            {"anyOf": [{"required": ["a"], "properties": {"a": True}}, True], "unevaluatedProperties": False},
            {"a": 1},
            {"c": 1},
        ),
        (
            {
                "if": {"properties": {"kind": {"const": "x"}}, "required": ["kind"]},
                "then": {"properties": {"x": True}},
                "else": {"properties": {"y": True}},
                "unevaluatedProperties": False,
            },
            {"kind": "x", "x": 1},
            {"x": 1},
        ),
        (
            {"dependentSchemas": {"a": {"properties": {"a": True, "b": True}}}, "unevaluatedProperties": False},
            {"a": 1, "b": 2},
            {"b": 2},
        ),
        ({"properties": {"a": True}, "unevaluatedProperties": {"type": "string"}}, {"a": 1, "b": ""}, {"b": 1}),
    ],
)
def test_keys(schema: Any, good: Any, bad: Any) -> None:
    assert validate_value(schema, good) == []
    assert len(validate_value(schema, bad)) == 1
