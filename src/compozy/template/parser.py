"""Builds the tree of a template, with the grammar and the error messages of Go's parser."""

from __future__ import annotations

from collections.abc import Callable, Collection

from compozy.template.cursor import Cursor
from compozy.template.lexer import Kind, Token
from compozy.template.literals import LiteralError, quote, unquote
from compozy.template.nodes import (
    Action,
    Body,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    End,
    Field,
    Identifier,
    Jump,
    Nil,
    Node,
    Number,
    Operand,
    Pipe,
    String,
    Text,
    Variable,
    is_blank,
)
from compozy.template.numbers import read_number

MAX_PARENTHESES = 100  # Go allows 10000; each costs several frames of the Python stack here and when it runs.
MAX_BLOCKS = 60

_ENDS = (Kind.RIGHT_DELIM, Kind.RIGHT_PAREN, Kind.PIPE)
_STRINGS = (Kind.STRING, Kind.RAW_STRING)
_CONSTANTS = (Bool, Dot, Nil, Number, String)


class Parser(Cursor):
    """Parses one text; `functions` are the names that may be called."""

    def __init__(self, text: str, name: str, functions: Collection[str], *, hyphens: bool = False) -> None:
        super().__init__(text, name, hyphens=hyphens)
        self.functions = functions
        self.variables = ["$"]
        self.range_depth: int = 0
        self.paren_depth = 0
        self.block_depth = 0
        self.defined: dict[str, Body] = {}

    def parse(self) -> Body:
        """Return the main body; the templates that it defines are in `defined`."""
        body = Body(0, [])
        while (token := self.next()).kind != Kind.EOF:
            if token.kind == Kind.LEFT_DELIM and self.tokens[self.at].kind == Kind.DEFINE:
                self.at += 1
                self.define_body(self.template_name("define clause", _STRINGS), "define clause")
                continue
            node = self.text_or_action(token)
            if isinstance(node, End):
                self.fail(f"unexpected {node}")
            body.nodes.append(node)
        self.define(self.name, body)
        return self.defined[self.name]

    # Structure

    def define_body(self, name: str, context: str, *, closed: bool = False) -> None:
        """Parse the body of a template with its own variables up to its `end`, and define it."""
        if not closed:
            self.expect((Kind.RIGHT_DELIM,), context)
        outer = self.variables, self.range_depth, self.action_pos
        self.variables, self.range_depth, self.action_pos = ["$"], 0, -1
        body, end = self.item_list()
        if end.word != "end":
            self.fail(f"unexpected {end} in {context}")
        self.variables, self.range_depth, self.action_pos = outer
        self.define(name, body)

    def define(self, name: str, body: Body) -> None:
        """Keep a template's body. A body of white space alone may be replaced and replaces nothing."""
        known = self.defined.get(name)
        if known is None or is_blank(known):
            self.defined[name] = body
        elif not is_blank(body):
            self.fail(f"template: multiple definition of template {quote(name)}")

    def item_list(self) -> tuple[Body, End]:
        """Parse nodes up to `end` or `else`; return them and what ended them."""
        self.block_depth += 1
        if self.block_depth > MAX_BLOCKS:
            self.fail("max block depth exceeded")
        body = Body(self.peek().pos, [])
        while True:
            token = self.next()
            if token.kind == Kind.EOF:
                self.fail("unexpected EOF")
            node = self.text_or_action(token)
            if isinstance(node, End):
                self.block_depth -= 1
                return body, node
            body.nodes.append(node)

    def text_or_action(self, token: Token) -> Node:
        """Parse a piece of text or an action, of which `token` is the first."""
        if token.kind == Kind.TEXT:
            return Text(token.pos, token.text)
        if token.kind != Kind.LEFT_DELIM:
            self.unexpected(token, "input")
        self.action_pos = token.pos
        first = self.peek()
        parse = _ACTIONS.get(first.kind)
        if parse is None:
            node = Action(first.pos, self.pipeline("command", Kind.RIGHT_DELIM))
        else:
            self.at += 1
            node = parse(self, first)
        self.action_pos = -1
        return node

    def jump(self, token: Token) -> Node:
        """Parse `break` or `continue`."""
        shown = f"{{{{{token.text}}}}}"
        after = self.next()
        if after.kind != Kind.RIGHT_DELIM:
            self.unexpected(after, shown)
        if not self.range_depth:
            self.fail(f"{shown} outside {{{{range}}}}", pos=token.pos)
        return Jump(token.pos, token.text)

    def end(self, _: Token) -> Node:
        """Parse `end`."""
        return End(self.expect((Kind.RIGHT_DELIM,), "end").pos, "end")

    def otherwise(self, _: Token) -> Node:
        """Parse `else`, which may be followed by `if` or `with`."""
        token = self.peek()
        if token.kind not in (Kind.IF, Kind.WITH):
            self.expect((Kind.RIGHT_DELIM,), "else")
        return End(token.pos, "else")

    def branch(self, token: Token) -> Branch:
        """Parse `if`, `with` or `range` with all that belongs to it."""
        word, mark = token.text, len(self.variables)
        pipe = self.pipeline(word, Kind.RIGHT_DELIM)
        self.range_depth += word == "range"
        body, end = self.item_list()
        self.range_depth -= word == "range"
        otherwise: Body | None = None
        if end.word == "else":
            otherwise = self.else_body(token, end)
        del self.variables[mark:]
        return Branch(pipe.pos, word, pipe, body, otherwise)

    def else_body(self, token: Token, end: End) -> Body:
        """Parse what follows an `else`."""
        if token.kind != Kind.RANGE and self.peek().kind == token.kind:
            self.block_depth += 1
            nested = self.branch(self.next())
            self.block_depth -= 1
            return Body(end.pos, [nested])
        body, last = self.item_list()
        if last.word != "end":
            self.fail(f"expected end; found {last}")
        return body

    def block(self, _: Token) -> Node:
        """Parse `block`: a definition that is called where it stands."""
        pos = self.peek().pos
        name = self.template_name("block clause")
        pipe = self.pipeline("block clause", Kind.RIGHT_DELIM)
        self.define_body(name, "block clause", closed=True)
        return Call(pos, name, quote(name), pipe)

    def template(self, _: Token) -> Node:
        """Parse `template`."""
        pos = self.peek().pos
        name = self.template_name("template clause")
        pipe = None
        if self.peek().kind != Kind.RIGHT_DELIM:
            pipe = self.pipeline("template clause", Kind.RIGHT_DELIM)
        else:
            self.next()
        return Call(pos, name, quote(name), pipe)

    def template_name(self, context: str, kinds: tuple[int, ...] = _STRINGS) -> str:
        """Parse the name of a template."""
        return self.unquote(self.expect(kinds, context))

    def unquote(self, token: Token) -> str:
        """Return the text of a string token."""
        try:
            return unquote(token.text)
        except LiteralError as error:
            self.fail(str(error), pos=token.pos)

    # Pipelines

    def pipeline(self, context: str, end: int) -> Pipe:
        """Parse a pipeline up to and over the token `end`."""
        token = self.peek()
        pipe = Pipe(token.pos, [], [])
        if token.kind == Kind.VARIABLE:
            self.declarations(pipe, context)
            token = self.peek()
        while token.kind != end:
            if token.kind not in _PARSE_TERM:
                self.unexpected(token, context)
            pipe.commands.append(self.command(token))
            token = self.peek()
        self.at += 1
        self.check_pipeline(pipe, context)
        return pipe

    def declarations(self, pipe: Pipe, context: str) -> None:
        """Parse `$x :=`, `$x =` and, for range, `$i, $x :=` at the start of a pipeline."""
        while self.peek().kind == Kind.VARIABLE:
            start = self.at
            variable = self.next()
            sign = self.peek()
            if sign.kind in (Kind.ASSIGN, Kind.DECLARE):
                self.next()
                pipe.assigns = sign.kind == Kind.ASSIGN
                self.declare(pipe, variable)
                return
            if sign.kind != Kind.CHAR or sign.text != ",":
                self.at = start
                return
            self.next()
            self.declare(pipe, variable)
            if context != "range" or len(pipe.declared) >= 2:
                self.fail(f"too many declarations in {context}", pos=sign.pos)
            if self.peek().kind not in (Kind.VARIABLE, Kind.RIGHT_DELIM, Kind.RIGHT_PAREN):
                self.fail("range can only initialize variables")

    def declare(self, pipe: Pipe, token: Token) -> None:
        """Make a variable known."""
        pipe.declared.append(Variable(token.pos, token.text, ()))
        self.variables.append(token.text)

    def check_pipeline(self, pipe: Pipe, context: str) -> None:
        """Refuse an empty pipeline, and constants behind a `|`."""
        if not pipe.commands:
            self.fail(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], 2):
            if isinstance(command.args[0], _CONSTANTS):
                self.fail(f"non executable command in pipeline stage {stage}", pos=command.pos)

    def command(self, token: Token) -> Command:
        """Parse one stage of a pipeline, of which `token` is the first."""
        command = Command(token.pos, [])
        while True:
            parse = _PARSE_TERM.get(token.kind)
            if parse is not None:
                self.at += 1
                command.args.append(parse(self, token))
                token = self.peek()
                if token.kind == Kind.FIELD and not self.is_spaced(token):
                    command.args.append(self.chain(command.args.pop()))
                    token = self.peek()
            if token.kind in _ENDS:
                break
            if parse is None or not self.is_spaced(token):
                self.unexpected(token, "operand")
        if token.kind == Kind.PIPE:
            self.at += 1
        if not command.args:
            self.fail("empty command")
        return command

    def chain(self, node: Operand) -> Operand:
        """Parse the fields directly behind a term."""
        token = self.peek()
        pos = token.pos
        keys: list[str] = []
        while token.kind == Kind.FIELD and not self.is_spaced(token):
            self.seen = self.at
            self.at += 1
            keys += token.text[1:].split(".")
            token = self.tokens[self.at]
        if isinstance(node, Field):
            return Field(node.pos if len(node.keys) > 1 else pos, (*node.keys, *keys))
        if isinstance(node, Variable):
            return Variable(pos, node.name, tuple(keys))
        if isinstance(node, _CONSTANTS):
            self.fail(f"unexpected . after term {quote(str(node))}", pos=pos)
        return Chain(pos, node, tuple(keys))

    def identifier(self, token: Token) -> Operand:
        """Return a function's node; the function must be known."""
        if token.text not in self.functions:
            self.fail(f"function {quote(token.text)} not defined", function=token.text)
        return Identifier(token.pos, token.text)

    def variable(self, token: Token) -> Operand:
        """Return a variable's node; the variable must be declared."""
        if token.text not in self.variables:
            self.fail(f"undefined variable {quote(token.text)}")
        return Variable(token.pos, token.text, ())

    def field(self, token: Token) -> Operand:
        """Return the node of a field, or of a chain of them: Go lets that point at its second element."""
        keys = tuple(token.text[1:].split("."))
        return Field(token.pos if len(keys) == 1 else token.pos + len(keys[0]) + 1, keys)

    def number(self, token: Token) -> Operand:
        """Return a number's node."""
        try:
            return read_number(token)
        except LiteralError as error:
            self.fail(str(error), pos=token.pos)

    def parenthesis(self, _: Token) -> Operand:
        """Return the pipeline between two parentheses."""
        if self.paren_depth >= MAX_PARENTHESES:
            self.fail("max expression depth exceeded")
        self.paren_depth += 1
        pipe = self.pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
        self.paren_depth -= 1
        return pipe

    def string(self, token: Token) -> Operand:
        """Return a string's node."""
        return String(token.pos, token.text, self.unquote(token))


_ACTIONS: dict[int, Callable[[Parser, Token], Node]] = {
    Kind.BLOCK: Parser.block,
    Kind.BREAK: Parser.jump,
    Kind.CONTINUE: Parser.jump,
    Kind.ELSE: Parser.otherwise,
    Kind.END: Parser.end,
    Kind.IF: Parser.branch,
    Kind.RANGE: Parser.branch,
    Kind.TEMPLATE: Parser.template,
    Kind.WITH: Parser.branch,
}
_PARSE_TERM: dict[int, Callable[[Parser, Token], Operand]] = {
    Kind.IDENTIFIER: Parser.identifier,
    Kind.DOT: lambda _, token: Dot(token.pos),
    Kind.NIL: lambda _, token: Nil(token.pos),
    Kind.VARIABLE: Parser.variable,
    Kind.FIELD: Parser.field,
    Kind.BOOL: lambda _, token: Bool(token.pos, token.text == "true"),
    Kind.CHAR_CONSTANT: Parser.number,
    Kind.COMPLEX: Parser.number,
    Kind.NUMBER: Parser.number,
    Kind.LEFT_PAREN: Parser.parenthesis,
    Kind.STRING: Parser.string,
    Kind.RAW_STRING: Parser.string,
}
