"""Walks over the tokens of a template, and tells Go's messages for what is wrong there."""

from __future__ import annotations

from typing import NoReturn

from compozy.template.lexer import Kind, Token, split_tokens
from compozy.template.literals import quote

_SPACE = Kind.SPACE


class ParseError(Exception):
    """The text is no template: Go's message without its place, the offset, and the name of an unknown function."""

    def __init__(self, message: str, *, pos: int, line_pos: int, function: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.pos = pos
        self.line_pos = line_pos
        self.function = function


class Cursor:
    """A place in the tokens of a text. `action_pos` is where the action began that is being read, -1 outside."""

    def __init__(self, text: str, name: str, *, hyphens: bool = False) -> None:
        self.text = text
        self.name = name
        self.tokens = split_tokens(text, hyphens=hyphens)
        self.last = len(self.tokens) - 1
        self.at: int = 0
        self.seen: int = 0
        self.action_pos: int = -1

    def next(self) -> Token:
        """Return the next token and step over it."""
        token = self.peek()
        if self.at < self.last:
            self.at += 1
        return token

    def peek(self) -> Token:
        """Return the next token."""
        at = self.at
        if at > self.seen:
            self.seen = at
        return self.tokens[at]

    def next_solid(self) -> Token:
        """Return the next token that is no white space and step over it."""
        self.skip_space()
        return self.next()

    def peek_solid(self) -> Token:
        """Step over white space and return the token behind it."""
        tokens, at = self.tokens, self.at
        token = tokens[at]
        while token.kind is _SPACE:
            at += 1
            token = tokens[at]
        self.at = at
        if at > self.seen:
            self.seen = at
        return token

    def skip_space(self) -> None:
        """Step over white space."""
        while self.tokens[self.at].kind is _SPACE:
            self.at += 1

    def expect(self, kinds: tuple[Kind, ...], context: str) -> Token:
        """Return the next token, which must be of one of the kinds."""
        token = self.next_solid()
        if token.kind not in kinds:
            self.unexpected(token, context)
        return token

    def fail(self, message: str, *, pos: int | None = None, function: str = "") -> NoReturn:
        """Raise a ParseError. Go counts the line of the token that was looked at last."""
        last = self.tokens[self.seen].pos
        raise ParseError(message, pos=last if pos is None else pos, line_pos=last, function=function)

    def unexpected(self, token: Token, context: str) -> NoReturn:
        """Raise a ParseError for a token in the wrong place, or for the lexer's own error."""
        if token.kind is not Kind.ERROR:
            self.fail(f"unexpected {_show_token(token)} in {context}", pos=token.pos)
        extra = ""
        if self.action_pos >= 0 and self.line_of(self.action_pos) != self.line_of(token.pos):
            extra = f" in action started at {self.name}:{self.line_of(self.action_pos)}"
            if token.text.endswith(" action"):
                extra = extra.removeprefix(" in action")
        self.fail(token.text + extra, pos=token.pos)

    def line_of(self, pos: int) -> int:
        """Return the line of an offset, counted from 1."""
        return 1 + self.text.count("\n", 0, pos)


def _show_token(token: Token) -> str:
    """Return a token as Go's messages show it."""
    if token.kind is Kind.EOF:
        return "EOF"
    if token.kind >= Kind.DOT:
        return f"<{token.text}>"
    return quote(token.text[:10]) + "..." if len(token.text.encode("utf-8", "replace")) > 10 else quote(token.text)
