"""The parse tree of a template. `str(node)` gives the text that Go prints for it in error messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Node:
    """A part of a template; `pos` is the offset in characters that error messages point at."""

    pos: int


@dataclass(slots=True, eq=False)
class Text(Node):
    """Text outside of actions."""

    text: str


@dataclass(slots=True, eq=False)
class Dot(Node):
    """The cursor, written `.`."""

    def __str__(self) -> str:
        return "."


@dataclass(slots=True, eq=False)
class Nil(Node):
    """The constant `nil`."""

    def __str__(self) -> str:
        return "nil"


@dataclass(slots=True, eq=False)
class Bool(Node):
    """The constants `true` and `false`."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(slots=True, eq=False)
class Number(Node):
    """A number as written. Each field holds its value as that kind of number, None when it does not fit."""

    text: str
    as_int: int | None = None
    as_uint: int | None = None
    as_float: float | None = None
    as_complex: complex | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True, eq=False)
class String(Node):
    """A string constant: `quoted` as written, `text` as meant."""

    quoted: str
    text: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(slots=True, eq=False)
class Field(Node):
    """A chain of fields of the cursor: `.a.b`."""

    keys: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{key}" for key in self.keys)


@dataclass(slots=True, eq=False)
class Variable(Node):
    """A variable and perhaps a chain of its fields: `$x.a.b`."""

    name: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.keys))


@dataclass(slots=True, eq=False)
class Chain(Node):
    """Fields of what a term gives: `(pipeline).a.b`."""

    node: Operand
    keys: tuple[str, ...]

    def __str__(self) -> str:
        inner = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return ".".join((inner, *self.keys))


@dataclass(slots=True, eq=False)
class Identifier(Node):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True, eq=False)
class Command(Node):
    """One stage of a pipeline: a term and the arguments behind it."""

    args: list[Operand]

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipe) else str(arg) for arg in self.args)


@dataclass(slots=True, eq=False)
class Pipe(Node):
    """A pipeline with the variables that it declares, or assigns when `assigns`."""

    commands: list[Command]
    declared: list[Variable]
    assigns: bool = False

    def __str__(self) -> str:
        names = ", ".join(str(variable) for variable in self.declared)
        sign = (" = " if self.assigns else " := ") if names else ""
        return names + sign + " | ".join(str(command) for command in self.commands)


Operand = Dot | Nil | Bool | Number | String | Field | Variable | Chain | Identifier | Pipe


@dataclass(slots=True, eq=False)
class Action(Node):
    """A pipeline whose value is printed, unless it declares a variable."""

    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(slots=True, eq=False)
class Body(Node):
    """A sequence of nodes."""

    nodes: list[Node]


@dataclass(slots=True, eq=False)
class Branch(Node):
    """The common part of `if`, `with` and `range`; `word` is the keyword."""

    word: str
    pipe: Pipe
    body: Body
    otherwise: Body | None


@dataclass(slots=True, eq=False)
class Call(Node):
    """`{{template "name" pipeline}}`; `quoted` is the name as Go quotes it."""

    name: str
    quoted: str
    pipe: Pipe | None

    def __str__(self) -> str:
        argument = f" {self.pipe}" if self.pipe else ""
        return f"{{{{template {self.quoted}{argument}}}}}"


@dataclass(slots=True, eq=False)
class Jump(Node):
    """`break` or `continue`."""

    word: str

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


@dataclass(slots=True, eq=False)
class End(Node):
    """`end` or `else`: closes a body, and is not part of the finished tree."""

    word: str

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


def is_blank(node: Node | None) -> bool:
    """Return whether a tree prints nothing but white space: such a definition may be defined again."""
    if isinstance(node, Body):
        return all(is_blank(child) for child in node.nodes)
    if isinstance(node, Text):
        return not node.text.strip()
    return node is None
