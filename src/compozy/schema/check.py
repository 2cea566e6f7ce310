"""Checks that a JSON Schema (2020-12) is valid, and usable offline and in bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import regex

from compozy.nearest import nearest
from compozy.schema.bounded import compile_pattern
from compozy.schema.json_kinds import is_map
from compozy.schema.problem import Problem
from compozy.schema.validate import fill_defaults, find_problems
from compozy.schema.walk import in_place_schemas, resolve_pointer, walk_schemas
from compozy.schema.words import TYPES, describe_error, show

KEYWORDS = frozenset(
    {"$comment", "$defs", "$id", "$ref", "$schema", "additionalProperties", "allOf", "anyOf", "const", "contains"}
    | {"contentEncoding", "contentMediaType", "contentSchema", "default", "definitions", "dependencies"}
    | {"dependentRequired", "dependentSchemas", "deprecated", "description", "else", "enum", "examples"}
    | {"exclusiveMaximum", "exclusiveMinimum", "format", "if", "items", "maxContains", "maxItems", "maxLength"}
    | {"maxProperties", "maximum", "minContains", "minItems", "minLength", "minProperties", "minimum", "multipleOf"}
    | {"not", "oneOf", "pattern", "patternProperties", "prefixItems", "properties", "propertyNames", "readOnly"}
    | {"required", "then", "title", "type", "unevaluatedItems", "unevaluatedProperties", "uniqueItems", "writeOnly"}
)
"""Keywords of JSON Schema 2020-12, and the two of earlier drafts that are still read or written."""
# From OpenAPI.
_ANNOTATIONS = frozenset({"discriminator", "example", "externalDocs", "nullable", "xml"})
# Types of programming languages.
_TYPES_ELSEWHERE = (
    {"str": "string", "text": "string", "int": "integer", "float": "number", "bool": "boolean"}
    | {"list": "array", "dict": "object", "map": "object", "none": "null", "nil": "null"}
)  # fmt: skip
_SHORT = {"min": "minimum", "max": "maximum"}
# The similarity from which a word counts as a misspelled keyword: `typ` does, `content` does not.
_MISSPELLED = 0.75
_NOT_SUPPORTED = ("$dynamicRef", "$dynamicAnchor", "$anchor", "$recursiveRef", "$vocabulary")


def check_schema(schema: Any) -> list[Problem]:
    """Return the problems of `schema`, ordered by path."""
    from jsonschema import Draft202012Validator

    meta: Any = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    problems = [_say_type(schema, describe_error(error)) for error in meta.iter_errors(schema)]
    wrong = {problem.path for problem in problems}
    problems += [problem for problem in _check_content(schema) if problem.path not in wrong]
    if all(problem.at_key for problem in problems):
        problems += _check_defaults(schema)
    return sorted(set(problems), key=lambda problem: (str(problem.path), problem.message))


def _say_type(root: Any, problem: Problem) -> Problem:
    """Name the valid types: the meta-schema only knows that none of its forms matches."""
    if not problem.path or problem.path[-1] != "type" or problem.path[-2:-1] == ("properties",):
        return problem
    found: Any = root
    for step in problem.path:
        found = found[step]
    meant = _TYPES_ELSEWHERE.get(found) if isinstance(found, str) else None
    hint = f" (did you mean {meant!r}?)" if meant else f"; valid types are {', '.join(TYPES)}"
    return Problem(path=problem.path, message=f"{show(found)} is not a type{hint}")


def _check_defaults(root: Any) -> Iterator[Problem]:
    """Find defaults that their own schema rejects: every run that omits the value would fail."""
    for path, schema in walk_schemas(root):
        if "default" in schema:
            value = fill_defaults(root, schema, schema["default"])
            for problem in find_problems(root, schema, value):
                place = f"{problem.dotted}: " if problem.path else ""
                yield Problem(path=(*path, "default"), message=f"default: {place}{problem.message}")


def _check_keywords(schema: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Problem]:
    """Find misspelled keywords. A word similar to none is an annotation, which JSON Schema allows."""
    for word in schema:
        if word in KEYWORDS or word in _ANNOTATIONS or word.startswith("x-"):
            continue
        meant = _SHORT.get(word.lower()) or nearest(word, KEYWORDS, likeness=_MISSPELLED)
        if meant:
            message = f"unknown keyword {word!r} (did you mean {meant!r}?)"
            yield Problem(path=(*path, word), message=message, at_key=True)


def _check_content(root: Any) -> Iterator[Problem]:
    for path, schema in walk_schemas(root):
        for keyword in _NOT_SUPPORTED:
            if keyword in schema:
                yield Problem(path=(*path, keyword), message=f"{keyword} is not supported; use $ref with a local path")
        if path and "$id" in schema:
            yield Problem(path=(*path, "$id"), message="$id is not supported inside a schema")
        if isinstance(schema.get("$ref"), str):
            yield from _check_reference(root, schema["$ref"], (*path, "$ref"))
        yield from _check_patterns(schema, path)
        yield from _check_keywords(schema, path)
    yield from _check_endless(root)


def _check_reference(root: Any, reference: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    if not reference.startswith("#"):
        yield Problem(path=path, message=f"$ref {reference!r} refers to another file; copy the schema into `$defs`")
        return
    try:
        found = resolve_pointer(root, reference)
    except LookupError:
        found = None
    if not isinstance(found, (dict, bool)):
        yield Problem(path=path, message=f"$ref {reference!r} does not refer to a schema")


def _check_patterns(schema: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Problem]:
    patterns: list[tuple[tuple[str | int, ...], str]] = []
    # Patterns that are not text were reported before.
    if isinstance(schema.get("pattern"), str):
        patterns.append(((*path, "pattern"), schema["pattern"]))
    named = schema.get("patternProperties")
    patterns += [((*path, "patternProperties", name), name) for name in (named if is_map(named) else ())]
    for place, pattern in patterns:
        try:
            compile_pattern(pattern)
        except (regex.error, OverflowError, RecursionError, MemoryError) as error:
            yield Problem(path=place, message=f"{pattern!r} is not a regular expression: {error}")


def _check_endless(root: Any) -> Iterator[Problem]:
    """Find schemas that refer to themselves without descending into the value."""
    done: set[int] = set()
    for path, schema in walk_schemas(root):
        if id(schema) not in done and _comes_back(root, schema, done):
            yield Problem(path=path, message="the schema refers to itself endlessly")
            return


def _comes_back(root: Any, start: dict[str, Any], done: set[int]) -> bool:
    """Search depth first from `start`, without recursion; `done` collects schemas that are not part of a cycle."""
    on_path: set[int] = set()
    stack: list[tuple[dict[str, Any], bool]] = [(start, False)]
    while stack:
        schema, is_left = stack.pop()
        if is_left:
            on_path.discard(id(schema))
            done.add(id(schema))
        elif id(schema) in on_path:
            return True
        elif id(schema) not in done:
            on_path.add(id(schema))
            stack.append((schema, True))
            stack.extend((below, False) for below in _next_in_place(root, schema))
    return False


def _next_in_place(root: Any, schema: dict[str, Any]) -> list[dict[str, Any]]:
    below = in_place_schemas(schema)
    try:
        target = resolve_pointer(root, schema["$ref"]) if str(schema.get("$ref", "")).startswith("#") else None
    except LookupError:
        target = None
    return [*below, target] if is_map(target) else below
