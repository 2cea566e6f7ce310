"""Splits the text of a template into tokens, with the rules and the error messages of Go's lexer."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

from compozy.template.literals import quote, show_rune


class Kind:
    """Kinds of tokens. Those from DOT on are keywords, which messages print in angle brackets.

    They are plain numbers: in Python 3.11 each look at a member of an Enum takes five times as long.
    """

    ERROR = 0
    BOOL = 1
    CHAR = 2
    CHAR_CONSTANT = 3
    COMPLEX = 4
    ASSIGN = 5
    DECLARE = 6
    EOF = 7
    FIELD = 8
    IDENTIFIER = 9
    LEFT_DELIM = 10
    LEFT_PAREN = 11
    NUMBER = 12
    PIPE = 13
    RAW_STRING = 14
    RIGHT_DELIM = 15
    RIGHT_PAREN = 16
    STRING = 18
    TEXT = 19
    VARIABLE = 20
    DOT = 30
    BLOCK = 31
    BREAK = 32
    CONTINUE = 33
    DEFINE = 34
    ELSE = 35
    END = 36
    IF = 37
    NIL = 38
    RANGE = 39
    TEMPLATE = 40
    WITH = 41


KEYWORDS = {
    "block": Kind.BLOCK,
    "break": Kind.BREAK,
    "continue": Kind.CONTINUE,
    "define": Kind.DEFINE,
    "else": Kind.ELSE,
    "end": Kind.END,
    "false": Kind.BOOL,
    "if": Kind.IF,
    "nil": Kind.NIL,
    "range": Kind.RANGE,
    "template": Kind.TEMPLATE,
    "true": Kind.BOOL,
    "with": Kind.WITH,
}


class Token(NamedTuple):
    """A token: its kind, its offset in characters, its text (the message of an ERROR).

    White space between tokens makes none; several fields in a row (`.a.b`) may make one.
    """

    kind: int
    pos: int
    text: str


_new_token = cast("Callable[[tuple[int, int, str]], Token]", partial(cast("Any", tuple).__new__, Token))
"""Makes a token in less than half the time that its class takes."""


class _LexError(Exception):
    """Ends the token stream: `args` are the offset and the message."""


SPACES = " \t\r\n"
_TRIM_MARKERS = ("- ", "-\t", "-\r", "-\n")
_COMMENT_END = re.compile(r"\*/([ \t\r\n]-)?\}\}")
_TERMINATOR = r"(?=[ \t\r\n.,|:)(]|\}\}|\Z)"
_COMMON = r"""(?P<space>[ \t\r\n]+)?(?:
    (?P<field>(?:\.[A-Za-z_]\wHYPHENS)+)TERMINATOR
    |(?P<word>[A-Za-z_]\w*)TERMINATOR
    |(?P<variable>\$\w*)TERMINATOR
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*")
    |(?P<pipe>\|)
    |(?P<number>[0-9]+)(?=[ \t\r\n|)]|\}\})
    |(?P<dot>\.)(?=[ \t\r\n|)]|\}\})
    |(?P<declare>:=)
    |(?P<close>(?(space)-?)\}\})
    |(?P<open>\()
    |(?P<shut>\))
    |(?P<other>))""".replace("TERMINATOR", _TERMINATOR)
_PLAIN, _HYPHENATED = (
    re.compile(_COMMON.replace("HYPHENS", rest), re.VERBOSE | re.ASCII) for rest in ("*", r"*(?:-\w+)*")
)
_GROUPS = _PLAIN.groupindex
_CLOSE, _WORD, _OPEN, _SHUT, _OTHER = (_GROUPS[name] for name in ("close", "word", "open", "shut", "other"))
_KINDS = (
    0, 0, Kind.FIELD, Kind.IDENTIFIER, Kind.VARIABLE, Kind.STRING, Kind.PIPE, Kind.NUMBER, Kind.DOT, Kind.DECLARE,
    Kind.RIGHT_DELIM, Kind.LEFT_PAREN, Kind.RIGHT_PAREN,
)  # fmt: skip
"""The kinds of the tokens that `_COMMON` reads, by group. It leaves whatever is rare or wrong to `_TOKEN`."""

_TOKEN = re.compile(
    r"""(?P<field>\.(?![0-9])\w+)
    |(?P<word>[^\W\d]\w*)
    |(?P<variable>\$\w*)
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*")
    |(?P<raw>`[^`]*`)
    |(?P<char>'(?:[^'\\\n]|\\[^\n])*')
    |(?P<number>[+-]|\.?[0-9])
    |(?P<dot>\.)
    |(?P<sign>=)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_HYPHENS = re.compile(r"(?:-\w+)+")
_TERMINATORS = frozenset(" \t\r\n.,|:)(")
_UNTERMINATED = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
    ":": "expected :=",
}
_NUMBER = re.compile(
    r"""[+-]?(?:
    0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?
    |0[oO][0-7_]*(?:\.[0-7_]*)?
    |0[bB][01_]*(?:\.[01_]*)?
    |[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?""",
    re.VERBOSE,
)


def is_word_char(char: str) -> bool:
    """Return whether Go takes the character as part of a name: a letter, a decimal digit or `_`."""
    return char == "_" or char.isalpha() or char.isdecimal()


def split_tokens(text: str, *, hyphens: bool = False) -> list[Token]:
    """Return the tokens of a template; the last is EOF, or ERROR if the text is not a template.

    With `hyphens` a hyphen directly before a letter, digit or underscore is part of a field's name.
    """
    lexer = _Lexer(text, hyphens=hyphens)
    try:
        lexer.run()
    except _LexError as error:
        lexer.tokens.append(Token(Kind.ERROR, *error.args))
    return lexer.tokens


class _Lexer:
    """The state of one run: `tokens` found so far and the number of open parentheses."""

    def __init__(self, text: str, *, hyphens: bool) -> None:
        self.text = text
        self.hyphens = hyphens
        self.common = _HYPHENATED if hyphens else _PLAIN
        self.tokens: list[Token] = []
        self.parens = 0

    def run(self) -> None:
        """Alternate between text and actions until the end."""
        text, tokens, pos = self.text, self.tokens, 0
        while True:
            open_at = text.find("{{", pos)
            if open_at < 0:
                break
            piece, inside = text[pos:open_at], open_at + 2
            if text.startswith(_TRIM_MARKERS, inside):
                piece = piece.rstrip(SPACES)
                inside += 2
            if piece:
                tokens.append(_new_token((Kind.TEXT, pos, piece)))
            if text.startswith("/*", inside):
                pos = self.skip_comment(inside)
            else:
                tokens.append(_new_token((Kind.LEFT_DELIM, open_at, "{{")))
                pos = self.lex_action(inside)
        if pos < len(text):
            tokens.append(Token(Kind.TEXT, pos, text[pos:]))
        tokens.append(Token(Kind.EOF, len(text), "EOF"))

    def skip_comment(self, start: int) -> int:
        """Return where the text continues after the comment at `start`."""
        end = self.text.find("*/", start + 2)
        if end < 0:
            raise _LexError(start, "unclosed comment")
        close = _COMMENT_END.match(self.text, end)
        if close is None:
            raise _LexError(start, "comment ends before closing delimiter")
        return self.skip_spaces(close.end()) if close.group(1) else close.end()

    def skip_spaces(self, pos: int) -> int:
        """Return the offset of the first character from `pos` on that a trim marker keeps."""
        text = self.text
        while pos < len(text) and text[pos] in SPACES:
            pos += 1
        return pos

    def lex_action(self, pos: int) -> int:
        """Add the tokens of one action; return where the text continues."""
        text, add, scan = self.text, self.tokens.append, self.common.finditer
        self.parens = 0
        while True:
            for found in scan(text, pos):
                group = found.lastindex or _OTHER
                if group >= _CLOSE:
                    pos = found.end()
                    if group == _CLOSE:
                        return self.close_action(found.start(group), pos)
                    if group == _OTHER:
                        break
                    self.count_paren(group, pos - 1)
                value = found[group]
                kind = _KINDS[group] if group != _WORD else KEYWORDS.get(value, Kind.IDENTIFIER)
                add(_new_token((kind, found.start(group), value)))
            pos = self.lex_rare(pos)

    def lex_rare(self, pos: int) -> int:
        """Add one token of a rare kind, or an error; return its end."""
        found = _TOKEN.match(self.text, pos)
        if found is None:
            raise _LexError(pos, "unclosed action")
        return _LEXERS[found.lastgroup or "other"](self, pos, found.group())

    def count_paren(self, group: int, pos: int) -> None:
        """Count an opening or closing parenthesis."""
        self.parens += 1 if group == _OPEN else -1
        if self.parens < 0:
            raise _LexError(pos, "unexpected right paren")

    def close_action(self, pos: int, end: int) -> int:
        """Add the closing delimiter, with its trim marker if it has one; return where the text continues."""
        trims = end - pos > 2
        if self.parens:
            raise _LexError(pos - trims, "unclosed left paren")
        self.tokens.append(_new_token((Kind.RIGHT_DELIM, end - 2, "}}")))
        return self.skip_spaces(end) if trims else end

    def lex_name(self, kind: int, pos: int, value: str) -> int:
        """Add a word, a field or a variable, and check what follows it."""
        if not value.isascii():
            value = _cut_name(value)
        end = pos + len(value)
        if kind is Kind.FIELD and self.hyphens and self.text[end : end + 1] == "-":
            hyphenated = _HYPHENS.match(self.text, end)
            end = hyphenated.end() if hyphenated else end
        after = self.text[end : end + 1]
        if after and after not in _TERMINATORS and not self.text.startswith("}}", end):
            raise _LexError(pos, f"bad character {show_rune(after)}")
        self.tokens.append(Token(kind, pos, self.text[pos:end]))
        return end

    def lex_field(self, pos: int, value: str) -> int:
        """Add a field."""
        return self.lex_name(Kind.FIELD, pos, value)

    def lex_variable(self, pos: int, value: str) -> int:
        """Add a variable."""
        return self.lex_name(Kind.VARIABLE, pos, value)

    def lex_word(self, pos: int, value: str) -> int:
        """Add a keyword or the name of a function."""
        return self.lex_name(KEYWORDS.get(value, Kind.IDENTIFIER), pos, value)

    def lex_dot(self, pos: int, _: str) -> int:
        """Add the cursor. Go takes a dot at the very end for a number."""
        if pos + 1 == len(self.text):
            self.tokens.append(Token(Kind.NUMBER, pos, "."))
            return pos + 1
        return self.lex_name(Kind.DOT, pos, ".")

    def lex_number(self, pos: int, _: str) -> int:
        """Add a number, or a sum of two that makes a complex number."""
        end = self.scan_number(pos, pos)
        kind = Kind.NUMBER
        if self.text[end : end + 1] in {"+", "-"}:
            end = self.scan_number(pos, end)
            kind = Kind.COMPLEX
            if self.text[end - 1] != "i":
                raise self.bad_number(pos, end)
        self.tokens.append(Token(kind, pos, self.text[pos:end]))
        return end

    def scan_number(self, start: int, pos: int) -> int:
        """Return the end of the number at `pos`, in the token that began at `start`."""
        found = _NUMBER.match(self.text, pos)
        end = found.end() if found else pos
        after = self.text[end : end + 1]
        if after and is_word_char(after):
            raise self.bad_number(start, end + 1)
        return end

    def bad_number(self, start: int, end: int) -> _LexError:
        """Return the error for the text from `start` to `end`."""
        return _LexError(start, f"bad number syntax: {quote(self.text[start:end])}")

    def lex_sign(self, pos: int, value: str) -> int:
        """Add `=`."""
        self.tokens.append(Token(Kind.ASSIGN, pos, value))
        return pos + 1

    def lex_other(self, pos: int, value: str) -> int:
        """Add a character that no rule matches, or an error."""
        if value in _UNTERMINATED:
            raise _LexError(pos, _UNTERMINATED[value])
        if not " " <= value <= "~":
            raise _LexError(pos, f"unrecognized character in action: {show_rune(value)}")
        self.tokens.append(Token(Kind.CHAR, pos, value))
        return pos + 1

    def lex_string(self, pos: int, value: str) -> int:
        """Add a string in double quotes."""
        self.tokens.append(Token(Kind.STRING, pos, value))
        return pos + len(value)

    def lex_raw(self, pos: int, value: str) -> int:
        """Add a string in backquotes."""
        self.tokens.append(Token(Kind.RAW_STRING, pos, value))
        return pos + len(value)

    def lex_char(self, pos: int, value: str) -> int:
        """Add a character constant."""
        self.tokens.append(Token(Kind.CHAR_CONSTANT, pos, value))
        return pos + len(value)


_LEXERS: dict[str, Callable[[_Lexer, int, str], int]] = {
    name: getattr(_Lexer, f"lex_{name}") for name in _TOKEN.groupindex
}


def _cut_name(value: str) -> str:
    """Cut a name before the first character that Python counts among the word characters and Go does not."""
    for index, char in enumerate(value[1:], 1):
        if not is_word_char(char):
            return value[:index]
    return value
