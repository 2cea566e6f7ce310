"""Validation within a time limit: values come from outside, and some keywords are slow on crafted values."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

import regex

from compozy.clock import monotonic_s
from compozy.repeats import largest_repeat
from compozy.schema.json_kinds import is_list, is_map
from compozy.schema.walk import resolve_pointer, walk_schemas

PATTERN_S = 1.0
VALUE_S = 10.0
_LEAST_S = 0.001
_MAX_REPEAT = 100_000
# jsonschema's validators and errors; neither has more precise types.
_Validator = Any
_Keyword = Callable[[Any, Any, Any, Any], "Iterable[Any] | None"]


class OutOfTimeError(Exception):
    """Validating a value took too long; the message says why."""


@dataclass(kw_only=True)
class _Check:
    root: Any
    deadline_s: float
    patterns_left_s: float = PATTERN_S

    def look(self) -> None:
        if monotonic_s() > self.deadline_s:
            raise OutOfTimeError(f"validating the value took longer than {VALUE_S:g} s")


_check: ContextVar[_Check] = ContextVar("check")


def iter_errors(root: Any, schema: Any, value: Any) -> Iterator[Any]:
    """Yield jsonschema's errors for `value` against `schema`, a part of `root`.

    Raises:
        OutOfTimeError: patterns took longer than `PATTERN_S`, or everything longer than `VALUE_S`.
    """
    import referencing

    whole = _without_dialect(root)
    part = whole if schema is root else _without_dialect(schema)
    # A separate registry, so that nothing is ever fetched.
    package: Any = referencing
    validator = _validator_class()(whole, registry=package.Registry())
    with _checking(_Check(root=whole, deadline_s=monotonic_s() + VALUE_S)):
        yield from list(validator.descend(value, part))


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Compile a schema's `pattern` for searching with a time limit.

    Raises:
        regex.error: the pattern is not a regular expression, or its nested repetitions multiply to more than 100,000.
    """
    if largest_repeat(pattern) > _MAX_REPEAT:
        raise regex.error(f"nested repetitions multiply to more than {_MAX_REPEAT}")
    return regex.compile(pattern, flags=regex.VERSION0)


@contextmanager
def _checking(check: _Check) -> Generator[None]:
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def _without_dialect(root: Any) -> Any:
    """Return the schema without `$schema`, which would make jsonschema continue with its own validator."""
    if not any("$schema" in schema for _, schema in walk_schemas(root)):
        return root
    whole = copy.deepcopy(root)
    for _, schema in list(walk_schemas(whole)):
        schema.pop("$schema", None)
    return whole


@cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator, validators

    own: dict[str, _Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "unevaluatedProperties": _unevaluated_properties,
        "uniqueItems": _unique_items,
    }
    standard: dict[str, _Keyword] = cast("Any", Draft202012Validator).VALIDATORS
    package: Any = validators
    return package.extend(Draft202012Validator, {name: _timed(own.get(name) or standard[name]) for name in standard})


def _timed(keyword: _Keyword) -> _Keyword:
    def check(validator: _Validator, value: Any, instance: Any, schema: Any) -> Iterable[Any] | None:
        _check.get().look()
        return keyword(validator, value, instance, schema)

    return check


def _matches(pattern: str, text: str) -> bool:
    # `regex` releases the GIL while it searches.
    check, began_s = _check.get(), monotonic_s()
    try:
        return compile_pattern(pattern).search(text, timeout=max(check.patterns_left_s, _LEAST_S)) is not None
    except TimeoutError as error:
        raise OutOfTimeError(f"matching the pattern {pattern} took longer than {PATTERN_S:g} s") from error
    except MemoryError as error:
        raise OutOfTimeError(f"matching the pattern {pattern} ran out of memory") from error
    finally:
        check.patterns_left_s -= monotonic_s() - began_s


def _pattern(validator: _Validator, pattern: str, instance: Any, _: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield _error(f"{instance!r:.80} does not match {pattern!r}")
    del validator


def _pattern_properties(validator: _Validator, patterns: dict[str, Any], instance: Any, _: Any) -> Iterator[Any]:
    if not is_map(instance):
        return
    for pattern, below in patterns.items():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional_properties(validator: _Validator, below: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not is_map(instance):
        return
    known = _listed_keys(instance, schema)
    additional = [name for name in instance if name not in known]
    if is_map(below):
        for name in additional:
            yield from validator.descend(instance[name], below, path=name)
    elif below is False and additional:
        yield _error("additional keys")


def _unevaluated_properties(validator: _Validator, below: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not is_map(instance):
        return
    rest = {name: below for name in schema if name != "unevaluatedProperties" for below in (schema[name],)}
    evaluated = _evaluated_keys(validator, instance, rest)
    if any(not _is_valid(validator, value, below) for name, value in instance.items() if name not in evaluated):
        yield _error("unevaluated keys")


def _evaluated_keys(validator: _Validator, instance: dict[str, Any], schema: Any) -> set[str]:
    """Return the keys evaluated by `schema`, or by a subschema for the same value that the instance satisfies."""
    if not is_map(schema):
        return set()
    if "additionalProperties" in schema or "unevaluatedProperties" in schema:
        return set(instance)
    keys = _listed_keys(instance, schema)
    for below in _satisfied(validator, instance, schema):
        keys |= _evaluated_keys(validator, instance, below)
    return keys


def _satisfied(validator: _Validator, instance: dict[str, Any], schema: dict[str, Any]) -> Iterator[Any]:
    if "$ref" in schema:
        yield resolve_pointer(_check.get().root, schema["$ref"])
    for name, below in schema.get("dependentSchemas", {}).items():
        if name in instance:
            yield below
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from (below for below in schema.get(keyword, ()) if _is_valid(validator, instance, below))
    if "if" in schema:
        holds = _is_valid(validator, instance, schema["if"])
        if holds:
            yield schema["if"]
        yield schema.get("then" if holds else "else")


def _listed_keys(instance: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    patterns = schema.get("patternProperties", {})
    properties = schema.get("properties", {})
    return {name for name in instance if name in properties or any(_matches(pattern, name) for pattern in patterns)}


def _is_valid(validator: _Validator, value: Any, schema: Any) -> bool:
    return next(iter(validator.descend(value, schema)), None) is None


def _unique_items(_: _Validator, wanted: Any, instance: Any, __: Any) -> Iterator[Any]:
    if wanted and is_list(instance):
        seen: set[str] = set()
        for item in instance:
            _check.get().look()
            text = json.dumps(_normal(item), sort_keys=True)
            if text in seen:
                yield _error("duplicate item")
                return
            seen.add(text)


def _normal(value: Any) -> Any:
    """Return `value` with 1.0 as 1, so that equal values have equal texts; numbers can share a hash, texts cannot."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if is_list(value):
        return [_normal(item) for item in value]
    return {name: _normal(item) for name, item in value.items()} if is_map(value) else value


def _error(message: str) -> Any:
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)
