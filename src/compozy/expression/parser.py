"""Parses the tokens of an expression into a tree."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from compozy.expression.functions import FUNCTIONS, METHODS
from compozy.expression.limits import MAX_LENGTH, MAX_NESTING
from compozy.expression.nodes import (
    Call,
    Chain,
    Choice,
    Field,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Method,
    Name,
    Node,
    Path,
    PathStep,
    Prefixed,
)
from compozy.expression.tokens import END, ExpressionSyntax, Token, split
from compozy.nearest import nearest

MACROS = ("all", "exists", "exists_one", "filter", "map")
_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop", "package"}
    | {"namespace", "return", "var", "void", "while"}
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_WORDS_ELSEWHERE = {"and": "&&", "or": "||", "not": "!", "eq": "==", "ne": "!=", "True": "true", "False": "false"}
_NAMES_ELSEWHERE = {"len": "size", "length": "size", "includes": "contains", "any": "exists", "str": "string"}
_RANKS: tuple[frozenset[str], ...] = (
    frozenset({"<", "<=", ">", ">=", "==", "!=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_HYPHENS = re.compile(r"(?:-[A-Za-z0-9_]+)+")


def parse(text: str) -> Node:
    """Parse `text`; raises ExpressionSyntax."""
    if len(text) > MAX_LENGTH:
        raise ExpressionSyntax(f"an expression has at most {MAX_LENGTH} characters, got {len(text)}", 0)
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = split(text)
        self.position = 0
        self.nesting = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.position]

    def whole(self) -> Node:
        node = self.expression()
        if self.now.kind != END:
            self.refuse("the end or an operator")
        return node

    def expression(self) -> Node:
        """Parse `a ? b : c`, or what binds more tightly."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise ExpressionSyntax(f"nested deeper than {MAX_NESTING} levels", self.now.offset)
        offset = self.now.offset
        cases: list[tuple[Node, Node]] = []
        node = self.logic("||", lambda: self.logic("&&", lambda: self.chain(0)))
        while self.skip("?"):
            value = self.expression()
            self.expect(":")
            cases.append((node, value))
            node = self.logic("||", lambda: self.logic("&&", lambda: self.chain(0)))
        self.nesting -= 1
        return Choice(cases=tuple(cases), otherwise=node, offset=offset) if cases else node

    def logic(self, sign: str, below: Callable[[], Node]) -> Node:
        offset = self.now.offset
        operands = [below()]
        while self.skip(sign):
            operands.append(below())
        return Logic(sign=sign, operands=tuple(operands), offset=offset) if len(operands) > 1 else operands[0]

    def chain(self, rank: int) -> Node:
        if rank == len(_RANKS):
            return self.prefixed()
        first = self.chain(rank + 1)
        offset = self.now.offset
        rest: list[tuple[str, int, Node]] = []
        while self.now.kind in {"sign", "word"} and self.now.text in _RANKS[rank]:
            sign = self.take()
            rest.append((sign.text, sign.offset, self.chain(rank + 1)))
        return Chain(first=first, rest=tuple(rest), offset=offset) if rest else first

    def prefixed(self) -> Node:
        sign = self.now
        if sign.kind != "sign" or sign.text not in {"!", "-"}:
            return self.path()
        count = 0
        while self.skip(sign.text):
            count += 1
        operand = self.path()
        if isinstance(operand, Literal) and sign.text == "-" and type(operand.value) in {int, float}:
            return Literal(value=operand.value * (-1) ** count, offset=sign.offset)
        return Prefixed(sign=sign.text, count=count, operand=operand, offset=sign.offset)

    def path(self) -> Node:
        offset = self.now.offset
        first = self.primary()
        steps: list[PathStep] = []
        while step := self.step():
            steps.append(step)
        return Path(first=first, steps=tuple(steps), offset=offset) if steps else first

    def step(self) -> PathStep | None:
        start = self.now
        if self.skip("."):
            name = self.field()
            if name.kind == "word" and self.skip("("):
                return self.method(name)
            text = name.text if name.kind == "word" else name.value
            return Field(name=text, joined=self.joined(name), offset=name.offset, end=name.end)
        if self.skip("["):
            key = self.expression()
            return Index(key=key, offset=start.offset, end=self.expect("]").end)
        return None

    def field(self) -> Token:
        if self.now.kind not in {"word", "field"}:
            self.refuse("a field name")
        return self.take()

    def method(self, name: Token) -> PathStep:
        args = self.items(")")
        end = self.tokens[self.position - 1].end
        if name.text in MACROS:
            return _macro(name, args, end)
        self.check_function(name, METHODS, "method", len(args))
        return Method(function=name.text, args=tuple(args), offset=name.offset, end=end)

    def primary(self) -> Node:
        token = self.now
        if token.kind == "value":
            self.take()
            return Literal(value=token.value, offset=token.offset)
        if token.kind == "word" and token.text not in _RESERVED:
            return self.word()
        if self.skip("."):
            return self.word() if self.now.kind == "word" else self.refuse("a name")
        if self.skip("("):
            node = self.expression()
            self.expect(")")
            return node
        if self.skip("["):
            return ListOf(items=tuple(self.items("]")), offset=token.offset)
        if self.skip("{"):
            return self.map(token)
        return self.refuse("a value")

    def word(self) -> Node:
        token = self.take()
        if token.text in _CONSTANTS:
            return Literal(value=_CONSTANTS[token.text], offset=token.offset)
        if not self.skip("("):
            return Name(name=token.text, joined=self.joined(token), offset=token.offset)
        args = self.items(")")
        if token.text == "has":
            return _has(token, args)
        self.check_function(token, FUNCTIONS, "function", len(args))
        return Call(function=token.text, args=tuple(args), offset=token.offset)

    def map(self, start: Token) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self.skip("}"):
            key = self.expression()
            self.expect(":")
            entries.append((key, self.expression()))
            if not self.skip(","):
                self.expect("}")
                break
        return MapOf(entries=tuple(entries), offset=start.offset)

    def items(self, end: str) -> list[Node]:
        found: list[Node] = []
        while not self.skip(end):
            found.append(self.expression())
            if not self.skip(","):
                self.expect(end)
                break
        return found

    def joined(self, name: Token) -> str:
        found = _HYPHENS.match(self.text, name.end) if name.kind == "word" else None
        return name.text + found[0] if found else ""

    def check_function(self, name: Token, known: dict[str, tuple[int, ...]], word: str, count: int) -> None:
        if name.text not in known:
            other = {**FUNCTIONS, **METHODS, **dict.fromkeys(MACROS, (1,))}
            meant = _NAMES_ELSEWHERE.get(name.text) or nearest(name.text, other)
            hint = f"did you mean {meant!r}?" if meant and meant != name.text else _usage(name.text)
            raise ExpressionSyntax(f"unknown {word} {name.text!r}", name.offset, hint)
        if count not in known[name.text]:
            expected = " or ".join(map(str, known[name.text]))
            message = f"{name.text} takes {expected} argument{'' if expected == '1' else 's'}, got {count}"
            raise ExpressionSyntax(message, name.offset)

    def take(self) -> Token:
        token = self.now
        self.position += 1
        return token

    def skip(self, sign: str) -> bool:
        if self.now.kind == "sign" and self.now.text == sign:
            self.position += 1
            return True
        return False

    def expect(self, sign: str) -> Token:
        if self.now.kind != "sign" or self.now.text != sign:
            self.refuse(f"{sign!r}")
        return self.take()

    def refuse(self, expected: str) -> NoReturn:
        token = self.now
        got = "the end" if token.kind == END else repr(token.text if len(token.text) <= 40 else token.text[:37] + "...")
        other = _WORDS_ELSEWHERE.get(token.text, "")
        hint = f"write `{other}`" if other else ""
        raise ExpressionSyntax(f"expected {expected}, got {got}", token.offset, hint)


