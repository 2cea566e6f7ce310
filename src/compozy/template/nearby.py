"""Suggests names for unknown ones."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MAX_NAMES = 2000


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"?` for the known name that is nearest, "" when none is near."""
    names = [each for each, _ in zip(known, range(MAX_NAMES), strict=False)]
    folded = {each.casefold().replace("-", "_"): each for each in names}
    found = get_close_matches(name.casefold().replace("-", "_")[:200], folded, n=1, cutoff=0.78)
    return f'did you mean "{folded[found[0]]}"?' if found else ""
