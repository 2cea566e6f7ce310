"""Finds the variables that an expression reads, without evaluating it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compozy.expression.nodes import (
    Call,
    Chain,
    Choice,
    Field,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Name,
    Node,
    Path,
    PathStep,
    Prefixed,
)
from compozy.expression.values import TYPES


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A path that the expression reads: `tasks.greet.output` is `("tasks", "greet", "output")`.

    `optional` is set within `has`. `joined` is the last name with the hyphens that follow: CEL parses `my-task` as `my`
    minus `task`.
    """

    path: tuple[str, ...]
    offset: int
    optional: bool
    joined: str


def find_references(node: Node) -> tuple[Reference, ...]:
    """Return the references of an expression in text order."""
    return tuple(sorted(_node(node, frozenset()), key=lambda found: found.offset))


_Found = Iterator[Reference]


def _node(node: Node, bound: frozenset[str]) -> _Found:
    if isinstance(node, (Name, Path)):
        yield from _path(node, bound)
    elif isinstance(node, Has):
        path = node.path
        steps = path.steps if isinstance(path, Path) else ()
        last = Field(name=node.field, joined="", offset=node.offset, end=node.offset)
        first = path.first if isinstance(path, Path) else path
        yield from _path(Path(first=first, steps=(*steps, last), offset=path.offset), bound, optional=True)
    elif not isinstance(node, Literal):
        for below in _children(node):
            yield from _node(below, bound)


def _children(node: ListOf | MapOf | Call | Prefixed | Chain | Logic | Choice) -> Iterator[Node]:
    if isinstance(node, ListOf):
        yield from node.items
    elif isinstance(node, Call):
        yield from node.args
    elif isinstance(node, Prefixed):
        yield node.operand
    elif isinstance(node, Logic):
        yield from node.operands
    elif isinstance(node, Chain):
        yield node.first
        yield from (operand for _, _, operand in node.rest)
    else:
        for pair in node.entries if isinstance(node, MapOf) else node.cases:
            yield from pair
        if isinstance(node, Choice):
            yield node.otherwise


def _path(node: Name | Path, bound: frozenset[str], *, optional: bool = False) -> _Found:
    first, steps = (node.first, node.steps) if isinstance(node, Path) else (node, ())
    if isinstance(first, Name):
        if first.name not in bound and (first.name not in TYPES or steps):
            fields, joined = _fields(first, steps)
            yield Reference(path=fields, offset=first.offset, optional=optional, joined=joined)
    else:
        yield from _node(first, bound)
    for step in steps:
        yield from _step(step, bound)


def _fields(first: Name, steps: tuple[PathStep, ...]) -> tuple[tuple[str, ...], str]:
    names, joined = [first.name], first.joined
    for step in steps:
        if isinstance(step, Field):
            names.append(step.name)
            joined = step.joined
        elif isinstance(step, Index) and isinstance(step.key, Literal) and isinstance(step.key.value, str):
            names.append(step.key.value)
            joined = ""
        else:
            break
    return tuple(names), joined


def _step(step: PathStep, bound: frozenset[str]) -> _Found:
    if isinstance(step, Index):
        yield from _node(step.key, bound)
    elif isinstance(step, Macro):
        inner = bound | {step.variable}
        yield from _node(step.condition, inner) if step.condition is not None else ()
        yield from _node(step.body, inner)
    elif not isinstance(step, Field):
        for arg in step.args:
            yield from _node(arg, bound)
