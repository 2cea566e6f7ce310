"""Compiles the text of a template to a program, and caches recent programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, cast

from compozy.nearest import suggest
from compozy.template.cursor import ParseError
from compozy.template.functions import FUNCTIONS, LEFT_OUT
from compozy.template.limits import Budget, Limits
from compozy.template.literals import quote, to_bytes, valid_text
from compozy.template.machine import Dialect, Escape, ExecError, Frame, MissingKey, State, Unit, Value
from compozy.template.nodes import Action, Body, Field, Node, Variable
from compozy.template.parser import Parser
from compozy.template.statements import StatementCompiler
from compozy.template.values import INVALID, GoError, LimitError, copy_data

CACHED_PROGRAMS = 1024
MAX_CACHED_TEXT = 64 * 1024


class ProgramError(Exception):
    """The text is not a template, or cannot be rendered: message, hint, and the offset (-1: none)."""

    def __init__(self, message: str, *, go_place: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = valid_text(message)
        self.go_place = go_place
        self.offset = offset
        self.hint = hint


@dataclass(slots=True, eq=False)
class Program:
    """A compiled text: `value` is set if it is one single action and nothing else."""

    name: str
    text: str
    dialect: Dialect
    main: Unit
    bodies: dict[str, Body] = field(repr=False)
    mutates: bool
    value: Value | None

    def run(self, data: Any, missing: MissingKey, limits: Limits, escape: Escape | None = None) -> str:
        """Return the rendered text; raises ProgramError."""
        state = self.start(data, missing, limits)
        # A template that changes the data can bring any value below a root that is trusted.
        state.escape = replace(escape, trusted=frozenset()) if escape is not None and self.mutates else escape
        try:
            if self.main.body:
                self.main.body(state)
            state.measure()
        except _STOPS as error:
            raise self.translate(error) from error
        return valid_text("".join(state.out))

    def evaluate(self, data: Any, missing: MissingKey, limits: Limits) -> Any:
        """Return the value of a single action; raises ProgramError."""
        state = self.start(data, missing, limits)
        try:
            value = self.value(state) if self.value else None
            state.budget.visit(value)
        except _STOPS as error:
            raise self.translate(error) from error
        return value

    def start(self, data: Any, missing: MissingKey, limits: Limits) -> State:
        """Return a fresh state. Values that the template may change are copied."""
        budget = Budget(limits)
        if data is None:
            data = INVALID
        elif self.mutates:
            try:
                if isinstance(data, (list, dict)):
                    budget.weigh(cast("Any", data))
                data = copy_data(data)
            except (RecursionError, LimitError) as error:
                raise self.translate(error) from error
        state = State(data, missing, budget)
        state.slots = [data] + [INVALID] * (self.main.slot_count - 1)
        return state

    def translate(self, error: Exception) -> ProgramError:
        """Return the error of a rendering with Go's account of the place."""
        if not isinstance(error, ExecError):
            return ProgramError(_describe(error), go_place=f"template: {self.name}: ", offset=-1)
        if error.node is None:
            return ProgramError(error.message, go_place=f"template: {self.name}: ", offset=-1, hint=error.hint)
        line, col = go_position(self.text, error.node.pos)
        where = valid_text(f"template: {self.name}:{line}:{col}: executing {quote(error.unit)} at <{error.node}>: ")
        return ProgramError(error.message, go_place=where, offset=start_offset(error.node), hint=error.hint)


_STOPS = (ExecError, GoError, LimitError, RecursionError, OverflowError, MemoryError)


def _describe(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the template or its data is nested too deeply"
    return getattr(error, "message", "") or str(error) or type(error).__name__


def go_position(text: str, offset: int) -> tuple[int, int]:
    """Return line and column as Go counts them: lines from 1, columns in bytes from 0."""
    start = text.rfind("\n", 0, offset) + 1
    return 1 + text.count("\n", 0, offset), len(to_bytes(text[start:offset]))


def start_offset(node: Node) -> int:
    """Return where a node begins. Go lets chains of fields point at their second element."""
    if isinstance(node, Field) and len(node.keys) > 1:
        return node.pos - len(node.keys[0]) - 1
    if isinstance(node, Variable) and node.keys:
        return node.pos - len(node.name)
    return node.pos


def compile_program(text: str, name: str, dialect: Dialect) -> Program:
    """Return the program of a text, from the cache when it is there; raises ProgramError."""
    return (_compile_cached if len(text) <= MAX_CACHED_TEXT else compile_uncached)(text, name, dialect)


def compile_uncached(text: str, name: str, dialect: Dialect) -> Program:
    """Compile a text to a program; raises ProgramError."""
    functions = FUNCTIONS[dialect]
    try:
        parser = Parser(text, name, functions, hyphens=dialect == "compozy")
        parser.parse()
        return _build(parser, dialect)
    except ParseError as error:
        message, hint = _explain(error, functions if dialect == "compozy" else ())
        where = f"template: {name}:{go_position(text, error.line_pos)[0]}: "
        raise ProgramError(message, go_place=where, offset=error.pos, hint=hint) from error
    except RecursionError as error:
        raise ProgramError("the template is nested too deeply", go_place=f"template: {name}: ", offset=0) from error


_compile_cached = lru_cache(maxsize=CACHED_PROGRAMS)(compile_uncached)


def _explain(error: ParseError, known: Sequence[str] | dict[str, Any]) -> tuple[str, str]:
    """Return the message and the hint for a text that is not a template."""
    if error.function in LEFT_OUT:
        return f"function {quote(error.function)} is left out on purpose: {LEFT_OUT[error.function]}", ""
    return error.message, suggest(error.function, known) if error.function and known else ""


def _build(parser: Parser, dialect: Dialect) -> Program:
    """Compile each body of a parsed text."""
    units = {name: Unit(name) for name in parser.defined}
    mutates = False
    value: Value | None = None
    for name, body in parser.defined.items():
        frame = Frame(units[name], dialect)
        compiler = StatementCompiler(frame, FUNCTIONS[dialect], units)
        units[name].body = compiler.body(body, scoped=False)
        action = body.nodes[0] if len(body.nodes) == 1 else None
        if name == parser.name and isinstance(action, Action) and not action.pipe.declared:
            value = compiler.expressions.pipe(action.pipe)
        mutates |= frame.mutates
    return Program(parser.name, parser.text, dialect, units[parser.name], parser.defined, mutates, value)