def _has(name: Token, args: list[Node]) -> Node:
    last = args[0].steps[-1] if len(args) == 1 and isinstance(args[0], Path) else None
    if not isinstance(last, Field) or not isinstance(args[0], Path):
        hint = 'instead of `a["b"]`, write `"b" in a`'
        raise ExpressionSyntax("has requires a path ending with a field, such as has(a.b)", name.offset, hint)
    path = args[0]
    above = Path(first=path.first, steps=path.steps[:-1], offset=path.offset) if path.steps[1:] else path.first
    return Has(path=above, field=last.name, offset=last.offset)


def _macro(name: Token, args: list[Node], end: int) -> Macro:
    counts = (2, 3) if name.text == "map" else (2,)
    if len(args) not in counts or not isinstance(args[0], Name):
        form = f"{name.text}(x, an expression with x)"
        raise ExpressionSyntax(f"{name.text} requires a name and an expression for each item: {form}", name.offset)
    return Macro(
        kind=name.text,
        variable=args[0].name,
        condition=args[1] if len(args) == 3 else None,
        body=args[-1],
        offset=name.offset,
        end=end,
    )


def _usage(name: str) -> str:
    if name in METHODS or name in MACROS:
        return f"call it on a value: `a.{name}(...)`"
    if name in FUNCTIONS:
        return f"pass the value as its argument: `{name}(a)`"
    return ""
