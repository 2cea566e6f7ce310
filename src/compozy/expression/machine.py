"""Evaluates the syntax tree of an expression."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from compozy.expression.functions import call
from compozy.expression.limits import Budget
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
from compozy.expression.values import TYPES, Fail, Type, checked, equal, is_list, is_map, is_number, show, type_words
from compozy.nearest import suggest

_SHOWN_KEYS = 8
_LONGEST_PATH = 60


class Machine:
    """One evaluation of one text."""

    def __init__(self, text: str, variables: Mapping[str, Any], budget: Budget) -> None:
        self.text = text
        self.variables = variables
        self.budget = budget
        # Variables bound by macros.
        self.bound: dict[str, Any] = {}

    def value(self, node: Node) -> Any:
        """Evaluate `node`; raises Fail or Exhausted."""
        self.budget.spend()
        try:
            return _EVALUATE[type(node)](self, node)
        except Fail as fail:
            if fail.offset < 0:
                fail.offset = node.offset
            raise

    def name(self, node: Name) -> Any:
        """Evaluate a variable or a type name."""
        for variables in (self.bound, self.variables):
            if node.name in variables:
                return variables[node.name]
        if node.name in TYPES:
            return Type("int" if node.name == "uint" else node.name)
        hint = suggest(node.name, self.variables) or f'write text in quotes: "{node.joined or node.name}"'
        raise Fail(f"unknown variable {node.name!r}", hint=hint)

    def list_of(self, node: ListOf) -> list[Any]:
        """Evaluate a list literal."""
        self.budget.build(len(node.items))
        return [self.value(item) for item in node.items]

    def map_of(self, node: MapOf) -> dict[Any, Any]:
        """Evaluate a map literal."""
        self.budget.build(len(node.entries))
        found: dict[Any, Any] = {}
        for key_node, value_node in node.entries:
            key = self.value(key_node)
            if not _is_key(key):
                raise Fail(f"a map key must be a string, got {type_words(key)}", offset=key_node.offset)
            if key in found:
                raise Fail(f"duplicate map key {show(key)}", offset=key_node.offset)
            found[key] = self.value(value_node)
        return found

    def call(self, node: Call) -> Any:
        """Evaluate a function call."""
        return call(node.function, [self.value(arg) for arg in node.args], self.budget)

    def has(self, node: Has) -> bool:
        """Return whether a map has a field."""
        above = self.value(node.path)
        if not is_map(above):
            raise Fail(f"has: expected a map before .{node.field}, got {type_words(above)}")
        return node.field in above

    def path(self, node: Path) -> Any:
        """Evaluate a value with the fields, indexes and calls that follow it."""
        value = self.value(node.first)
        end = node.steps[0].offset
        for step in node.steps:
            self.budget.spend()
            try:
                value = self.step(value, step, self.text[node.offset : end].rstrip(" .["))
            except Fail as fail:
                if fail.offset < 0:
                    fail.offset = step.offset
                raise
            end = step.end
        return value

    def step(self, value: Any, step: PathStep, path: str) -> Any:
        """Apply one step to `value`; `path` is the text of `value`."""
        if isinstance(step, Field):
            if not is_map(value):
                raise Fail(f"cannot read .{step.name} of {_short(path)}, which is {type_words(value)}")
            return value[step.name] if step.name in value else _no_key(value, step.name, path, step.joined)
        if isinstance(step, Index):
            return _at(value, self.value(step.key), path)
        if isinstance(step, Macro):
            return _MACROS[step.kind](self, step, _items(value, step.kind))
        return call(step.function, [value, *(self.value(arg) for arg in step.args)], self.budget)

    def prefixed(self, node: Prefixed) -> Any:
        """Evaluate a negation."""
        value = self.value(node.operand)
        if node.sign == "!":
            if not isinstance(value, bool):
                raise Fail(f"! requires true or false, got {type_words(value)}")
            return value ^ bool(node.count % 2)
        if isinstance(value, timedelta):
            return value if node.count % 2 == 0 else -value
        if not is_number(value):
            raise Fail(f"- requires a number, got {type_words(value)}")
        return checked(value if node.count % 2 == 0 else -value)

    def chain(self, node: Chain) -> Any:
        """Evaluate operators of the same precedence, from left to right."""
        value = self.value(node.first)
        for sign, offset, operand in node.rest:
            other = self.value(operand)
            try:
                value = _OPERATE[sign](self.budget, value, other)
            except Fail as fail:
                fail.offset = offset
                raise
            except OverflowError as error:
                raise Fail("the result is too large", offset=offset) from error
        return value

    def logic(self, node: Logic) -> bool:
        """Evaluate `a && b` or `a || b`; an error is ignored if another operand decides."""
        decisive = node.sign == "||"
        return self.decide(((operand, None) for operand in node.operands), node.sign, decisive=decisive)

    def decide(self, operands: Iterator[tuple[Node, Any]], sign: str, *, decisive: bool) -> bool:
        """Return `decisive` as soon as an operand has that value; the iterator may bind a variable before it yields."""
        failure: Fail | None = None
        for operand, _ in operands:
            try:
                if self.truth(operand, sign) is decisive:
                    return decisive
            except Fail as fail:
                failure = failure or fail
        if failure is not None:
            raise failure
        return not decisive

    def truth(self, node: Node, sign: str) -> bool:
        """Evaluate `node`, which must be true or false."""
        value = self.value(node)
        if not isinstance(value, bool):
            raise Fail(f"{sign} requires true or false, got {type_words(value)}", offset=node.offset)
        return value

    def choice(self, node: Choice) -> Any:
        """Evaluate the first case whose condition is true."""
        for condition, value in node.cases:
            if self.truth(condition, "? :"):
                return self.value(value)
        return self.value(node.otherwise)

    def each(self, step: Macro, items: list[Any]) -> Iterator[Any]:
        """Yield the items, each bound to the macro's variable."""
        outer = dict(self.bound)
        try:
            for item in items:
                self.budget.spend()
                self.bound[step.variable] = item
                yield item
        finally:
            self.bound = outer


