"""Compiles and evaluates expressions, and finds the variables that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from compozy.errors import ExpressionError, ExpressionSyntaxError, SourceLocation
from compozy.expression.limits import DEFAULT_LIMITS, Budget, Exhausted, Limits
from compozy.expression.machine import Machine
from compozy.expression.nodes import Literal, Node
from compozy.expression.parser import parse
from compozy.expression.references import Reference, find_references
from compozy.expression.tokens import ExpressionSyntax
from compozy.expression.truth import never_true_or_false
from compozy.expression.values import Fail, show, to_json, type_words

Locate = Callable[[int], SourceLocation]
CACHED_EXPRESSIONS = 1024
_LONGEST_SHOWN = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A problem of an expression at `offset`; `hint` says how to fix it, or is ""."""

    message: str
    offset: int
    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """A compiled expression, from `compile`. It holds no data and is safe for concurrent use by several threads."""

    text: str
    tree: Node

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every path that the expression reads from its variables, in text order."""
        return find_references(self.tree)


def compile(text: str, *, name: str = "expression", locate: Locate | None = None) -> Expression:  # noqa: A001
    """Compile an expression; the last 1024 are cached.

    Args:
        text: at most 10 000 characters.
        name: used in messages without a location.
        locate: maps an offset in `text` to its location in a file; errors then carry the location.

    Raises:
        ExpressionSyntaxError: the text is not a valid expression.
    """
    try:
        return _compile(text)
    except ExpressionSyntax as fault:
        raise _error(ExpressionSyntaxError, fault, text, name, locate) from None


def check(text: str) -> list[Problem]:
    """Return the first problem of `text`, or nothing; a blank text is valid and means true."""
    try:
        if text.strip():
            _compile(text)
    except ExpressionSyntax as fault:
        return [Problem(message=fault.message, offset=fault.offset, hint=fault.hint)]
    return []


def check_condition(text: str) -> list[Problem]:
    """Return the first reason why `text` can never be a condition, whatever the variables are, or nothing.

    An expression without variables is evaluated.
    """
    problems = check(text)
    if problems or not text.strip():
        return problems
    expression = _compile(text)
    part = never_true_or_false(expression.tree)
    if part is not None:
        is_whole = part is expression.tree
        words = "it is never true or false" if is_whole else "this part must be true or false, but never is"
        return [Problem(message=words, offset=part.offset, hint=_bool_hint(text) if is_whole else "")]
    if expression.references:
        return []
    try:
        evaluate_condition(text, {})
    except ExpressionError as error:
        message = error.message.partition(": ")[2]
        return [Problem(message=message, offset=error.offset, hint=error.hint)]
    return []


def names_in(text: str) -> frozenset[str]:
    """Return the variables that `text` reads; raises ExpressionSyntaxError."""
    return frozenset(reference.path[0] for reference in compile(text).references)


def evaluate(
    text: str,
    variables: Mapping[str, Any],
    *,
    name: str = "expression",
    locate: Locate | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Any:
    """Evaluate `text` and return its value as JSON: integers stay integers, times and durations become text.

    Args:
        text: the expression.
        variables: JSON values by name; they are not changed.
        name: used in messages without a location.
        locate: maps an offset in `text` to its location in a file; errors then carry the location.
        limits: resource limits of the evaluation.

    Raises:
        ExpressionSyntaxError: the text is not a valid expression.
        ExpressionError: it cannot be evaluated with these variables, or exceeds the limits.
    """
    tree = compile(text, name=name, locate=locate).tree
    budget = Budget(limits)
    try:
        value = to_json(Machine(text, variables, budget).value(tree), budget)
        budget.left_s()
    except Fail as fail:
        raise _error(ExpressionError, fail, text, name, locate) from fail.__cause__
    except (Exhausted, RecursionError) as error:
        message = str(error) if isinstance(error, Exhausted) else "the values are nested too deeply"
        raise _error(ExpressionError, Fail(message, offset=0), text, name, locate) from None
    return value


def evaluate_condition(
    text: str,
    variables: Mapping[str, Any],
    *,
    name: str = "condition",
    locate: Locate | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> bool:
    """Return whether `text` is true; a blank text is.

    Raises:
        ExpressionError: as for `evaluate`, or the value is neither true nor false.
    """
    if not text.strip():
        return True
    value = evaluate(text, variables, name=name, locate=locate, limits=limits)
    if not isinstance(value, bool):
        shown = " ".join(text.split())
        shown = shown if len(shown) <= _LONGEST_SHOWN else shown[: _LONGEST_SHOWN - 3] + "..."
        got = type_words(value) + (f" ({show(value)})" if isinstance(value, (int, float, str)) else "")
        fail = Fail(f"expected true or false, but `{shown}` gives {got}", hint=_bool_hint(text), offset=0)
        raise _error(ExpressionError, fail, text, name, locate)
    return value


@lru_cache(maxsize=CACHED_EXPRESSIONS)
def _compile(text: str) -> Expression:
    return Expression(text=text, tree=parse(text))


def _bool_hint(text: str) -> str:
    tree = _compile(text).tree
    is_quoted = isinstance(tree, Literal) and tree.value in ("true", "false")
    return "remove the inner quotes" if is_quoted else "compare it, such as `a == b`"


def _error(
    kind: type[ExpressionError], fault: Fail | ExpressionSyntax, text: str, name: str, locate: Locate | None
) -> ExpressionError:
    offset = max(fault.offset, 0)
    location = locate(offset) if locate else None
    if location is None:
        line = 1 + text.count("\n", 0, offset)
        message = f"{name}:{line}:{offset - text.rfind(chr(10), 0, offset)}: {fault.message}"
    else:
        message = fault.message
    return kind(message, name=name, offset=offset, location=location, hint=fault.hint)
