"""The state that compiled templates work on, and the error that ends a rendering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from compozy.template.limits import Budget
from compozy.template.nodes import Chain, Command, Identifier, Node, Operand, Pipe

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


class State:
    """The state of one rendering.

    `dot` is the cursor, `boxed` whether it is an item of a list or map of any type (messages tell its type then as
    `interface {}`), `slots` the variables of the running unit, `typed` the slots that hold items of a typed list,
    `stops` where `and` and `or` stopped early.
    """

    __slots__ = (
        "boxed", "budget", "depth", "dot", "measured", "missing", "out", "size", "slots", "stops", "typed", "write",
    )  # fmt: skip

    def __init__(self, data: Any, missing: MissingKey, budget: Budget) -> None:
        self.dot = data
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
    """What the compiler knows about its current unit: its variables by scope, and whether it is strict."""

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
