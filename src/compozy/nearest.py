"""Suggestions for misspelled names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LEAST_LIKENESS = 0.6
_LONGEST_WORD = 100


def nearest(word: str, candidates: Iterable[str], *, likeness: float = _LEAST_LIKENESS) -> str | None:
    """Return the candidate most similar to `word`, or None if none is similar enough.

    Args:
        word: the word as written.
        candidates: the valid words.
        likeness: minimum similarity, from 0 to 1.
    """
    if len(word) > _LONGEST_WORD:
        return None
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Return `did you mean '...'?`, or "" if no candidate is similar enough."""
    found = nearest(word, candidates)
    return f"did you mean {found!r}?" if found else ""
