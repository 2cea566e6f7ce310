"""Compiles chains of fields: `.a.b`, `$x.a`, `(pipeline).a`. They read maps and call methods of Go's own values."""

from __future__ import annotations

from typing import Any

from compozy.nearest import suggest
from compozy.template.machine import ExecError, Frame, Slot, State, Value, last_node
from compozy.template.nodes import Chain, Field, Node, Variable
from compozy.template.values import INVALID, GoError, GoValue, StringMap, is_map, quote_key, type_name

_LOOKUP_FAILS = (KeyError, TypeError)


class Path:
    """A chain of keys from some receiver. The slow way that knows what to do when the plain lookup fails."""

    __slots__ = ("forgiving", "keys", "node", "strict", "unit")

    def __init__(self, frame: Frame, node: Field | Variable | Chain, *, forgiving: bool) -> None:
        self.unit = frame.unit.name
        self.strict = frame.dialect == "compozy"
        self.node = node
        self.keys = node.keys
        self.forgiving = forgiving

    def walk(self, state: State, value: Any, *, boxed: bool, count: int | None = None) -> Any:
        """Follow the keys, or the first `count`, and return what is there."""
        for index, key in enumerate(self.keys[:count]):
            if is_map(value) and key in value:
                boxed = not isinstance(value, StringMap)
                value = value[key]
            elif self.forgiving and self.strict and (value is None or value is INVALID or is_map(value)):
                return INVALID
            else:
                value = self.step(state, value, index, boxed=boxed)
                boxed = False
        return value

    def step(self, state: State, value: Any, index: int, *, boxed: bool) -> Any:
        """Return what the key at `index` gives for a value that does not have it as a map."""
        key = self.keys[index]
        if isinstance(value, GoValue):
            return self.call(state, value, key, (), boxed=boxed)
        if self.strict:
            raise self.refuse(state, value, index)
        return self.miss(state, value, key, boxed=boxed)

    def miss(self, state: State, value: Any, key: str, *, boxed: bool) -> Any:
        """Return what Go gives for a key that is not there, which its option decides."""
        if value is INVALID:
            if state.missing == "error":
                raise self.fault(state, f"nil data; no entry for key {quote_key(key)}")
            return INVALID
        if value is None:
            raise self.fault(state, f"nil pointer evaluating interface {{}}.{key}")
        if not is_map(value):
            name = "interface {}" if boxed else type_name(value)
            raise self.fault(state, f"can't evaluate field {key} in type {name}")
        if state.missing == "error":
            raise self.fault(state, f"map has no entry for key {quote_key(key)}")
        if state.missing == "zero":
            return "" if isinstance(value, StringMap) else None
        return INVALID

    def call(self, state: State, value: GoValue, key: str, args: tuple[Any, ...], *, boxed: bool) -> Any:
        """Return what a method of a Go value gives."""
        try:
            return value.call_method(key, args)
        except LookupError:
            shown = "interface {}" if boxed else value.go_type
            raise self.fault(state, f"can't evaluate field {key} in type {shown}") from None
        except GoError as error:
            raise self.fault(state, f"error calling {key}: {error.message}") from error

    def fault(self, state: State, message: str, *, hint: str = "") -> ExecError:
        """Return an error at this chain."""
        return ExecError(self.unit, last_node(self.node, state.stops), message, hint=hint)

    def refuse(self, state: State, value: Any, index: int) -> ExecError:
        """Return the error of dialect compozy for a missing key."""
        key, owner = self.keys[index], self.show_owner(index)
        if is_map(value):
            known = sorted(str(name) for name in value)
            return self.fault(state, f"{owner} has no key {quote_key(key)}", hint=suggest(key, known))
        if value is None or value is INVALID:
            return self.fault(
                state,
                f"{owner} is null, so it has no key {quote_key(key)}",
                hint="guard it with {{ with }}, or give a value with `default`",
            )
        kind = _PLAIN.get(_class_of(value), "value")
        return self.fault(state, f"{owner} is not a map but a {kind}, so it has no key {quote_key(key)}")

    def show_owner(self, index: int) -> str:
        """Return the part of the chain before the key at `index`, as the user wrote it."""
        node, keys = self.node, self.keys[:index]
        if isinstance(node, Field):
            return "".join(f".{key}" for key in keys) or "the data"
        head = node.name if isinstance(node, Variable) else f"({node.node})"
        if head == "$" and not keys:
            return "the data"
        return ".".join((head, *keys))


def _class_of(value: object) -> type:
    return type(value)


_PLAIN: dict[type, str] = {str: "string", int: "number", float: "number", bool: "boolean", list: "list"}


def compile_field(frame: Frame, node: Field, *, forgiving: bool) -> Value:
    """Compile `.a.b`."""
    keys = node.keys

    def walk(state: State) -> Any:
        return Path(frame, node, forgiving=forgiving).walk(state, state.dot, boxed=state.boxed)

    if len(keys) == 1:
        return _compile_one(walk, keys[0])
    if len(keys) == 2:
        return _compile_two(walk, keys[0], keys[1])

    def read(state: State) -> Any:
        value = state.dot
        try:
            for key in keys:
                value = value[key]
        except _LOOKUP_FAILS:
            return walk(state)
        return value

    return read


def _compile_one(walk: Value, key: str) -> Value:
    def read(state: State) -> Any:
        try:
            return state.dot[key]
        except _LOOKUP_FAILS:
            return walk(state)

    return read


def _compile_two(walk: Value, first: str, second: str) -> Value:
    def read(state: State) -> Any:
        try:
            return state.dot[first][second]
        except _LOOKUP_FAILS:
            return walk(state)

    return read


def compile_variable(frame: Frame, node: Variable, *, forgiving: bool) -> Value:
    """Compile `$x` and `$x.a.b`."""
    slot = frame.find(node.name)
    if slot is None:
        return _compile_unknown(frame, node)
    index, keys = slot.index, node.keys
    if not keys:
        return lambda state: state.slots[index]
    walk = Path(frame, node, forgiving=forgiving).walk

    def read(state: State) -> Any:
        value = start = state.slots[index]
        try:
            for key in keys:
                value = value[key]
        except _LOOKUP_FAILS:
            return walk(state, start, boxed=is_boxed(state, slot))
        return value

    return read


def is_boxed(state: State, slot: Slot) -> bool:
    """Return whether Go would know the variable's type only as `interface {}`."""
    return slot.boxed and slot.index not in state.typed


def _compile_unknown(frame: Frame, node: Variable) -> Value:
    """Compile a variable that the parser knows from a branch that does not run."""
    unit = frame.unit.name

    def refuse(_: State) -> Any:
        raise ExecError(unit, node, f"undefined variable: {node.name}")

    return refuse


def compile_chain(frame: Frame, node: Chain, head: Value, *, forgiving: bool) -> Value:
    """Compile `(pipeline).a.b`, where `head` gives the value of the pipeline."""
    walk = Path(frame, node, forgiving=forgiving).walk
    return lambda state: walk(state, head(state), boxed=False)


def no_method(unit: str, node: Node, key: str) -> ExecError:
    """Return the error for a field with arguments, as if it were a method."""
    return ExecError(unit, node, f"{key} is not a method but has arguments")
