"""Rewrites jsonschema's errors as plain messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compozy.schema.json_kinds import is_list, is_map
from compozy.schema.problem import Problem

# jsonschema's ValidationError; its attributes are JSON values of any kind.
_Error = Any

_LONGEST_SHOWN = 60
TYPES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "null",
}


def describe_error(error: _Error) -> Problem:
    """Return the problem for an error of the jsonschema package."""
    path = tuple(error.absolute_path)
    say = _SAY.get(str(error.validator))
    if say is None:
        return Problem(path=path, message=f"does not satisfy {error.validator!r}, got {show(error.instance)}")
    return Problem(path=path, message=say(error))


def show(value: Any) -> str:
    """Return a short form of `value` for messages."""
    if is_map(value):
        return "a map"
    if is_list(value):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _join(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _type(error: _Error) -> str:
    expected: Any = error.validator_value
    names: list[Any] = expected if is_list(expected) else [expected]
    return f"expected {_join([TYPES.get(str(name), str(name)) for name in names])}, got {show(error.instance)}"


def _required(error: _Error) -> str:
    missing = [name for name in error.validator_value if name not in error.instance]
    return _keys("missing", missing)


def _additional(error: _Error) -> str:
    schema: Any = error.schema
    unknown = [name for name in error.instance if name not in schema.get("properties", {})]
    return _keys("unknown", unknown)


def _keys(word: str, names: list[str]) -> str:
    return f"{word} {'key' if len(names) == 1 else 'keys'} {', '.join(map(repr, names))}"


def _enum(error: _Error) -> str:
    return f"expected {_join([show(choice) for choice in error.validator_value])}, got {show(error.instance)}"


def _some_form(error: _Error) -> str:
    return f"matches none of the allowed forms, got {show(error.instance)}"


def _bound(words: str) -> Callable[[_Error], str]:
    return lambda error: f"expected {words} {error.validator_value}, got {show(error.instance)}"


def _size(words: str, what: str) -> Callable[[_Error], str]:
    def say(error: _Error) -> str:
        limit: Any = error.validator_value
        return f"expected {words} {limit} {what}{'' if limit == 1 else 's'}, got {len(error.instance)}"

    return say


_SAY: dict[str, Callable[[_Error], str]] = {
    "type": _type,
    "required": _required,
    "additionalProperties": _additional,
    "unevaluatedProperties": lambda _: "has unknown keys",
    "enum": _enum,
    "const": lambda error: f"expected {show(error.validator_value)}, got {show(error.instance)}",
    "minimum": _bound("at least"),
    "maximum": _bound("at most"),
    "exclusiveMinimum": _bound("more than"),
    "exclusiveMaximum": _bound("less than"),
    "multipleOf": _bound("a multiple of"),
    "minLength": _size("at least", "character"),
    "maxLength": _size("at most", "character"),
    "minItems": _size("at least", "item"),
    "maxItems": _size("at most", "item"),
    "minProperties": _size("at least", "key"),
    "maxProperties": _size("at most", "key"),
    "pattern": lambda error: f"expected a string matching {error.validator_value}, got {show(error.instance)}",
    "format": lambda error: f"expected a string in the format {error.validator_value!r}, got {show(error.instance)}",
    "uniqueItems": lambda _: "duplicate item",
    "contains": lambda _: "a required item is missing",
    "anyOf": _some_form,
    "oneOf": lambda error: f"matches none, or more than one, of the allowed forms, got {show(error.instance)}",
    "not": lambda error: f"value not allowed, got {show(error.instance)}",
    "dependentRequired": lambda _: "missing a key that another key requires",
    "false schema": lambda _: "no value is allowed here",
}
