"""The syntax tree of an expression. `offset` is the position of a node in the text.

Operators of the same precedence, and what follows a value (`.a[0].size()`), are lists and not nested pairs: the depth
of the tree is the nesting that the author wrote, and recursion is never deeper than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True, slots=True)
class Literal:
    """A literal value."""

    value: Any
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A variable. `joined` is the whole word with its hyphens, if some follow: `my-task` for `my`."""

    name: str
    joined: str
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MapOf:
    """`{"a": b}`."""

    entries: tuple[tuple[Node, Node], ...]
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """`size(a)`."""

    function: str
    args: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Has:
    """`has(a.b)`: `path` without its last field, and that field."""

    path: Node
    field: str
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """`.name` after a value; `joined` as in Name, `end` is the offset where it ends."""

    name: str
    joined: str
    offset: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """`[key]` after a value."""

    key: Node
    offset: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """`.size()` after a value."""

    function: str
    args: tuple[Node, ...]
    offset: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Macro:
    """`.all(x, x > 0)` after a list or a map; `condition` is the second of three arguments of `map`."""

    kind: str
    variable: str
    condition: Node | None
    body: Node
    offset: int
    end: int


PathStep: TypeAlias = Field | Index | Method | Macro


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """A value and the steps that follow it."""

    first: Node
    steps: tuple[PathStep, ...]
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefixed:
    """`!a` or `-a`, repeated `count` times."""

    sign: str
    count: int
    operand: Node
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """`a + b - c`: the first operand, and each operator with its offset and operand."""

    first: Node
    rest: tuple[tuple[str, int, Node], ...]
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Logic:
    """`a && b && c`, or `a || b || c`."""

    sign: str
    operands: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """`a ? b : c ? d : e`: pairs of condition and value, and the value if none is true."""

    cases: tuple[tuple[Node, Node], ...]
    otherwise: Node
    offset: int


Node: TypeAlias = Literal | Name | ListOf | MapOf | Call | Has | Path | Prefixed | Chain | Logic | Choice
