"""Work on text by bytes, as Go does where it counts or cuts."""

from __future__ import annotations

from collections.abc import Callable

from compozy.template.literals import from_bytes, to_bytes

GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def on_bytes(change: Callable[[str], str], text: str) -> str:
    """Apply a change to text whose characters are the bytes of `text`."""
    if text.isascii():
        return change(text)
    return from_latin(change(to_latin(text)))


def on_chars(change: Callable[[str], str], text: str) -> str:
    """Apply a change to each character, which is asked for once."""
    return text.translate({ord(char): change(char) for char in set(text)})


def to_latin(text: str) -> str:
    """Return the bytes of a text as characters of Latin-1."""
    return to_bytes(text).decode("latin-1")


def from_latin(text: str) -> str:
    """Return the text for bytes that are characters of Latin-1."""
    return from_bytes(text.encode("latin-1"))


def upper_char(char: str) -> str:
    """Return the character in upper case, where that is one character."""
    upper = char.upper()
    return upper if len(upper) == 1 else title_char(char)


def title_char(char: str) -> str:
    """Return the character in title case, where that is one character."""
    title = char.title()
    return title if len(title) == 1 else char


def lower_char(char: str) -> str:
    """Return the character in lower case, where that is one character."""
    lower = char.lower()
    return lower if len(lower) == 1 else lower[0]
