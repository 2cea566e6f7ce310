"""Compiles calls of functions: checks the number and the Go types of the arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from compozy.template.functions.registry import Function, Param
from compozy.template.limits import Budget
from compozy.template.machine import ExecError, State, Value, last_node
from compozy.template.nodes import Bool as BoolNode
from compozy.template.nodes import Command, Identifier, Node, Number, Operand, String
from compozy.template.values import INVALID, GoError, Ints, LimitError, Strings

LARGE = 4096
"""Before a function gets a text or a list longer than this, the time is looked at."""

_SIZED = frozenset({str, list, dict, Strings, Ints})

Convert = Callable[[State, Any], Any]
"""Gives a value as the parameter's type has it."""


def compile_call(
    unit: str, function: Function, node: Command | Identifier, getters: list[Value], final: Value | None
) -> Value:
    """Compile a call whose arguments `getters` give, and after them `final`, the value of the stage before it."""
    error = count_error(function, len(getters), piped=final is not None)
    if function.walks:
        function = _counting_items(function)
    identifier = node.args[0] if isinstance(node, Command) else node
    if error:
        return _compile_refusal(ExecError(unit, identifier, error), final)
    call = _compile_plain(function, getters)
    if final is not None:
        param = function.param(len(getters))
        call = _compile_piped(function, getters, final, convert_value(unit, param, node, unwraps=True))

    def guarded(state: State) -> Any:
        try:
            return call(state)
        except (GoError, LimitError) as error:
            message = error.message if isinstance(error, GoError) else str(error)
            hint = error.hint if isinstance(error, GoError) else ""
            raise ExecError(unit, node, f"error calling {function.name}: {message}", hint=hint) from error

    return guarded


def _counting_items(function: Function) -> Function:
    """Return the function with the items of its arguments counted before it visits them."""
    call, counted = function.call, function.counted

    def count_and_call(budget: Budget, *args: Any) -> Any:
        for arg in args:
            budget.visit(arg)
        return call(budget, *args) if counted else call(*args)

    return replace(function, call=count_and_call, counted=True)


def count_error(function: Function, count: int, *, piped: bool) -> str:
    """Return the message for a wrong number of arguments, "" when the number is right."""
    given, least = count + piped, len(function.params)
    if function.rest is not None:
        if given >= least:
            return ""
        return f"wrong number of args for {function.name}: want at least {least} got {count}"
    return "" if given == least else f"wrong number of args for {function.name}: want {least} got {given}"


def _compile_refusal(fault: ExecError, final: Value | None) -> Value:
    def refuse(state: State) -> Any:
        if final is not None:
            final(state)
        raise ExecError(fault.unit, fault.node, fault.message)

    return refuse


def _compile_plain(function: Function, getters: list[Value]) -> Value:
    call = function.call
    if function.counted:
        return lambda state: call(state.budget, *[get(state) for get in getters])
    if len(getters) == 1:
        (only,) = getters
        return lambda state: call(only(state))
    if len(getters) == 2:
        first, second = getters
        return lambda state: call(first(state), second(state))
    return lambda state: call(*[get(state) for get in getters])


def _compile_piped(function: Function, getters: list[Value], final: Value, convert: Convert) -> Value:
    """Compile a call behind a `|`. The stage before runs first, so that its error comes first, as in Go."""
    call = function.call
    if function.counted:

        def call_counted(state: State) -> Any:
            last = final(state)
            return call(state.budget, *[get(state) for get in getters], convert(state, last))

        return call_counted
    if not getters:
        return lambda state: call(convert(state, final(state)))
    if len(getters) == 1:
        (only,) = getters

        def call_two(state: State) -> Any:
            last = final(state)
            return call(only(state), convert(state, last))

        return call_two

    def call_many(state: State) -> Any:
        last = final(state)
        return call(*[get(state) for get in getters], convert(state, last))

    return call_many


def convert_value(unit: str, param: Param | None, node: Operand | Command, *, unwraps: bool) -> Convert:
    """Compile the check of a value's type; an error is at the node that Go reached last.

    `unwraps` is set for what a pipeline gave: null is no value at all then.
    """
    if param is None or not param.accepts:
        if param is None or not param.takes_missing:
            return _missing_is_null
        return _null_is_missing if unwraps else _keep
    accepts, check, walked = param.accepts, param.check, param.walked

    def convert(state: State, value: Any) -> Any:
        if type(value) in accepts:
            if value.__class__ is str and len(value) > LARGE:
                check_large(state, len(value), walked=walked)
            return value
        try:
            return check(INVALID if value is None and unwraps else value)
        except GoError as error:
            raise ExecError(unit, last_node(node, state.stops), error.message) from error

    return convert


def check_large(state: State, size: int, *, walked: bool) -> None:
    """Look at the time before a function gets a large argument."""
    if walked:
        state.budget.walk(size)
    else:
        state.budget.check_time()


def _keep(state: State, value: Any) -> Any:
    if value.__class__ in _SIZED and len(value) > LARGE:
        state.budget.check_time()
    return value


def _missing_is_null(state: State, value: Any) -> Any:
    return None if value is INVALID else _keep(state, value)


def _null_is_missing(state: State, value: Any) -> Any:
    return INVALID if value is None else _keep(state, value)


def compile_checked(unit: str, param: Param, node: Operand, get: Value, *, unwraps: bool) -> Value:
    """Compile an argument with the check of its type."""
    convert = convert_value(unit, param, node, unwraps=unwraps)
    return lambda state: convert(state, get(state))


_FOUND: dict[str, str] = {"string": "string", "int": "integer", "bool": "bool", "float64": "float"}


def compile_constant(unit: str, param: Param, node: Operand) -> Value:
    """Compile a constant that is an argument: the parameter's type decides how it is read."""
    expected = _FOUND.get(param.go_type)
    if expected is None and param.accepts:
        return _compile_fault(unit, node, f"can't handle {node} for arg of type {param.go_type}")
    value = constant_value(unit, node) if expected is None else _READERS[expected](node)
    if isinstance(value, ExecError):
        return _compile_fault(unit, node, value.message)
    if value is None:
        return _compile_fault(unit, node, f"expected {expected}; found {node}")
    return lambda _: value


def _compile_fault(unit: str, node: Node, message: str) -> Value:
    def refuse(_: State) -> Any:
        raise ExecError(unit, node, message)

    return refuse


_READERS: dict[str, Callable[[Operand], Any]] = {
    "string": lambda node: node.text if isinstance(node, String) else None,
    "integer": lambda node: node.as_int if isinstance(node, Number) else None,
    "float": lambda node: node.as_float if isinstance(node, Number) else None,
    "bool": lambda node: node.value if isinstance(node, BoolNode) else None,
}


def constant_value(unit: str, node: Operand) -> Any:
    """Return the value of an untyped constant; an ExecError if the number does not fit into a Go int."""
    if isinstance(node, String):
        return node.text
    if isinstance(node, BoolNode):
        return node.value
    if not isinstance(node, Number):
        raise TypeError(f"{type(node).__name__} is not a constant")
    if node.as_complex is not None:
        return node.as_complex
    text = node.text
    is_hex = text[:2].lower() == "0x" and not any(char in "pP" for char in text)
    if node.as_float is not None and not is_hex and text[0] != "'" and any(char in ".eEpP" for char in text):
        return node.as_float
    return node.as_int if node.as_int is not None else ExecError(unit, node, f"{text} overflows int")


def is_constant(node: Operand) -> bool:
    """Return whether the node is a string, number or boolean."""
    return isinstance(node, (BoolNode, Number, String))
