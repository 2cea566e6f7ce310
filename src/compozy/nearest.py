"""Suggestions for misspelled names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

_LEAST_LIKENESS = 0.6
_LONGEST_WORD = 100
_MAX_CANDIDATES = 2000


def nearest(word: str, candidates: Iterable[str], *, likeness: float = _LEAST_LIKENESS) -> str | None:
    """Return the candidate most similar to `word`, or None if none is similar enough.

    Case does not count, and `-` is `_`.

    Args:
        word: the word as written.
        candidates: the valid words; the first 2000 are compared.
        likeness: minimum similarity, from 0 to 1.
    """
    if len(word) > _LONGEST_WORD:
        return None
    by_folded = {_fold(candidate): candidate for candidate in islice(candidates, _MAX_CANDIDATES)}
    found = difflib.get_close_matches(_fold(word), list(by_folded), n=1, cutoff=likeness)
    return by_folded[found[0]] if found else None


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Return `did you mean '...'?`, or "" if no candidate is similar enough."""
    found = nearest(word, candidates)
    return f"did you mean {found!r}?" if found else ""


def _fold(word: str) -> str:
    return word.casefold().replace("-", "_")
