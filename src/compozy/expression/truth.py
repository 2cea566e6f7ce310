"""Finds expressions that can never be a condition, whatever the variables are."""

from __future__ import annotations

from collections.abc import Iterator

from compozy.expression.nodes import (
    Call,
    Chain,
    Choice,
    Has,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Method,
    Node,
    Path,
    Prefixed,
)

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
# Result types of functions and macros; those that depend on their arguments are omitted.
_GIVES_TRUTH = frozenset({"bool", "matches", "contains", "startsWith", "endsWith", "all", "exists", "exists_one"})
_GIVES_TEXT_OR_NUMBERS = frozenset(
    {"size", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "type", "map", "filter"}
)


def never_true_or_false(tree: Node) -> Node | None:
    """Return a part of a condition that must be true or false but never is, or None."""
    if gives_truth(tree) is False:
        return tree
    for part in _truths_below(tree):
        found = never_true_or_false(part)
        if found is not None:
            return found
    return None


def gives_truth(node: Node) -> bool | None:
    """Return whether a part evaluates to true or false; None if that depends on the variables."""
    match node:
        case Literal() | ListOf() | MapOf():
            return isinstance(node, Literal) and isinstance(node.value, bool)
        case Has() | Logic():
            return True
        case Prefixed():
            return node.sign == "!"
        case Chain():
            return node.rest[-1][0] in _COMPARISONS
        case Call():
            return _of_function(node.function)
        case Path():
            return _of_path(node)
        case _:
            return _of_choice(node) if isinstance(node, Choice) else None


def _of_choice(node: Choice) -> bool | None:
    found = {gives_truth(value) for value in (*(value for _, value in node.cases), node.otherwise)}
    return found.pop() if len(found) == 1 else None


def _of_path(node: Path) -> bool | None:
    last = node.steps[-1]
    if isinstance(last, Method):
        return _of_function(last.function)
    return _of_function(last.kind) if isinstance(last, Macro) else None


def _of_function(name: str) -> bool | None:
    if name in _GIVES_TRUTH:
        return True
    return False if name in _GIVES_TEXT_OR_NUMBERS else None


def _truths_below(node: Node) -> Iterator[Node]:
    """Yield the parts of a node that must be true or false."""
    match node:
        case Logic():
            yield from node.operands
        case Prefixed(sign="!"):
            yield node.operand
        case Choice():
            yield from (condition for condition, _ in node.cases)
            # The whole condition is one of these.
            yield from (value for _, value in node.cases)
            yield node.otherwise
        case _:
            return
