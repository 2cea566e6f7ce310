"""The state that compiled templates work on, and the error that ends a rendering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from compozy.template.limits import Budget
from compozy.template.nodes import (
    Bool,
    Chain,
    Command,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Operand,
    Pipe,
    String,
    Variable,
)

MissingKey = Literal["default", "zero", "error"]
Dialect = Literal["go", "compozy"]


class ExecError(Exception):
    """A template cannot continue. `unit` is the template (of several in one text), `node` what it was evaluating."""

    def __init__(self, unit: str, node: Node | None, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.unit = unit
        self.node = node
        self.message = message
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Escape:
    """How printed values are changed so that they stay values of the text around them, such as the parts of a URL.

    `quote` changes each printed value but those that come from `trusted` alone, which are roots of the data.
    """

    quote: Callable[[str], str]
    trusted: frozenset[str] = frozenset()

    def apply(self, text: str, pipe: Pipe, state: State) -> str:
        """Return what is printed for the value of a pipeline."""
        return text if self._is_trusted(pipe, state) else self.quote(text)

    def _is_trusted(self, node: Operand | Command, state: State) -> bool:
        if isinstance(node, Pipe):
            return not node.declared and all(self._is_trusted(command, state) for command in node.commands)
        if isinstance(node, Command):
            return all(self._is_trusted(argument, state) for argument in node.args)
        if isinstance(node, Chain):
            return self._is_trusted(node.node, state)
        if isinstance(node, Field):
            return state.dot is state.root and node.keys[0] in self.trusted
        if isinstance(node, Variable):
            is_root = node.name == "$" and state.slots[0] is state.root
            return is_root and bool(node.keys) and node.keys[0] in self.trusted
        return isinstance(node, Bool | Identifier | Nil | Number | String)


class State:
    """The state of one rendering.

    `dot` is the cursor, `boxed` whether it is an item of a list or map of any type (messages tell its type then as
    `interface {}`), `slots` the variables of the running unit, `typed` the slots that hold items of a typed list,
    `stops` where `and` and `or` stopped early, `escape` what changes printed values, `root` the data.
    """

    __slots__ = (
        "boxed", "budget", "depth", "dot", "escape", "measured", "missing", "out", "root", "size", "slots", "stops",
        "typed", "write",
    )  # fmt: skip

    def __init__(self, data: Any, missing: MissingKey, budget: Budget, escape: Escape | None = None) -> None:
        self.dot = self.root = data
        self.escape = escape
        self.boxed = False
        self.slots: list[Any] = []
        self.typed: set[int] = set()
        self.stops: dict[int, int] = {}
        self.missing = missing
        self.budget = budget
        self.depth = 0
        self.out: list[str] = []
        self.write = self.out.append
        self.size = 0
        self.measured = 0

    def measure(self) -> None:
        """Refuse an output that has grown too long; each piece is measured once."""
        fresh = self.out[self.measured :]
        self.measured += len(fresh)
        self.size += sum(map(len, fresh))
        self.budget.check_output(self.size)


Value = Callable[[State], Any]
"""A compiled expression."""

Instruction = Callable[[State], "str | None"]
"""A compiled statement: returns "break" or "continue" if the enclosing loop must handle it."""


@dataclass(slots=True)
class Unit:
    """A compiled template of a text: the main one, or one of its definitions."""

    name: str
    body: Instruction | None = None
    slot_count: int = 1


@dataclass(slots=True)
class Frame:
    """The state of the compiler in its current unit: variables by scope, and whether it is strict."""

    unit: Unit
    dialect: Dialect
    scopes: list[dict[str, Slot]] = field(default_factory=lambda: [{"$": Slot(0)}])
    mutates: bool = False

    def declare(self, name: str, *, boxed: bool = False) -> Slot:
        """Return a new slot for a variable in the innermost scope."""
        slot = Slot(self.unit.slot_count, boxed)
        self.unit.slot_count += 1
        self.scopes[-1][name] = slot
        return slot

    def find(self, name: str) -> Slot | None:
        """Return the slot of a variable; None if it was declared in a branch that is not the running one."""
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)


@dataclass(slots=True)
class Slot:
    """The slot of a variable. `boxed` is set for the items of a range, `assigned` if `=` may change them."""

    index: int
    boxed: bool = False
    assigned: bool = False


def last_node(node: Operand | Command, stops: dict[int, int]) -> Node:
    """Return the node that Go evaluated last for `node`: messages about the value point there."""
    if isinstance(node, Chain):
        return last_node(node.node, stops)
    if isinstance(node, Pipe):
        return last_node(node.commands[-1], stops)
    if not isinstance(node, Command):
        return node
    first = node.args[0]
    if not isinstance(first, Identifier):
        return last_node(first, stops)
    return last_node(node.args[stops.get(id(node), len(node.args) - 1)], stops)
