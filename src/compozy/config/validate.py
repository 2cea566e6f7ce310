"""Converts nodes of a file to a checked model; every diagnostic has a location and a message for the author.

Validation is strict, so that `port: true` is no number. Two things are forgiven: a number where text is meant (an
unquoted `version: 1.0`, a password of digits) is taken as it is written, and text that reads as a number where a number
is meant (a quoted `"${PORT}"`, a value from the environment) is read as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from compozy.config.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    YamlPath,
    child,
    key_place_at,
    node_at,
    place_at,
    to_value,
)
from compozy.config.scalars import Scalar, resolve_plain
from compozy.config.shape import branches_at, fields_by_key, is_secret_at, keys_of_field, model_at
from compozy.config.unsupported_keys import UNSUPPORTED_KEYS, UNSUPPORTED_TYPES
from compozy.config.words import describe, join_choices, show_value
from compozy.errors import Diagnostic
from compozy.nearest import suggest

Model = TypeVar("Model", bound=BaseModel)

_MAX_ROUNDS = 4  # a forgiven value can uncover another one behind it, in a model that was not looked into before
_SINGULAR = {
    "tasks": "task",
    "agents": "agent",
    "actions": "action",
    "schemas": "schema",
    "providers": "provider",
    "vector_dbs": "vector store",
    "responses": "response",
    "workflows": "workflow source",
    "triggers": "trigger",
    "tests": "test",
}
# How to write the map where people write a text.
_MAPS = {
    **dict.fromkeys(("on_success", "on_error"), "write `{next: <task id>}`"),
    "with": "write names and values, `{name: value}`",
    "env": "write names and texts, `{NAME: text}`",
    "fallback": "write `{models: [...]}`",
    "params": "write names and values, such as `{temperature: 0.2}`",
    "retry_policy": "write `{maximum_attempts: 3}`",
    "signal": "write `{id: <name>, payload: {...}}`",
    "model_config": "write `{provider: <id>, model: <name>}`",
    "outputs": "write names and templates, `{name: template}`",
}
_SINGLE_TASKS = frozenset({"task", "processor"})
_SWITCH_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def validate(model: type[Model], node: Node, *, label: str) -> tuple[Model | None, list[Diagnostic]]:
    """Return the model of `node`, or None and its diagnostics, in the order of the file.

    Args:
        model: the Pydantic model of the file, or of a part of it.
        node: the root of that part.
        label: what to call the root in messages (`the workflow`).
    """
    value = to_value(node)
    errors: list[ErrorDetails] = []
    for _ in range(_MAX_ROUNDS):
        try:
            return model.model_validate_json(json.dumps(value), strict=True, by_alias=True, by_name=False), []
        except ValidationError as error:
            errors = error.errors(include_url=False)
        forgiven = [_forgive(value, node, error) for error in errors if error["type"] in _FORGIVABLE]
        if not any(forgiven):
            break
    faults = {_fault(model, node, error, label): None for error in errors if not _is_echo(node, error)}
    return None, sorted(faults)


def _path(node: Node, error: ErrorDetails) -> YamlPath:
    """Return where in the file an error is; Pydantic also counts the branches of a union as steps."""
    path: list[str | int] = []
    found: Node | None = node
    for step in error["loc"]:
        # A list can be written as its one item, which then is a map.
        is_one = isinstance(step, int) and isinstance(found, MappingNode)
        if not is_one and (isinstance(step, int) or not step.startswith("<")):
            path.append(step)
            found = child(found, step) if found is not None else None
    return tuple(path)


_FORGIVABLE = frozenset({"string_type", "int_type", "float_type", "bool_type"})


def _is_echo(node: Node, error: ErrorDetails) -> bool:
    """Return whether a list is only called too short because its items are wrong."""
    value = node_at(node, _path(node, error))
    return error["type"] == "too_short" and isinstance(value, SequenceNode) and bool(value.items)


def _forgive(value: Any, node: Node, error: ErrorDetails) -> bool:
    """Replace the scalar that `error` is about by another reading of it; False when there is none."""
    path = _path(node, error)
    scalar = node_at(node, path)
    if not path or not isinstance(scalar, ScalarNode) or scalar.value is None:
        return False
    above = value
    for step in path[:-1]:
        above = above[step]
    now = above[path[-1]]
    reading = _read_otherwise(scalar, now, is_switch=error["type"] == "bool_type")
    if reading is None or type(reading) is type(now):
        return False
    above[path[-1]] = reading
    return True


def _read_otherwise(scalar: ScalarNode, now: Scalar, *, is_switch: bool) -> Scalar:
    if not isinstance(now, str):
        return scalar.text
    if scalar.is_plain:
        return None  # written without quotes it would be a number already
    if is_switch and scalar.span is None and now.lower() in _SWITCH_WORDS:
        return _SWITCH_WORDS[now.lower()]
    try:
        return resolve_plain(now.strip())
    except ValueError:
        return None


def _fault(model: type[BaseModel], node: Node, error: ErrorDetails, label: str) -> Diagnostic:
    path = _path(node, error)
    if error["type"] == "extra_forbidden":
        return _unknown_key(model, node, path, label)
    if error["type"] == "missing":
        message = f"missing key {path[-1]!r} in {_name_of(node, path[:-1], label)}"
        return Diagnostic(location=place_at(node, path[:-1]), message=message, code="missing_key")
    if error["type"] == "union_tag_invalid":
        return _unknown_tag(node, path, error)
    secret = is_secret_at(model, path, node)
    message, hint = describe(error["type"], error.get("ctx", {}), node_at(node, path), is_secret=secret)
    if path and message.startswith("expected a map"):
        hint = hint or _MAPS.get(str(path[-1]), "")
    prefix = f"{_dotted_end(path)}: " if path else f"{label}: "
    return Diagnostic(location=place_at(node, path), message=prefix + message, hint=hint, code="value")


def _unknown_key(model: type[BaseModel], node: Node, path: YamlPath, label: str) -> Diagnostic:
    key = str(path[-1])
    place = key_place_at(node, path)
    owner = model_at(model, path[:-1], node)
    name = _name_of(node, path[:-1], label)
    synonym = _written_synonym(owner, key)
    if synonym:
        message = f"{key!r} and {synonym!r} mean the same"
        return Diagnostic(location=place, message=message, hint="write one of them", code="duplicate_key")
    hint = _hint_of_branches(branches_at(model, path[:-1], node), key) or _hint(owner, key)
    return Diagnostic(location=place, message=f"unknown key {key!r} in {name}", hint=hint, code="unknown_key")


def _unknown_tag(node: Node, path: YamlPath, error: ErrorDetails) -> Diagnostic:
    """Return the diagnostic of a value without a valid `type`, or of a value that is not a map."""
    value = node_at(node, path)
    if not isinstance(value, MappingNode):
        message = f"{_dotted_end(path)}: expected a map, got {show_value(value)}"
        return Diagnostic(location=place_at(node, path), message=message, code="value")
    tags = re.findall(r"<(\w+)>", str(error.get("ctx", {}).get("expected_tags", "")))
    kinds = [tag for tag in tags if tag != "id"]
    found = value.entry("type")
    written = found.value.text if found is not None and isinstance(found.value, ScalarNode) else ""
    message = f"type: expected {join_choices(kinds)}, got {show_value(found.value if found else None)}"
    hint = UNSUPPORTED_TYPES.get(written) or suggest(written, kinds)
    return Diagnostic(location=place_at(value, ("type",)), message=message, hint=hint, code="value")


def _hint_of_branches(branches: Mapping[str, type[BaseModel]], key: str) -> str:
    """Return of which kinds of task a key is, for one that is not of this kind."""
    kinds = [tag.strip("<>") for tag, branch in branches.items() if key in fields_by_key(branch)]
    return f"it belongs to `type: {join_choices(kinds)}`" if kinds else ""


def _written_synonym(owner: type[BaseModel] | None, key: str) -> str:
    """Return the usual key of the field that `key` is a synonym of: both were written, or `key` would be known."""
    for name, info in owner.model_fields.items() if owner else ():
        first, *others = keys_of_field(name, info)
        if key in others:
            return first
    return ""


def _hint(owner: type[BaseModel] | None, key: str) -> str:
    known = list(fields_by_key(owner)) if owner else []
    # A task has several sections with a model; that of its agent is meant.
    for section in sorted(known, key=lambda name: name != "agent"):
        below = model_at(owner, (section,)) if owner else None
        if below and key not in UNSUPPORTED_KEYS and key in fields_by_key(below):
            return f"it belongs under `{section}`"
    return UNSUPPORTED_KEYS.get(key) or suggest(key, known)


def _name_of(node: Node, path: YamlPath, label: str) -> str:
    """Return what to call the map at `path`: `task 'greet'`, `agent`, or `label` for the root."""
    if not path:
        return label
    *_, above, last = ("item", *path)
    word = _SINGULAR.get(str(above), f"item of {above}")
    if isinstance(last, str):
        if last not in _SINGLE_TASKS and above != "routes":
            return last
        word = "task"
    item = node_at(node, path)
    entry = item.entry("id") if isinstance(item, MappingNode) else None
    named = entry.value if entry else None
    if isinstance(named, ScalarNode) and named.text:
        return f"{word} {named.text!r}"
    return last if isinstance(last, str) else f"{word} {last + 1}"


def _dotted_end(path: YamlPath) -> str:
    """Return the last key of `path` with the indexes behind it: `port`, `include[0]`."""
    last = max((index for index, step in enumerate(path) if isinstance(step, str)), default=0)
    return str(path[last]) + "".join(f"[{step}]" for step in path[last + 1 :])
