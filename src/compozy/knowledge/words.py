"""The words of a text, as every store's search by words sees them."""

from __future__ import annotations

import regex

_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
MAX_WORDS = 64


def all_words(text: str) -> list[str]:
    """Return the words of `text` in lower case, in their order.

    They hold letters and digits only, so that none can be taken for a sign of a query language.
    """
    return [match[0].lower() for match in _WORD.finditer(text)]


def words_of(text: str) -> list[str]:
    """Return the distinct words of a question, `MAX_WORDS` at most."""
    return list(dict.fromkeys(all_words(text)))[:MAX_WORDS]
