"""The front of the language: compile a text, evaluate it, ask what it reads."""

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
from compozy.expression.tokens import SyntaxFault
from compozy.expression.truth import never_true_or_false
from compozy.expression.values import Fail, show, to_json, type_words

Locate = Callable[[int], SourceLocation]
CACHED_EXPRESSIONS = 1024
_LONGEST_SHOWN = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is wrong with a text at `offset`; `hint` is "" when there is nothing to say."""

    message: str
    offset: int
    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """A compiled expression; `compile` makes it. It holds no data and may be used by several threads at once."""

    text: str
    tree: Node

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every path that is read of the variables, in the order of the text."""
        return find_references(self.tree)


def compile(text: str, *, name: str = "expression", locate: Locate | None = None) -> Expression:  # noqa: A001
    """Return the compiled expression; the last 1024 of them are kept.

    Args:
        text: at most 10 000 characters.
        name: stands in messages where no place is known.
        locate: gives the place in a file for an offset in `text`; errors then carry it.

    Raises:
        ExpressionSyntaxError: the text is no expression.
    """
    try:
        return _compile(text)
    except SyntaxFault as fault:
        raise _error(ExpressionSyntaxError, fault, text, name, locate) from None


def check(text: str) -> list[Problem]:
    """Return what is wrong with `text`: nothing, or the first thing; a blank one is fine, it means true."""
    try:
        if text.strip():
            _compile(text)
    except SyntaxFault as fault:
        return [Problem(message=fault.message, offset=fault.offset, hint=fault.hint)]
    return []


def check_condition(text: str) -> list[Problem]:
    """Return what keeps `text` from ever being a condition, whatever the variables are: nothing, or the first thing.

    One that reads no variable is evaluated.
    """
    problems = check(text)
    if problems or not text.strip():
        return problems
    expression = _compile(text)
    part = never_true_or_false(expression.tree)
    if part is not None:
        is_whole = part is expression.tree
        words = "it is never true or false" if is_whole else "a part of it has to be true or false, and never is"
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
    """Return the value of `text` as JSON: whole numbers stay whole, times and durations become text.

    Args:
        text: the expression.
        variables: JSON values by name; they are never changed.
        name: stands in messages where no place is known.
        locate: gives the place in a file for an offset in `text`; errors then carry it.
        limits: what the evaluation may use up.

    Raises:
        ExpressionSyntaxError: the text is no expression.
        ExpressionError: it cannot be evaluated with these variables, or takes too long.
    """
    tree = compile(text, name=name, locate=locate).tree
    budget = Budget(limits)
    try:
        value = to_json(Machine(text, variables, budget).value(tree), budget)
        budget.left_s()
    except Fail as fail:
        raise _error(ExpressionError, fail, text, name, locate) from fail.__cause__
    except (Exhausted, RecursionError) as error:
        message = str(error) if isinstance(error, Exhausted) else "the values are nested too deep"
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
    """Return whether `text` is true; a blank one is.

    Raises:
        ExpressionError: as `evaluate`, or its value is neither true nor false.
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
    return "leave out the inner quotes" if is_quoted else "compare it, such as `a == b`"


def _error(
    kind: type[ExpressionError], fault: Fail | SyntaxFault, text: str, name: str, locate: Locate | None
) -> ExpressionError:
    offset = max(fault.offset, 0)
    location = locate(offset) if locate else None
    if location is None:
        line = 1 + text.count("\n", 0, offset)
        message = f"{name}:{line}:{offset - text.rfind(chr(10), 0, offset)}: {fault.message}"
    else:
        message = fault.message
    return kind(message, name=name, offset=offset, location=location, hint=fault.hint)
