"""How often the nested repetitions of a regular expression multiply: `(a{100}){100}` compiles to 10,000 parts."""

from __future__ import annotations

import re

_PART = re.compile(
    r"\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|(?P<open>\()|(?P<close>\))|\{(?P<least>\d*),?(?P<most>\d*)\}|.",
    re.DOTALL,
)


def largest_repeat(pattern: str) -> int:
    """Return the largest product of nested repetition counts in `pattern`; 1 if it has none."""
    # For each open group: the largest product inside it, and the product of the part before the current one.
    groups, last = [1], 1
    for part in _PART.finditer(pattern):
        if part["open"]:
            groups.append(1)
            last = 1
        elif part["close"]:
            last = groups.pop() if len(groups) > 1 else 1
        elif part["least"] is not None:
            # Longer numbers count as unlimited.
            last *= max(1, int((part["most"] or part["least"] or "1")[:9]))
        else:
            last = 1
        groups[-1] = max(groups[-1], last)
    return max(groups)