def _all(machine: Machine, step: Macro, items: list[Any]) -> bool:
    operands = ((step.body, item) for item in machine.each(step, items))
    return machine.decide(operands, "all", decisive=False)


def _exists(machine: Machine, step: Macro, items: list[Any]) -> bool:
    operands = ((step.body, item) for item in machine.each(step, items))
    return machine.decide(operands, "exists", decisive=True)


def _exists_one(machine: Machine, step: Macro, items: list[Any]) -> bool:
    return sum(machine.truth(step.body, "exists_one") for _ in machine.each(step, items)) == 1


def _filter(machine: Machine, step: Macro, items: list[Any]) -> list[Any]:
    machine.budget.build(len(items))
    return [item for item in machine.each(step, items) if machine.truth(step.body, "filter")]


def _map(machine: Machine, step: Macro, items: list[Any]) -> list[Any]:
    machine.budget.build(len(items))
    condition = step.condition
    return [
        machine.value(step.body)
        for _ in machine.each(step, items)
        if condition is None or machine.truth(condition, "map")
    ]


def _items(value: Any, macro: str) -> list[Any]:
    if is_list(value) or is_map(value):
        return list(value)
    raise Fail(f"{macro}: expected a list or a map, got {type_words(value)}")


def _at(value: Any, key: Any, path: str) -> Any:
    if is_map(value):
        if not _is_key(key):
            raise Fail(f"a map key must be a string, got {type_words(key)}")
        return value[key] if key in value else _no_key(value, key, path, "")
    if not is_list(value):
        raise Fail(f"cannot read [{show(key)}] of {_short(path)}, which is {type_words(value)}")
    if not is_number(key) or key != int(key):
        raise Fail(f"a list index must be a whole number, got {type_words(key)}")
    if not 0 <= key < len(value):
        raise Fail(f"{_short(path)} has no item {show(key)}; its length is {len(value)}")
    return value[int(key)]


def _is_key(key: Any) -> bool:
    # Excludes true and false, which are 1 and 0 in Python.
    return isinstance(key, (str, int)) and not isinstance(key, bool)


def _no_key(value: Mapping[Any, Any], key: Any, path: str, joined: str) -> Any:
    names = [name for name in value if isinstance(name, str)]
    if joined and joined in value:
        hint = f'write a name with a hyphen in brackets: {path}["{joined}"]'
    else:
        shown = ", ".join(names[:_SHOWN_KEYS]) + (", ..." if len(names) > _SHOWN_KEYS else "")
        hint = suggest(str(key), names) or (f"it has {shown}" if names else "it is empty")
    raise Fail(f"{_short(path)} has no {show(key)}", hint=hint)


def _short(path: str) -> str:
    shown = " ".join(path.split())
    return shown if len(shown) <= _LONGEST_PATH else "..." + shown[3 - _LONGEST_PATH :]


