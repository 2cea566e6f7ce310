"""snakecase, kebabcase and camelcase, with the word borders of the library that Sprig uses."""

from __future__ import annotations

import enum
import unicodedata

from compozy.template.functions.bytetext import GO_SPACE, lower_char, upper_char
from compozy.template.functions.registry import function


class _Word(enum.Enum):
    """The kinds of pieces that a text is split into."""

    NONE = enum.auto()
    NUMBER = enum.auto()
    UPPER = enum.auto()
    LETTERS = enum.auto()
    CONNECTOR = enum.auto()
    PUNCTUATION = enum.auto()
    OTHER = enum.auto()


_OPEN = (_Word.NONE, _Word.CONNECTOR, _Word.PUNCTUATION)
_ALPHANUMERIC = (_Word.LETTERS, _Word.NUMBER)


def _is_connector(char: str) -> bool:
    return char in "-_" or char in GO_SPACE


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char).startswith("P")


def _is_upper(char: str) -> bool:
    return unicodedata.category(char) == "Lu"


def _is_letter(char: str) -> bool:
    """Return whether the character is a letter of a script that separates words."""
    return char.isalpha() and not ("\u3034" <= char < "\u30ff" or "\u3400" <= char <= "\u9fff")


def _is_number(char: str) -> bool:
    return unicodedata.category(char).startswith("N")


def _is_small(char: str) -> bool:
    return _is_letter(char) and not _is_upper(char)


def _is_other(char: str) -> bool:
    return not (_is_connector(char) or _is_letter(char) or _is_number(char) or _is_punctuation(char))


_KINDS = (
    (_Word.CONNECTOR, _is_connector, _is_connector),
    (_Word.PUNCTUATION, _is_punctuation, _is_punctuation),
    (_Word.UPPER, _is_upper, _is_upper),
    (_Word.LETTERS, _is_letter, _is_small),
    (_Word.NUMBER, _is_number, _is_number),
)


def _next_word(text: str, start: int) -> tuple[_Word, str, int]:
    """Return the piece of the text at `start`: its kind, itself, and where it ends."""
    if start >= len(text):
        return _Word.NONE, "", start
    kind, follows = next(
        ((kind, follows) for kind, begins, follows in _KINDS if begins(text[start])), (_Word.OTHER, _is_other)
    )
    end = start + 1
    if kind is _Word.UPPER and end < len(text) and _is_small(text[end]):
        follows = _is_small
    while end < len(text) and follows(text[end]):
        end += 1
    if kind is _Word.UPPER and follows is _is_upper and end - start > 1 and end < len(text) and _is_letter(text[end]):
        end -= 1
    return kind, text[start:end], end


class _Joiner:
    """Puts the pieces of a text together again, with connectors between the words."""

    def __init__(self, text: str, connector: str) -> None:
        self.text = text
        self.connector = connector
        self.at = 0
        self.parts: list[str] = []
        self.kind, self.word = _Word.NONE, ""
        self.step()

    def step(self) -> None:
        """Go to the next piece."""
        self.kind, self.word, self.at = _next_word(self.text, self.at)

    def next_kind(self) -> _Word:
        """Go to the next piece and return its kind."""
        self.step()
        return self.kind

    def write(self, kind: _Word, word: str) -> None:
        """Add a piece in lower case."""
        if kind not in (_Word.UPPER, _Word.CONNECTOR):
            self.parts.append(word)
            return
        self.parts += (self.connector if _is_connector(char) else _lower_upper(char) for char in word)

    def connect(self, *closed: _Word) -> None:
        """Add a connector unless the piece that comes next is of a kind that needs none."""
        if self.kind not in closed:
            self.parts.append(self.connector)

    def write_alphanumeric(self) -> None:
        """Add all pieces of letters or digits that come next, and a connector behind them."""
        while self.kind in _ALPHANUMERIC:
            self.write(self.kind, self.word)
            self.step()
        self.connect(*_OPEN)

    def run(self) -> str:
        """Return the whole."""
        while self.at < len(self.text):
            if self.kind is not _Word.CONNECTOR:
                self.write(self.kind, self.word)
            before, last = self.kind, self.word
            self.step()
            if before is _Word.NUMBER:
                self.write_alphanumeric()
            elif before is _Word.CONNECTOR:
                self.write(before, last)
            elif before is not _Word.PUNCTUATION:
                self.join_word()
        self.write(self.kind, self.word)
        return "".join(self.parts)

    def join_word(self) -> None:
        """Decide what stands between a word and the piece behind it."""
        if self.kind is not _Word.NUMBER:
            self.connect(_Word.CONNECTOR, _Word.PUNCTUATION)
            return
        if self.at >= len(self.text):
            return
        digits = self.word
        if self.next_kind() is not _Word.LETTERS:
            self.write(_Word.NUMBER, digits)
            self.connect(_Word.CONNECTOR, _Word.PUNCTUATION)
            return
        self.parts.append(self.connector)
        self.write(_Word.NUMBER, digits)
        self.write_alphanumeric()


def _lower_upper(char: str) -> str:
    return lower_char(char) if _is_upper(char) else char


@function("snakecase", "text")
def snakecase(text: str) -> str:
    """Return the text as words_in_lower_case."""
    return _Joiner(text, "_").run()


@function("kebabcase", "text")
def kebabcase(text: str) -> str:
    """Return the text as words-in-lower-case."""
    return _Joiner(text, "-").run()


@function("camelcase", "text")
def camelcase(text: str) -> str:
    """Return the text as WordsInCamelCase."""
    lead = len(text) - len(text.lstrip("-_" + GO_SPACE))
    if lead >= len(text):
        return text + text[-1:]  # The library writes the last one twice.
    parts: list[str] = [text[:lead]]
    current = upper_char(text[lead])
    for char in text[lead + 1 :]:
        before = current
        current = char
        if _is_connector(char) and _is_connector(before):
            parts.append(before)
        elif _is_connector(before):
            current = upper_char(char)
        else:
            current = lower_char(char)
            parts.append(before)
    return "".join(parts) + current
