"""Validates values against a JSON Schema, and fills in defaults."""

from __future__ import annotations

import copy
from typing import Any

from compozy.schema.bounded import OutOfTimeError, iter_errors
from compozy.schema.json_kinds import is_list, is_map
from compozy.schema.problem import Problem
from compozy.schema.walk import resolve_pointer
from compozy.schema.words import describe_error

_MAX_DEPTH = 100


def apply_defaults(schema: Any, value: Any) -> Any:
    """Return a copy of `value` with the `default` of `schema` for each missing key.

    Defaults are found in `properties`, also within `items`, `allOf` and a local `$ref`. They are not validated here;
    that is the task of `validate_value`.
    """
    return fill_defaults(schema, schema, value)


def validate_value(schema: Any, value: Any) -> list[tuple[str, str]]:
    """Validate `value` against `schema`, which `check_schema` has found valid.

    Returns:
        Pairs of a path (`items[0].name`, "" for the whole value) and a message, sorted.
    """
    return sorted((problem.dotted, problem.message) for problem in find_problems(schema, schema, value))


def find_problems(root: Any, schema: Any, value: Any) -> set[Problem]:
    """Return the problems of `value` against `schema`, a part of `root`, which its references are relative to."""
    try:
        return {describe_error(error) for error in iter_errors(root, schema, value)}
    except OutOfTimeError as error:
        return {Problem(path=(), message=str(error))}


def fill_defaults(root: Any, schema: Any, value: Any) -> Any:
    """Return a copy of `value` with the defaults of `schema`, a part of `root`."""
    return _fill(root, schema, copy.deepcopy(value), _MAX_DEPTH)


def _fill(root: Any, schema: Any, value: Any, depth: int) -> Any:
    if not is_map(schema) or depth == 0:
        return value
    for below in _same_value_schemas(root, schema):
        value = _fill(root, below, value, depth - 1)
    if is_map(value):
        return _fill_object(root, schema, value, depth)
    if is_list(value) and "items" in schema:
        return [_fill(root, schema["items"], item, depth - 1) for item in value]
    return value


def _fill_object(root: Any, schema: dict[str, Any], value: dict[str, Any], depth: int) -> dict[str, Any]:
    for name, below in schema.get("properties", {}).items():
        if name not in value and is_map(below) and "default" in below:
            value[name] = copy.deepcopy(below["default"])
        if name in value:
            value[name] = _fill(root, below, value[name], depth - 1)
    return value


def _same_value_schemas(root: Any, schema: dict[str, Any]) -> list[Any]:
    found: list[Any] = list(schema.get("allOf", []))
    if str(schema.get("$ref", "")).startswith("#"):
        found.append(resolve_pointer(root, schema["$ref"]))
    return found
