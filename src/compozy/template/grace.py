"""Where dialect compozy forgives a missing key: it counts as null there, elsewhere it is an error."""

from __future__ import annotations

from typing import Literal

FORGIVING = frozenset({"and", "coalesce", "default", "dig", "empty", "hasKey", "not", "or", "ternary"})
_LOGIC = frozenset({"and", "not", "or"})
_COMPARISONS = frozenset({"eq", "ne"})


Grace = Literal["strict", "value", "condition"]
"""How an expression is used: strictly, where a missing key is null, or as a condition."""


def grace_of_arguments(function: str, outer: Grace) -> Grace:
    """Return the grace of a function's arguments. `eq` and `ne` pass on that they stand in a condition."""
    if function in _LOGIC:
        return "condition"
    if function in FORGIVING or (outer == "condition" and function in _COMPARISONS):
        return "value"
    return "strict"
