"""Structured answers: the schema that a model is held to, and what its text means under that schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from pydantic import JsonValue

from compozy.schema import validate_value

_WRAPPER = "value"
_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
_MAX_PROBLEMS = 10
_TOO_DEEP = "the answer is nested too deeply"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a text means under a schema: a `value`, or the `problems` that it has."""

    value: JsonValue = None
    problems: tuple[str, ...] = ()


class AnswerSchema:
    """The JSON Schema of a task's answer.

    Providers hold a model to objects only, so any other schema travels inside an object with one property, and its
    value is taken out again here.

    Attributes:
        request_schema: the schema that is sent; always one of an object.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)
        self._wrapped = not _is_object_schema(schema)
        self.request_schema: dict[str, Any] = _wrap(schema) if self._wrapped else dict(schema)

    @property
    def properties(self) -> frozenset[str]:
        """Return the names of the properties that the schema itself describes, those of its choices included."""
        return frozenset(_properties(self._schema))

    def read(self, text: str) -> Answer:
        """Return what `text` means: the first reading of it that fits the schema, or what is wrong with it."""
        try:
            return self._first_fit(self._readings(_parse(text)))
        except ValueError as error:
            return Answer(problems=(str(error),))
        except RecursionError:
            return Answer(problems=(_TOO_DEEP,))

    def _first_fit(self, readings: Sequence[JsonValue]) -> Answer:
        problems: tuple[str, ...] = ()
        for reading in readings:
            problems = self._problems(reading)
            if not problems:
                return Answer(value=reading)
        return Answer(problems=problems)

    def _readings(self, parsed: JsonValue) -> list[JsonValue]:
        """Return the values that `parsed` may stand for; its problems are told of the last one."""
        if self._wrapped and isinstance(parsed, dict) and set(parsed) == {_WRAPPER}:
            return [parsed, parsed[_WRAPPER]] if self._allows_wrapper() else [parsed[_WRAPPER]]
        return [parsed]

    def _allows_wrapper(self) -> bool:
        # A schema that names the wrapper's property means it, e.g. one choice of an `anyOf`.
        return f'"{_WRAPPER}"' in json.dumps(self._schema)

    def _problems(self, value: JsonValue) -> tuple[str, ...]:
        found = validate_value(self._schema, value)
        return tuple(f"{path}: {message}" if path else message for path, message in found[:_MAX_PROBLEMS])


def _properties(node: Any) -> Iterator[str]:
    if not isinstance(node, dict):
        return
    schema = cast("dict[str, Any]", node)
    properties: Any = schema.get("properties")
    if isinstance(properties, dict):
        yield from cast("dict[str, Any]", properties)
    for key in ("allOf", "anyOf", "oneOf"):
        for choice in cast("list[Any]", schema.get(key) or []):
            yield from _properties(choice)


def _is_object_schema(schema: Mapping[str, Any]) -> bool:
    return schema.get("type", "object" if "properties" in schema else None) == "object"


def _wrap(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object whose one property follows `schema`; references keep their target."""
    inner = cast("dict[str, Any]", _retarget(dict(schema)))
    definitions = {key: inner.pop(key) for key in ("$defs", "definitions") if key in inner}
    inner.pop("$schema", None)
    return {
        "type": "object",
        "properties": {_WRAPPER: inner},
        "required": [_WRAPPER],
        "additionalProperties": False,
        **definitions,
    }


def _retarget(node: Any) -> Any:
    """Point references to the whole schema at its new place; definitions stay at the root."""
    if isinstance(node, list):
        return [_retarget(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast("dict[str, Any]", node)
    return {
        key: f"#/properties/{_WRAPPER}" if key == "$ref" and value == "#" else _retarget(value)
        for key, value in fields.items()
    }


def _parse(text: str) -> JsonValue:
    """Return the JSON value in `text`: all of it, else a fenced block, else the first object or list in it.

    Raises:
        ValueError: there is none; the message says why.
    """
    candidates = [text, *(match[1] for match in _FENCE.finditer(text)), *_from_first_bracket(text)]
    first_error = ""
    for candidate in candidates:
        try:
            return cast("JsonValue", json.loads(candidate, parse_constant=_refuse_constant))
        except RecursionError:
            first_error = first_error or _TOO_DEEP
        except json.JSONDecodeError:
            # Where the parser gave up says nothing about prose, which is what such answers are.
            first_error = first_error or "the answer is not JSON"
        except ValueError as error:
            first_error = first_error or f"the answer is not JSON: {error}"
    raise ValueError(first_error)


def _from_first_bracket(text: str) -> list[str]:
    starts = [index for index in (text.find("{"), text.find("[")) if index >= 0]
    if not starts:
        return []
    start = min(starts)
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return []
    return [text[start:end]]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
