"""Modules as texts and syntax trees, read once for all tests of the source."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

_Node = TypeVar("_Node", bound=ast.AST)
# Fields of statements, handlers and cases that contain statements.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@cache
def text_of(file: Path) -> str:
    """Return the text of a module."""
    return file.read_text(encoding="utf-8")


@cache
def tree_of(file: Path) -> ast.Module:
    """Return the syntax tree of a module, of the program or of tests."""
    return ast.parse(text_of(file))


def nodes_of(file: Path, *kinds: type[_Node]) -> Iterator[_Node]:
    """Yield the nodes of a module that have one of these classes, one class after another."""
    grouped = _group_nodes(file)
    for kind in kinds:
        yield from cast("list[_Node]", grouped.get(kind, []))


@cache
def _group_nodes(file: Path) -> Mapping[type[ast.AST], list[ast.AST]]:
    """Return the nodes of a module by their class. A walk through the tree takes longer than its use."""
    grouped: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
    for node in ast.walk(tree_of(file)):
        grouped[type(node)].append(node)
    return grouped


def statements_of(file: Path) -> Iterator[ast.AST]:
    """Yield the statements, handlers and cases of a module, without their expressions."""
    waiting: list[ast.AST] = [tree_of(file)]
    for node in waiting:
        yield node
        for field in _BLOCKS:
            waiting.extend(getattr(node, field, ()))
