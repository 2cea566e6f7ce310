"""The tree of an expression. `offset` is where a part stands in the text.

Operators of one rank, and what follows a value (`.a[0].size()`), are lists and not nested pairs: the depth of the tree
is the nesting that the author wrote, and nothing recurses deeper than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True, slots=True)
class Literal:
    """A value that is written out."""

    value: Any
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A variable. `joined` is the whole word with its hyphens, when some follow: `my-task` for `my`."""

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
    """`.name` behind a value; `joined` as in Name, `end` is where it ends."""

    name: str
    joined: str
    offset: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """`[key]` behind a value."""

    key: Node
    offset: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """`.size()` behind a value."""

    function: str
    args: tuple[Node, ...]
    offset: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Macro:
    """`.all(x, x > 0)` behind a list or a map; `condition` is the second of three arguments of `map`."""

    kind: str
    variable: str
    condition: Node | None
    body: Node
    offset: int
    end: int


PathStep: TypeAlias = Field | Index | Method | Macro


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """A value and what follows it."""

    first: Node
    steps: tuple[PathStep, ...]
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefixed:
    """`!a` or `-a`, `count` times."""

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
    """`a && b && c`, or the same with `||`."""

    sign: str
    operands: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """`a ? b : c ? d : e`: pairs of condition and value, and the value when none is true."""

    cases: tuple[tuple[Node, Node], ...]
    otherwise: Node
    offset: int


Node: TypeAlias = Literal | Name | ListOf | MapOf | Call | Has | Path | Prefixed | Chain | Logic | Choice
