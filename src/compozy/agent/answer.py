"""Structured answers: the schema that a model is held to, and what its text means under that schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from pydantic import JsonValue

from compozy.jsoninput import find_json, parse_json
from compozy.schema import validate_value

_WRAPPER = "value"
_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
_MAX_PROBLEMS = 10
_TOO_DEEP = "the schema is nested too deeply for this answer"
_NOT_JSON = "the answer is not JSON"
_AMBIGUOUS = "the answer holds several JSON values that match the schema"
_CUT_OFF = "the answer was cut off when it reached `max_tokens`"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A text read by a schema: a `value`, or its `problems`."""

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

    def read(self, text: str, *, is_cut_off: bool = False) -> Answer:
        """Return what `text` means under the schema, or what is wrong with it.

        All of the text is the answer if it is JSON. Otherwise the answer is the one value that matches among its fenced
        blocks, or else among the objects and lists in it; several that differ are a problem, because only the model
        knows which of them it means. Of a text that `is_cut_off` no part is taken: what it holds may be a draft.
        """
        try:
            value = _parse(text)
        except ValueError as error:
            if is_cut_off:
                return Answer(problems=(_CUT_OFF,))
            return self._only_fit(text) or Answer(problems=(str(error),))
        return self._read_value(value)

    def _only_fit(self, text: str) -> Answer | None:
        """Return the answer within `text`, None if no JSON is found in it."""
        unfit: Answer | None = None
        for values in (_fenced_values(text), find_json(text)):
            fitting: dict[str, Answer] = {}
            for value in values:
                answer = self._read_value(value)
                if answer.problems:
                    unfit = unfit or answer
                else:
                    fitting[json.dumps(answer.value, sort_keys=True)] = answer
            if len(fitting) > 1:
                return Answer(problems=(_AMBIGUOUS,))
            if fitting:
                return next(iter(fitting.values()))
        return unfit

    def _read_value(self, value: JsonValue) -> Answer:
        """Return the first reading of `value` that matches the schema, or the problems of the last."""
        problems: tuple[str, ...] = ()
        for reading in self._readings(value):
            try:
                problems = self._problems(reading)
            except RecursionError:
                problems = (_TOO_DEEP,)
            if not problems:
                return Answer(value=reading)
        return Answer(problems=problems)

    def _readings(self, parsed: JsonValue) -> list[JsonValue]:
        """Return the values that `parsed` may stand for; its problems are those of the last one."""
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
    """Return the JSON value that `text` is.

    Raises:
        ValueError: it is not JSON; the message says why, unless it is prose.
    """
    try:
        return cast("JsonValue", parse_json(text, lenient=True))
    except ValueError as error:
        # Where the parser gave up says nothing about prose, which is what such answers are.
        is_prose = not text.lstrip().startswith(("{", "[")) and str(error) == "Expecting value"
        raise ValueError(_NOT_JSON if is_prose else f"{_NOT_JSON}: {error}") from error


def _fenced_values(text: str) -> Iterator[JsonValue]:
    for block in _FENCE.finditer(text):
        with suppress(ValueError):
            yield _parse(block[1])