def _compare(sign: str, test: Callable[[Any, Any], bool]) -> Callable[[Budget, Any, Any], bool]:
    def run(budget: Budget, left: Any, right: Any) -> bool:
        del budget
        kinds = (bool, str, bytes, datetime, timedelta)
        if (is_number(left) and is_number(right)) or any(isinstance(left, k) and isinstance(right, k) for k in kinds):
            return test(left, right)
        raise Fail(f"{sign} cannot compare {type_words(left)} with {type_words(right)}", hint=_number_hint(left, right))

    return run


def _number_hint(left: Any, right: Any) -> str:
    texts = sum(isinstance(value, str) for value in (left, right))
    numbers = sum(is_number(value) for value in (left, right))
    return "convert with `double(a)` or `string(a)`" if texts and numbers else ""


def _in(budget: Budget, left: Any, right: Any) -> bool:
    if is_map(right):
        return _is_key(left) and left in right
    if is_list(right):
        return any(equal(left, item, budget) for item in right)
    hint = "to search in a string, write `text.contains(part)`" if isinstance(right, str) else ""
    raise Fail(f"in requires a list or a map, got {type_words(right)}", hint=hint)


def _add(budget: Budget, left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return checked(left + right)
    if isinstance(left, str) and isinstance(right, str):
        budget.build(len(left) + len(right))
        return left + right
    if is_list(left) and is_list(right):
        budget.build(len(left) + len(right))
        return [*left, *right]
    if isinstance(left, bytes) and isinstance(right, bytes):
        budget.build(len(left) + len(right))
        return left + right
    if isinstance(left, (datetime, timedelta)) and isinstance(right, (datetime, timedelta)):
        if isinstance(left, timedelta):
            return right + left
        if isinstance(right, timedelta):
            return left + right
    raise Fail(f"+ cannot add {type_words(right)} to {type_words(left)}", hint=_number_hint(left, right))


def _subtract(budget: Budget, left: Any, right: Any) -> Any:
    del budget
    if is_number(left) and is_number(right):
        return checked(left - right)
    if isinstance(left, datetime) and isinstance(right, (datetime, timedelta)):
        return left - right
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return left - right
    raise Fail(f"- cannot subtract {type_words(right)} from {type_words(left)}")


def _multiply(budget: Budget, left: Any, right: Any) -> Any:
    del budget
    if is_number(left) and is_number(right):
        return checked(left * right)
    raise Fail(f"* requires numbers, got {type_words(left)} and {type_words(right)}")


def _divide(budget: Budget, left: Any, right: Any) -> Any:
    del budget
    _check_divisor("/", left, right)
    if isinstance(left, int) and isinstance(right, int):
        # Rounds toward zero, as in C.
        return checked(abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1))
    if right == 0:
        return math.nan if left == 0 or left != left else math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


def _remainder(budget: Budget, left: Any, right: Any) -> Any:
    del budget
    _check_divisor("%", left, right)
    if isinstance(left, int) and isinstance(right, int):
        return int(math.copysign(1, left)) * (abs(left) % abs(right))
    raise Fail("% requires whole numbers, got a number with a fraction")


def _check_divisor(sign: str, left: Any, right: Any) -> None:
    if not is_number(left) or not is_number(right):
        raise Fail(f"{sign} requires numbers, got {type_words(left)} and {type_words(right)}")
    if isinstance(left, int) and right == 0 and isinstance(right, int):
        raise Fail(f"{sign} by zero")


_OPERATE: dict[str, Callable[[Budget, Any, Any], Any]] = {
    "==": lambda budget, left, right: equal(left, right, budget),
    "!=": lambda budget, left, right: not equal(left, right, budget),
    "<": _compare("<", lambda left, right: left < right),
    "<=": _compare("<=", lambda left, right: left <= right),
    ">": _compare(">", lambda left, right: left > right),
    ">=": _compare(">=", lambda left, right: left >= right),
    "in": _in,
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _remainder,
}
_MACROS: dict[str, Callable[[Machine, Macro, list[Any]], Any]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
}


def _literal(machine: Machine, node: Literal) -> Any:
    del machine
    return checked(node.value) if is_number(node.value) else node.value


_EVALUATE: dict[type, Callable[[Machine, Any], Any]] = {
    Literal: _literal,
    Name: Machine.name,
    ListOf: Machine.list_of,
    MapOf: Machine.map_of,
    Call: Machine.call,
    Has: Machine.has,
    Path: Machine.path,
    Prefixed: Machine.prefixed,
    Chain: Machine.chain,
    Logic: Machine.logic,
    Choice: Machine.choice,
}
