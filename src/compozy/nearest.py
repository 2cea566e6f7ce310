"""The one place that guesses what a misspelled word was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LEAST_LIKENESS = 0.6
_LONGEST_WORD = 100


def nearest(word: str, candidates: Iterable[str], *, likeness: float = _LEAST_LIKENESS) -> str | None:
    """Return the candidate that `word` most likely stands for, None when nothing is near.

    Args:
        word: what was written.
        candidates: what could have been meant.
        likeness: least similarity of the two, from 0 to 1.
    """
    if len(word) > _LONGEST_WORD:
        return None
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Return `did you mean '...'?`, "" when nothing is near."""
    found = nearest(word, candidates)
    return f"did you mean {found!r}?" if found else ""
