"""Compiles the statements of a template: text, actions, branches, loops and calls of other templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

from compozy.template.calls import LARGE
from compozy.template.expressions import ExpressionCompiler
from compozy.template.functions.registry import Function
from compozy.template.machine import ExecError, Frame, Instruction, Slot, State, Unit, last_node
from compozy.template.nodes import Action, Body, Branch, Call, Jump, Node, Pipe, Text
from compozy.template.printing import show
from compozy.template.values import (
    INVALID,
    Int64,
    Ints,
    LimitError,
    Lists,
    StringMap,
    Strings,
    Uint8,
    Uint64,
    holds_null,
    is_int,
    is_list,
    is_map,
)

_TICK = 16


class StatementCompiler:
    """Compiles one unit. `units` holds all units of the text, for `template` to find when it runs."""

    def __init__(self, frame: Frame, functions: dict[str, Function], units: dict[str, Unit]) -> None:
        self.frame = frame
        self.units = units
        self.expressions = ExpressionCompiler(frame, functions)
        self.unit = frame.unit.name

    def body(self, body: Body, *, scoped: bool = True) -> Instruction:
        """Compile a sequence of nodes with its own variable scope."""
        if scoped:
            self.frame.scopes.append({})
        steps = self.steps(body.nodes)
        if scoped:
            self.frame.scopes.pop()
        return _join_instructions(steps)

    def steps(self, nodes: Sequence[Node]) -> list[Instruction]:
        """Compile each node. Text in front of an action that prints is written together with its value."""
        steps: list[Instruction] = []
        text = ""
        for node in nodes:
            if isinstance(node, Text):
                text += node.text
                continue
            if isinstance(node, Action) and not node.pipe.declared:
                steps.append(self.printed(node, text))
            else:
                steps += [_write(text)] if text else []
                steps.append(self.statement(node))
            text = ""
        return [*steps, _write(text)] if text else steps

    def statement(self, node: Node) -> Instruction:
        """Compile one node."""
        if isinstance(node, Action):
            return self.action(node)
        if isinstance(node, Branch):
            return self.branch(node)
        if isinstance(node, Call):
            return self.call(node)
        if isinstance(node, Jump):
            word = node.word
            return lambda _: word
        raise TypeError(f"{type(node).__name__} is not a statement")

    def action(self, node: Action) -> Instruction:
        """Compile an action that declares or assigns a variable."""
        value = self.expressions.pipe(node.pipe)

        def declare(state: State) -> None:
            value(state)

        return declare

    def printed(self, node: Action, text: str) -> Instruction:
        """Compile an action whose value is printed behind the text."""
        value = self.expressions.pipe(node.pipe)
        strict, unit = self.frame.dialect == "compozy", self.unit

        def run(state: State) -> None:
            result = value(state)
            if result.__class__ is not str:
                if result is None or result is INVALID:
                    if strict:
                        raise null_fault(unit, node.pipe)
                    result = INVALID
                result = _show(unit, node, state, result, strict=strict)
            if state.escape is not None:
                result = state.escape.apply(result, node.pipe, state)
            state.write(text + result)
            if len(result) > LARGE:
                _measure(unit, node, state)

        return run

    def branch(self, node: Branch) -> Instruction:
        """Compile `if`, `with` and `range`."""
        self.frame.scopes.append({})
        if node.word == "if":
            step = self.condition(node)
        elif node.word == "with":
            step = self.focus(node)
        else:
            step = self.loop(node)
        self.frame.scopes.pop()
        return step

    def condition(self, node: Branch) -> Instruction:
        """Compile `if`."""
        test = self.expressions.pipe(node.pipe, "condition")
        body = self.body(node.body)
        if node.otherwise is None:
            return lambda state: body(state) if test(state) else None
        otherwise = self.body(node.otherwise)
        return lambda state: body(state) if test(state) else otherwise(state)

    def focus(self, node: Branch) -> Instruction:
        """Compile `with`: the value becomes the cursor."""
        value = self.expressions.unwrapped(node.pipe, "condition")
        body = self.body(node.body)
        otherwise = self.body(node.otherwise) if node.otherwise else None

        def run(state: State) -> str | None:
            result = value(state)
            if not result:
                return otherwise(state) if otherwise else None
            saved = state.dot, state.boxed
            state.dot, state.boxed = result, False
            signal = body(state)
            state.dot, state.boxed = saved
            return signal

        return run

    def loop(self, node: Branch) -> Instruction:
        """Compile `range`."""
        value = self.expressions.unwrapped(node.pipe)
        bind = _Binder([self.frame.find(variable.name) for variable in node.pipe.declared])
        body = self.body(node.body)
        otherwise = self.body(node.otherwise) if node.otherwise else None
        items_of = _Items(self.unit, node.pipe, wants_keys=len(node.pipe.declared) > 1)

        def run(state: State) -> str | None:
            sequence = value(state)
            pairs = items_of(state, sequence)
            if pairs is None:
                bind.skip(state)
                return otherwise(state) if otherwise else None
            saved = state.dot, state.boxed
            state.boxed = is_boxed_sequence(sequence)
            assign = bind.start(state)
            for key, item in pairs:
                state.dot = item
                if assign is not None:
                    assign(key, item)
                if body(state) == "break":
                    break
            state.dot, state.boxed = saved
            return None

        return run

    def call(self, node: Call) -> Instruction:
        """Compile `template`: the other unit gets its own variables."""
        argument = self.expressions.unwrapped(node.pipe) if node.pipe else _no_value
        unit, units, name = self.unit, self.units, node.name
        go = self.frame.dialect == "go"

        def run(state: State) -> None:
            called = units.get(name)
            if called is None or called.body is None:
                raise ExecError(unit, node, f"template {node.quoted} not defined")
            if state.depth >= state.budget.limits.depth:
                raise ExecError(unit, node, depth_message(state.budget.limits.depth, go=go))
            _count(unit, node, state)
            saved = state.dot, state.boxed, state.slots, state.typed
            state.dot, state.boxed = argument(state), False
            state.slots, state.typed = [state.dot] + [INVALID] * (called.slot_count - 1), set()
            state.depth += 1
            called.body(state)
            state.depth -= 1
            state.dot, state.boxed, state.slots, state.typed = saved

        return run


_BOXED = (dict, list)
_TYPED = (Strings, Ints, Lists, StringMap)


def is_boxed_sequence(value: Any) -> bool:
    """Return whether Go knows the items of a list or map only as `interface {}`."""
    return value.__class__ in _BOXED or (isinstance(value, _BOXED) and not isinstance(value, _TYPED))


def _write(text: str) -> Instruction:
    return lambda state: state.write(text)


def _join_instructions(steps: list[Instruction]) -> Instruction:
    """Return one step that runs all, up to the first that gives a signal."""
    if len(steps) == 1:
        return steps[0]
    if len(steps) == 2:
        first, second = steps
        return lambda state: first(state) or second(state)

    def run(state: State) -> str | None:
        for step in steps:
            if signal := step(state):
                return signal
        return None

    return run


def _no_value(_: State) -> Any:
    return INVALID


def depth_message(depth: int, *, go: bool) -> str:
    """Return the message of templates that call each other without end.

    Dialect go tells Go's own bound, since its messages are Go's; the bound here is lower.
    """
    return f"exceeded maximum template depth ({100000 if go else depth})"


def null_fault(unit: str, pipe: Pipe) -> ExecError:
    """Return the error of dialect compozy for printing null."""
    return ExecError(
        unit, pipe, f"the value at {pipe} is null and cannot be printed", hint=f'write {{{{ {pipe} | default "..." }}}}'
    )


def _show(unit: str, node: Action, state: State, value: Any, *, strict: bool) -> str:
    try:
        state.budget.visit(value)
        text = show(value)
    except LimitError as error:
        raise ExecError(unit, node, str(error)) from error
    if strict and "<nil>" in text and holds_null(value):
        pipe = node.pipe
        message = f"the value at {pipe} holds null and cannot be printed"
        raise ExecError(unit, pipe, message, hint=f"write {{{{ {pipe} | toJson }}}}")
    return text


def _measure(unit: str, node: Node, state: State) -> None:
    try:
        state.measure()
    except LimitError as error:
        raise ExecError(unit, node, str(error)) from error


def _count(unit: str, node: Node, state: State) -> None:
    """Count one round of a loop or one call of a template."""
    try:
        state.budget.count_iterations(1)
        if not state.budget.iterations % _TICK:
            state.measure()
    except LimitError as error:
        raise ExecError(unit, node, str(error)) from error


def _int_type(value: object) -> type[int]:
    """Return the Go type of a whole number, which the numbers up to it have too."""
    return next((kind for kind in (Int64, Uint8, Uint64) if isinstance(value, kind)), int)


class _Binder:
    """Puts key and item of each round into the variables of a range."""

    def __init__(self, slots: Sequence[Slot | None]) -> None:
        self.item = slots[-1] if slots else None
        self.key_index = slots[0].index if len(slots) == 2 and slots[0] else -1
        self.item_index = self.item.index if self.item else -1
        if self.item:
            self.item.boxed = True

    def start(self, state: State) -> Callable[[Any, Any], None] | None:
        """Return how to assign in each round, None without variables."""
        if self.item is None:
            return None
        self.note_type(state)
        if self.item.assigned:
            return partial(self._assign_anew, state)
        slots, item_index, key_index = state.slots, self.item_index, self.key_index
        if key_index < 0:
            return lambda _, item: slots.__setitem__(item_index, item)

        def assign(key: Any, item: Any) -> None:
            slots[item_index] = item
            slots[key_index] = key

        return assign

    def note_type(self, state: State) -> None:
        """Note whether the items come out of a list of one Go type."""
        (state.typed.discard if state.boxed else state.typed.add)(self.item_index)

    def skip(self, state: State) -> None:
        """Note that the variable holds the value that was to be ranged over, for the `else` branch."""
        if self.item:
            state.typed.add(self.item_index)

    def _assign_anew(self, state: State, key: Any, item: Any) -> None:
        """Assign where the body may have put another value into the variable."""
        self.note_type(state)
        state.slots[self.item_index] = item
        if self.key_index >= 0:
            state.slots[self.key_index] = key


class _Items:
    """Gives the pairs of key and item that a range runs over, counting the rounds."""

    def __init__(self, unit: str, pipe: Pipe, *, wants_keys: bool) -> None:
        self.unit = unit
        self.pipe = pipe
        self.wants_keys = wants_keys

    def __call__(self, state: State, value: Any) -> Iterable[tuple[Any, Any]] | None:
        """Return the pairs; None when there are none."""
        if is_list(value):
            return self.counted(state, enumerate(value), len(value)) if value else None
        if is_map(value):
            return self.counted(state, [(key, value[key]) for key in sorted(value)], len(value)) if value else None
        if value is INVALID:
            return None
        if not is_int(value):
            raise self.fault(state, f"range can't iterate over {show(value)}")
        if self.wants_keys:
            raise self.fault(state, f"can't use {show(value)} to iterate over more than one variable")
        kind = _int_type(value)
        numbers = range(value) if kind is int else map(kind, range(value))
        return self.counted(state, zip(count(), numbers, strict=False)) if value > 0 else None

    def counted(self, state: State, pairs: Iterable[tuple[Any, Any]], size: int = 1 << 62) -> Iterable[tuple[Any, Any]]:
        """Return the pairs. A few are counted immediately; many are counted one by one."""
        if size <= _TICK:
            self.tick(state, size)
            return pairs
        return self.count_each(state, pairs)

    def count_each(self, state: State, pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """Yield the pairs, and check regularly whether the rendering may continue."""
        rounds = 0
        for rounds, pair in enumerate(pairs, 1):
            if not rounds % _TICK:
                self.tick(state, _TICK)
            yield pair
        self.tick(state, rounds % _TICK)

    def tick(self, state: State, rounds: int) -> None:
        """Count rounds."""
        try:
            state.budget.count_iterations(rounds)
            state.measure()
        except LimitError as error:
            raise self.fault(state, str(error)) from error

    def fault(self, state: State, message: str) -> ExecError:
        """Return an error at the range's pipeline."""
        return ExecError(self.unit, last_node(self.pipe, state.stops), message)
