"""Finds the paths that a template reads from the root of its data, without rendering it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compozy.errors import SourceLocation
from compozy.template.missing_keys import Usage, usage_of_arguments
from compozy.template.nodes import (
    Action,
    Body,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Node,
    Operand,
    Pipe,
    String,
    Variable,
)
from compozy.template.program import Program, start_offset


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A path that a template reads: `.tasks.greet.output` is `("tasks", "greet", "output")`.

    `optional` is set where dialect compozy accepts a missing key. `location` is None if the template has no file.
    """

    path: tuple[str, ...]
    offset: int
    location: SourceLocation | None
    optional: bool


def find_references(program: Program, locate: Callable[[int], SourceLocation] | None) -> tuple[Reference, ...]:
    """Return the references of a program in the order of its text."""
    named = Counter(_NAMED.findall(program.text))
    finder = _Finder(program.bodies, {name for name, count in named.items() if count > 1})
    found = {
        (path, offset): optional for path, offset, optional in finder.body(program.bodies[program.name], rooted=True)
    }
    return tuple(
        Reference(path=path, offset=offset, location=locate(offset) if locate else None, optional=optional)
        for (path, offset), optional in sorted(found.items(), key=lambda item: item[0][1])
    )


_NAMED = re.compile(r"\$\w+(?=\s*(?:,|:?=))")
"""Variables where they are declared or assigned, and perhaps some text that looks like it."""

_Found = Iterator[tuple[tuple[str, ...], int, bool]]


