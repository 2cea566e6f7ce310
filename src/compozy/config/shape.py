"""Which keys a model of a file takes, and which model stands at a path below another."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo


def fields_by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of `model` by every key that a file may write for them, synonyms last."""
    first: dict[str, FieldInfo] = {}
    synonyms: dict[str, FieldInfo] = {}
    for name, info in model.model_fields.items():
        main, *others = keys_of_field(name, info)
        first[main] = info
        synonyms.update(dict.fromkeys(others, info))
    return {**first, **synonyms}


def keys_of_field(name: str, info: FieldInfo) -> list[str]:
    """Return the keys that a file may write for the field `name`, the usual one first."""
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias)] if alias is not None else [name]


def model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the model that the value at `path` below a value of `model` has, None when it has none."""
    annotation: Any = model
    for step in path:
        annotation = _step(annotation, step)
    return next(_models_in(annotation), None)


def is_secret_at(model: type[BaseModel], path: Sequence[str | int]) -> bool:
    """Return whether the value at `path` must not be shown."""
    owner = model_at(model, path[:-1]) if path else None
    info = fields_by_key(owner).get(str(path[-1])) if owner else None
    return info is not None and SecretStr in set(_parts(info.annotation))


def _step(annotation: Any, step: str | int) -> Any:
    for part in _parts(annotation):
        if isinstance(step, str) and _is_model(part):
            info = fields_by_key(part).get(step)
            if info is not None:
                return info.annotation
        arguments = get_args(part)
        if isinstance(step, int) and get_origin(part) is tuple:
            return arguments[0]
        if isinstance(step, str) and get_origin(part) is dict:
            return arguments[1]
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    return (part for part in _parts(annotation) if _is_model(part))


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield what `annotation` may be, with unions, `Annotated` and aliases taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for argument in get_args(annotation):
            yield from _parts(argument)
    else:
        yield annotation
