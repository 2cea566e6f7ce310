"""Compiles pipelines, commands and operands to closures over the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from compozy.template.calls import (
    compile_call,
    compile_checked,
    compile_constant,
    constant_value,
    count_error,
    is_constant,
)
from compozy.template.fields import Path, compile_chain, compile_field, compile_variable, is_boxed, no_method
from compozy.template.functions.registry import Function, Param
from compozy.template.machine import ExecError, Frame, State, Value, last_node
from compozy.template.missing_keys import Usage, usage_of_arguments
from compozy.template.nodes import Chain, Command, Dot, Field, Identifier, Nil, Node, Operand, Pipe, Variable
from compozy.template.values import INVALID, GoError, GoValue, is_map


class ExpressionCompiler:
    """Compiles the expressions of one unit; `functions` are those of the dialect."""

    def __init__(self, frame: Frame, functions: dict[str, Function]) -> None:
        self.frame = frame
        self.functions = functions
        self.unit = frame.unit.name

    def pipe(self, pipe: Pipe, usage: Usage = "strict") -> Value:
        """Compile a pipeline. Null may come out as None: see `unwrapped`."""
        value: Value | None = None
        last = len(pipe.commands) - 1
        for index, command in enumerate(pipe.commands):
            use = usage
            if index < last:
                behind = pipe.commands[index + 1].args[0]
                use = usage_of_arguments(behind.name, usage) if isinstance(behind, Identifier) else "strict"
            value = self.command(command, value, use, pipe.commands[index - 1] if index else pipe)
        if value is None:
            raise TypeError("a pipeline without commands")
        return self.declared(pipe, value) if pipe.declared else value

    def unwrapped(self, pipe: Pipe, usage: Usage = "strict") -> Value:
        """Compile a pipeline in which null is not a value, as in Go."""
        value = self.pipe(pipe, usage)
        return lambda state: INVALID if (result := value(state)) is None else result

    def declared(self, pipe: Pipe, value: Value) -> Value:
        """Compile what a pipeline does with the variables in front of it."""
        slots: list[int] = []
        typed: list[int] = []
        for variable in pipe.declared:
            slot = self.frame.find(variable.name) if pipe.assigns else self.frame.declare(variable.name)
            if slot is None:
                return self.refusal(ExecError(self.unit, last_node(pipe, {}), f"undefined variable: {variable.name}"))
            slots.append(slot.index)
            slot.assigned |= pipe.assigns
            typed += [slot.index] if slot.boxed and pipe.assigns else []

        def declare(state: State) -> Any:
            result = value(state)
            if result is None:
                result = INVALID
            for slot in slots:
                state.slots[slot] = result
            if typed:
                state.typed.update(typed)
            return result

        return declare

    def refusal(self, fault: ExecError) -> Value:
        """Compile an expression that always fails."""

        def refuse(_: State) -> Any:
            raise ExecError(fault.unit, fault.node, fault.message)

        return refuse

    def command(self, command: Command, final: Value | None, usage: Usage, before: Command | Pipe) -> Value:
        """Compile one stage; `final` is the value of the stage `before` it."""
        first = command.args[0]
        if isinstance(first, Identifier):
            return self.function(first.name, command, command.args[1:], final, usage)
        if len(command.args) == 1 and final is None:
            return self.operand_value(first, usage)
        if isinstance(first, (Field, Chain)) or (isinstance(first, Variable) and first.keys):
            return self.method(first, command, final)
        return self.no_function(first, final, before)

    def no_function(self, first: Operand, final: Value | None, before: Command | Pipe) -> Value:
        """Compile arguments of a non-function. Go refuses it before it reaches a pipeline in parentheses."""
        unit = self.unit

        def refuse(state: State) -> Any:
            if final is not None:
                final(state)
            node: Node = first
            if isinstance(first, Pipe):
                node = last_node(before, state.stops) if isinstance(before, Command) else before
            raise ExecError(unit, node, f"can't give argument to non-function {first}")

        return refuse

    def operand_value(self, node: Operand, usage: Usage) -> Value:
        """Compile an operand that stands alone."""
        forgiving = usage != "strict"
        if isinstance(node, Field):
            return compile_field(self.frame, node, forgiving=forgiving)
        if isinstance(node, Variable):
            return compile_variable(self.frame, node, forgiving=forgiving)
        if isinstance(node, Chain):
            return self.chain(node, usage)
        if isinstance(node, Pipe):
            return self.pipe(node, usage)
        if isinstance(node, Dot):
            return _read_dot
        if isinstance(node, Identifier):
            return self.function(node.name, node, [], None, usage)
        if isinstance(node, Nil):
            return self.refusal(ExecError(self.unit, node, "nil is not a command"))
        value = constant_value(self.unit, node)
        return self.refusal(value) if isinstance(value, ExecError) else lambda _: value

    def chain(self, node: Chain, usage: Usage) -> Value:
        """Compile `(pipeline).a.b`."""
        if isinstance(node.node, Nil):
            return self.refusal(ExecError(self.unit, node, f"indirection through explicit nil in {node}"))
        return compile_chain(self.frame, node, self.chain_head(node, usage), forgiving=usage != "strict")

    def chain_head(self, node: Chain, usage: Usage) -> Value:
        """Compile what stands before the fields of a chain."""
        inner = node.node
        return self.unwrapped(inner, usage) if isinstance(inner, Pipe) else self.operand_value(inner, usage)

    def argument(self, param: Param, node: Operand, usage: Usage) -> Value:
        """Compile an argument of a function, with the check of its type."""
        if isinstance(node, Nil):
            try:
                value = param.check_nil()
            except GoError as error:
                return self.refusal(ExecError(self.unit, node, error.message))
            return lambda _: value
        if is_constant(node):
            return compile_constant(self.unit, param, node)
        get = self.operand_value(node, usage)
        return compile_checked(self.unit, param, node, get, unwraps=isinstance(node, Pipe))

    def function(
        self, name: str, node: Command | Identifier, args: list[Operand], final: Value | None, usage: Usage
    ) -> Value:
        """Compile the call of a function."""
        function = self.functions[name]
        if name == "call" and args:
            function = replace(function, call=partial(function.call, shown=str(args[0])))
        self.frame.mutates |= function.mutates
        use = usage_of_arguments(name, usage)
        if count_error(function, len(args), piped=final is not None):
            return compile_call(self.unit, function, node, [lambda _: None] * len(args), final)
        getters = [self.argument(param, arg, use) for index, arg in enumerate(args) if (param := function.param(index))]
        if name in {"and", "or"}:
            return self.logic(getters, node, final, stop_on=name == "or")
        return compile_call(self.unit, function, node, getters, final)

    def logic(self, getters: list[Value], node: Command | Identifier, final: Value | None, *, stop_on: bool) -> Value:
        """Compile `and` or `or`: the value of the first argument that decides, else of the last."""
        mark = id(node)

        def decide(state: State) -> Any:
            last = final(state) if final else None
            value: Any = None
            for index, get in enumerate(getters, 1):
                value = get(state)
                if bool(value) is stop_on:
                    state.stops[mark] = index
                    return value
            state.stops.pop(mark, None)
            return last if final else value

        return decide

    def method(self, node: Field | Chain | Variable, command: Command, final: Value | None) -> Value:
        """Compile a field that is given arguments: only the methods of Go's own values take some."""
        path = Path(self.frame, node, forgiving=False)
        head, boxed_of = self.head(node)
        getters = [self.operand_value(arg, "strict") for arg in command.args[1:]]
        unit, key, count = self.unit, node.keys[-1], len(node.keys) - 1

        def call(state: State) -> Any:
            last = final(state) if final else None
            receiver = head(state)
            owner = path.walk(state, receiver, boxed=boxed_of(state), count=count)
            boxed = boxed_of(state) or count > 0
            if isinstance(owner, GoValue):
                args = [get(state) for get in getters]
                return path.call(state, owner, key, (*args, last) if final else tuple(args), boxed=boxed)
            if is_map(owner):
                raise no_method(unit, last_node(node, state.stops), key)
            return path.step(state, owner, count, boxed=boxed)

        return call

    def head(self, node: Field | Chain | Variable) -> tuple[Value, Callable[[State], bool]]:
        """Compile what a chain of fields starts from, and whether Go knows its type only as `interface {}`."""
        if isinstance(node, Field):
            return _read_dot, _is_dot_boxed
        if isinstance(node, Chain):
            return self.chain_head(node, "strict"), _is_never_boxed
        slot = self.frame.find(node.name)
        head = compile_variable(self.frame, Variable(node.pos, node.name, ()), forgiving=False)

        def is_slot_boxed(state: State) -> bool:
            return slot is not None and is_boxed(state, slot)

        return head, is_slot_boxed


def _read_dot(state: State) -> Any:
    return state.dot


def _is_dot_boxed(state: State) -> bool:
    return state.boxed


def _is_never_boxed(_: State) -> bool:
    return False
