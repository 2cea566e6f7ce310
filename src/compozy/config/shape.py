"""Which keys a model of a file takes, and which model stands at a path below another."""

from __future__ import annotations

import types
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, Discriminator, SecretStr, Tag
from pydantic.fields import FieldInfo

from compozy.config.nodes import MappingNode, Node, ScalarNode, child


class OpenUnion(ABC):
    """A union whose branches are registered; it stands in `Annotated`, where a closed one has a `Discriminator`."""

    @abstractmethod
    def branches(self) -> dict[str, Any]:
        """Return the types of the branches by tag."""

    @abstractmethod
    def discriminator(self, value: Any) -> str:
        """Return the tag of the branch that `value` is read by."""


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


def model_at(model: type[BaseModel], path: Sequence[str | int], node: Node | None = None) -> type[BaseModel] | None:
    """Return the model that the value at `path` below a value of `model` has, None when it has none.

    Of a union whose branches have tags it is the one of the value in `node`, the tree of the whole value.
    """
    annotation, below = _walk(model, path, node)
    return next(_models_in(_branch(annotation, below)), None)


def branches_at(model: type[BaseModel], path: Sequence[str | int], node: Node) -> dict[str, type[BaseModel]]:
    """Return the models that the value at `path` could have, by the tag of their branch; without a union none."""
    annotation, _ = _walk(model, path, node)
    return {tag: below for tag, part in _tagged(annotation).items() for below in _models_in(part)}


def is_secret_at(model: type[BaseModel], path: Sequence[str | int], node: Node | None = None) -> bool:
    """Return whether the value at `path` must not be shown."""
    owner = model_at(model, path[:-1], node) if path else None
    info = fields_by_key(owner).get(str(path[-1])) if owner else None
    return info is not None and SecretStr in set(_parts(info.annotation))


def _walk(model: type[BaseModel], path: Sequence[str | int], node: Node | None) -> tuple[Any, Node | None]:
    annotation: Any = model
    for step in path:
        annotation = _step(_branch(annotation, node), step)
        node = child(node, step) if node is not None else None
    return annotation, node


def _step(annotation: Any, step: str | int) -> Any:
    for part in _parts(annotation):
        if isinstance(step, str) and _is_model(part):
            info = fields_by_key(part).get(step)
            if info is not None:
                return _annotation_of(info)
        arguments = get_args(part)
        if isinstance(step, int) and get_origin(part) is tuple:
            return arguments[0]
        if isinstance(step, str) and get_origin(part) is dict:
            return arguments[1]
    return None


def _annotation_of(info: FieldInfo) -> Any:
    annotation: Any = info.annotation
    return Annotated[annotation, *info.metadata] if info.metadata else annotation


def _branch(annotation: Any, node: Node | None) -> Any:
    """Return the branch of a tagged union that `node` is read by, all of `annotation` when it is none."""
    tagged = _tagged(annotation)
    if not tagged or node is None:
        return annotation
    shallow: Any = node.value if isinstance(node, ScalarNode) else None
    if isinstance(node, MappingNode):
        shallow = {entry.key: entry.value.value for entry in node.entries if isinstance(entry.value, ScalarNode)}
    return tagged.get(_discriminator(annotation).discriminator(shallow), annotation)


def _discriminator(annotation: Any) -> Any:
    """Return the discriminator of a union, None if it has none."""
    if get_origin(annotation) is not Annotated:
        inner = [_discriminator(part) for part in get_args(annotation) if get_origin(part) is Annotated]
        return next((found for found in inner if found is not None), None)
    return next((found for found in get_args(annotation)[1:] if isinstance(found, (Discriminator, OpenUnion))), None)


def _tagged(annotation: Any) -> dict[str, Any]:
    """Return the branches of a union by their tags."""
    discriminator = _discriminator(annotation)
    if discriminator is None:
        return {}
    if isinstance(discriminator, OpenUnion):
        return discriminator.branches()
    found: dict[str, Any] = {}
    waiting = [annotation]
    while waiting:
        part = waiting.pop(0)
        tags = [each.tag for each in get_args(part)[1:] if isinstance(each, Tag)] if _is_annotated(part) else []
        if tags:
            found[tags[0]] = get_args(part)[0]
        elif _is_annotated(part) or get_origin(part) in {Union, types.UnionType}:
            waiting += [each for each in get_args(part) if get_origin(each) is not None]
    return found


def _is_annotated(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated


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