class _Finder:
    """Walks the tree. `rooted` is whether the cursor is the root of the data where the walk is.

    `aliases` are the paths of variables that stand for one: `$t` behind `$t := .tasks`. Those that are named more than
    once (`changed`) are none, so that no scope needs to be known.
    """

    def __init__(self, bodies: dict[str, Body], changed: set[str]) -> None:
        self.bodies = bodies
        self.changed = changed
        self.entered: set[str] = set()
        self.aliases: dict[str, tuple[str, ...]] = {"$": ()}

    def body(self, body: Body, *, rooted: bool) -> _Found:
        """Yield the references of a sequence of nodes."""
        for node in body.nodes:
            yield from self.node(node, rooted=rooted)

    def node(self, node: Node, *, rooted: bool) -> _Found:
        """Yield the references of one node."""
        if isinstance(node, Action):
            yield from self.pipe(node.pipe, "strict", rooted=rooted)
            self.declare(node.pipe, rooted=rooted)
        elif isinstance(node, Branch):
            yield from self.branch(node, rooted=rooted)
        elif isinstance(node, Call) and node.pipe:
            yield from self.pipe(node.pipe, "strict", rooted=rooted)
            yield from self.call(node, node.pipe, rooted=rooted)

    def declare(self, pipe: Pipe, *, rooted: bool) -> None:
        """Note which path a variable stands for."""
        args = pipe.commands[0].args
        if len(pipe.declared) != 1 or len(pipe.commands) != 1 or len(args) != 1:
            return
        name, path = pipe.declared[0].name, self.path(args[0], rooted=rooted)
        if name not in self.changed and (path or _is_root(pipe, rooted=rooted)):
            self.aliases[name] = path

    def branch(self, node: Branch, *, rooted: bool) -> _Found:
        """Yield the references of `if`, `with` or `range`: the latter two move the cursor in their body."""
        usage = "strict" if node.word == "range" else "condition"
        yield from self.pipe(node.pipe, usage, rooted=rooted)
        if node.word != "range":
            self.declare(node.pipe, rooted=rooted)
        stays = node.word == "if" or _is_root(node.pipe, rooted=rooted)
        yield from self.body(node.body, rooted=rooted and stays)
        if node.otherwise:
            yield from self.body(node.otherwise, rooted=rooted)

    def call(self, node: Call, pipe: Pipe, *, rooted: bool) -> _Found:
        """Yield the references of a template that is called with the root of the data."""
        body = self.bodies.get(node.name)
        if body and node.name not in self.entered and _is_root(pipe, rooted=rooted):
            self.entered.add(node.name)
            yield from self.body(body, rooted=True)

    def pipe(self, pipe: Pipe, usage: Usage, *, rooted: bool) -> _Found:
        """Yield the references of a pipeline."""
        for index, command in enumerate(pipe.commands):
            behind = pipe.commands[index + 1].args[0] if index + 1 < len(pipe.commands) else None
            use = usage_of_arguments(behind.name, usage) if isinstance(behind, Identifier) else "strict"
            yield from self.command(command, usage if behind is None else use, rooted=rooted)

    def command(self, command: Command, usage: Usage, *, rooted: bool) -> _Found:
        """Yield the references of one stage."""
        first, args = command.args[0], command.args[1:]
        if not isinstance(first, Identifier):
            for operand in command.args:
                yield from self.operand(operand, usage, rooted=rooted)
            return
        path = self.indexed_path(first, args, rooted=rooted)
        if path:
            yield path, start_offset(args[0]), usage != "strict"
            return
        for operand in args:
            yield from self.operand(operand, usage_of_arguments(first.name, usage), rooted=rooted)

    def operand(self, node: Operand, usage: Usage, *, rooted: bool) -> _Found:
        """Yield the references of an operand."""
        path = self.path(node, rooted=rooted)
        if path:
            yield path, start_offset(_innermost(node)), usage != "strict"
        elif isinstance(node, Pipe):
            yield from self.pipe(node, usage, rooted=rooted)
        elif isinstance(node, Chain):
            yield from self.operand(node.node, usage, rooted=rooted)

    def path(self, node: Operand, *, rooted: bool) -> tuple[str, ...]:
        """Return the path from the root that an operand reads, () when it is none."""
        if isinstance(node, Field):
            return node.keys if rooted else ()
        if isinstance(node, Variable):
            alias = self.aliases.get(node.name)
            return () if alias is None else (*alias, *node.keys)
        if isinstance(node, Chain):
            inner = self.path(node.node, rooted=rooted)
            return (*inner, *node.keys) if inner else ()
        if isinstance(node, Pipe) and len(node.commands) == 1 and not node.declared:
            first, *args = node.commands[0].args
            if isinstance(first, Identifier):
                return self.indexed_path(first, args, rooted=rooted)
            return self.path(first, rooted=rooted) if not args else ()
        return ()

    def indexed_path(self, function: Identifier, args: list[Operand], *, rooted: bool) -> tuple[str, ...]:
        """Return the path of `index .tasks "greet"`, as far as its keys are constants."""
        if function.name != "index" or not args:
            return ()
        root = isinstance(args[0], Dot) and rooted
        root |= isinstance(args[0], Variable) and args[0].name == "$" and not args[0].keys
        path = self.path(args[0], rooted=rooted)
        if not path and not root:
            return ()
        keys: list[str] = []
        for arg in args[1:]:
            if not isinstance(arg, String):
                break
            keys.append(arg.text)
        rest = args[1 + len(keys) :]
        return () if any(not isinstance(arg, String) and _path_like(arg) for arg in rest) else (*path, *keys)


def _is_root(pipe: Pipe, *, rooted: bool) -> bool:
    """Return whether a pipeline gives the root of the data: `$`, or `.` where the cursor is the root."""
    if len(pipe.commands) != 1 or len(pipe.commands[0].args) != 1:
        return False
    node = pipe.commands[0].args[0]
    return (isinstance(node, Dot) and rooted) or (isinstance(node, Variable) and node.name == "$" and not node.keys)


def _path_like(node: Operand) -> bool:
    """Return whether a key of `index` reads data itself: the walk must look into it."""
    return isinstance(node, Field | Variable | Chain | Pipe)


def _innermost(node: Operand) -> Node:
    """Return the node at which a path begins."""
    while True:
        if isinstance(node, Chain):
            node = node.node
        elif isinstance(node, Pipe):
            args = node.commands[0].args
            node = args[1] if isinstance(args[0], Identifier) and len(args) > 1 else args[0]
        else:
            return node
