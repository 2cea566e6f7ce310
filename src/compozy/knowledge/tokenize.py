"""Splits texts into words for the keyword search of every store."""

from __future__ import annotations

import unicodedata

import regex

_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
# A letter of an alphabet says nothing by itself; a sign of Chinese or Japanese is a word, and so is a digit.
_LETTER = regex.compile(r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Hebrew}\p{Arabic}]\p{M}*")
# Characters without width that stand in words. A space without width is between words, as in Khmer.
_INVISIBLE = regex.compile(r"[\u00ad\u200c\u200d\u2060\ufeff]+")
_ACCENTS = regex.compile(r"[\u0300-\u036f]+")
_DOTLESS_I = "\u0131"
MAX_WORDS = 64


def tokenize(text: str) -> list[str]:
    """Return the words of `text` without differences of case, accents and typographic forms, in order.

    `STRASSE` equals `straße`, and all four letters i of Turkish are equal: which one a capital means depends on the
    language, which is not known.

    They hold letters and digits only, so that none can be taken for a sign of a query language.
    """
    return [match[0] for match in _WORD.finditer(_plain(text))]


def query_words(text: str) -> list[str]:
    """Return the distinct words of a question, `MAX_WORDS` at most.

    Single letters are left out ("a", "I", what is left of "what's"), unless there is nothing else.
    """
    words = list(dict.fromkeys(tokenize(text)))
    telling = [word for word in words if not _LETTER.fullmatch(word)]
    return (telling or words)[:MAX_WORDS]


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower()
    # Ligatures, full-width letters and the like become their letters, some of them capitals: so this comes first.
    letters = unicodedata.normalize("NFKD", _INVISIBLE.sub("", text)).casefold()
    plain = unicodedata.normalize("NFKD", letters).replace(_DOTLESS_I, "i")
    return unicodedata.normalize("NFC", _ACCENTS.sub("", plain))
