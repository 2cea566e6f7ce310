"""The keys of a file's model as a list: type, default, limits and meaning."""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from typing import Any, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from compozy.config.shape import keys_of_field
from compozy.config.timespan import parse_duration_s
from tests.generated.pages.markdown import code, either, prose

_UNITS = ((3600, "h"), (60, "m"))
_KINDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "object": "map",
    "boolean": "`true` or `false`",
}


def keys_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield each key that a file can contain for a field of `model`, without synonyms."""
    for name, info in model.model_fields.items():
        yield keys_of_field(name, info)[0], info


def key_line(
    model: type[BaseModel], key: str, info: FieldInfo, *, variables: tuple[str, ...] = (), link: str = ""
) -> str:
    """Return the entry of one key: `- key (type; default; limits): what it means`.

    Args:
        model: the model that the field is of.
        key: as a file writes it.
        info: the field.
        variables: environment variables that set it.
        link: where the model of its value is described, "" when the entry says it all.
    """
    kind = _kind_of(model, key)
    facts = [f"[{kind}]({link})" if link else kind]
    if info.is_required():
        facts.append("required")
    if (default := _default(info)) is not None:
        facts.append(f"default {code(default)}")
    if variables:
        facts.append(f"variable {either([code(name) for name in variables])}")
    return f"- {code(key)} ({'; '.join(facts)}): {prose(info.description or '')}\n"


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a value of this type is or contains."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = [model for part in get_args(annotation) for model in models_in(part)]
    return list(dict.fromkeys(found))


def is_list(annotation: Any) -> bool:
    """Return whether a value of this type is a list."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return any(is_list(part) for part in get_args(annotation))
    return get_origin(annotation) is tuple


def _kind_of(model: type[BaseModel], key: str) -> str:
    """Return a description of the type of a key's value."""
    whole = _schema_of(model)
    # A recursive model is one of its definitions.
    own = whole["$defs"][whole["$ref"].rpartition("/")[2]] if "$ref" in whole else whole
    return _kind(whole, own["properties"][key])


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a model; building one takes up to 50 ms, and a page asks for it once for each key."""
    return model.model_json_schema(by_alias=True, mode="validation")


def _kind(whole: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return a description of a value's type."""
    if "$ref" in schema:
        return _kind(whole, whole["$defs"][schema["$ref"].rpartition("/")[2]])
    branches = [each for each in schema.get("anyOf", schema.get("oneOf", ())) if each.get("type") != "null"]
    if any("examples" in each for each in branches):
        return "time"
    if branches:
        return either(list(dict.fromkeys(_kind(whole, each) for each in branches)))
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return either([code(value) for value in schema["enum"]])
    if schema.get("type") == "array":
        return f"list of {_plural(_kind(whole, schema['items']))}"
    if schema.get("format") == "password":
        return "text, kept secret"
    if "type" not in schema:
        return "any value"
    return _KINDS[schema["type"]] + _limits(schema)


def _plural(kind: str) -> str:
    return {"text": "texts", "map": "maps"}.get(kind, kind)


def _limits(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {_number(low)} to {_number(high)}"
    if low is not None:
        return f", at least {_number(low)}"
    return f", at most {_number(high)}" if high is not None else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _default(info: FieldInfo) -> str | None:
    """Return the default in the notation of a file, or None if no default is shown."""
    value: Any = info.default
    if info.is_required() or value is None or isinstance(value, (BaseModel, tuple)) or info.default_factory is not None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if any(getattr(each, "func", None) is parse_duration_s for each in info.metadata):
        return _seconds(cast("float", value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seconds(value: float) -> str:
    for unit_s, unit in _UNITS:
        if value and value % unit_s == 0:
            return f"{value / unit_s:g}{unit}"
    return f"{value:g}s"
