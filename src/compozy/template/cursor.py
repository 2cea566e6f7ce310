"""Walks over the tokens of a template, and raises errors with Go's messages."""

from __future__ import annotations

from typing import NoReturn

from compozy.template.lexer import SPACES, Kind, Token, split_tokens
from compozy.template.literals import quote


class ParseError(Exception):
    """The text is not a template: Go's message without its location, the offset, and any unknown function's name."""

    def __init__(self, message: str, *, pos: int, line_pos: int, function: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.pos = pos
        self.line_pos = line_pos
        self.function = function


class Cursor:
    """A position in the tokens of a text. `action_pos` is the start of the action being read, -1 outside."""

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
        at = self.at
        if at > self.seen:
            self.seen = at
        if at < self.last:
            self.at = at + 1
        return self.tokens[at]

    def peek(self) -> Token:
        """Return the next token."""
        at = self.at
        if at > self.seen:
            self.seen = at
        return self.tokens[at]

    def is_spaced(self, token: Token) -> bool:
        """Return whether white space stands before the token."""
        return self.text[token.pos - 1] in SPACES

    def expect(self, kinds: tuple[int, ...], context: str) -> Token:
        """Return the next token, which must be of one of the kinds."""
        token = self.next()
        if token.kind not in kinds:
            self.unexpected(token, context)
        return token

    def fail(self, message: str, *, pos: int | None = None, function: str = "") -> NoReturn:
        """Raise a ParseError. Go counts the line of the token that was looked at last."""
        last = self.tokens[self.seen].pos
        raise ParseError(message, pos=last if pos is None else pos, line_pos=last, function=function)

    def unexpected(self, token: Token, context: str) -> NoReturn:
        """Raise a ParseError for a token in the wrong place, or for the lexer's own error."""
        if token.kind != Kind.ERROR:
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
    if token.kind == Kind.EOF:
        return "EOF"
    if token.kind >= Kind.DOT:
        return f"<{token.text}>"
    text = token.text
    if token.kind == Kind.FIELD:  # Go makes several tokens of `.a.b`.
        text = "." + text.split(".", 2)[1]
    return quote(text[:10]) + "..." if len(text.encode("utf-8", "replace")) > 10 else quote(text)
