"""Where dialect compozy accepts a missing key: it counts as null there, and is an error elsewhere."""

from __future__ import annotations

from typing import Literal

ACCEPTING_MISSING = frozenset({"and", "coalesce", "default", "dig", "empty", "hasKey", "not", "or", "ternary"})
_LOGIC = frozenset({"and", "not", "or"})
_COMPARISONS = frozenset({"eq", "ne"})


Usage = Literal["strict", "value", "condition"]
"""How an expression is used: strictly, where a missing key is null, or as a condition."""


def usage_of_arguments(function: str, outer: Usage) -> Usage:
    """Return the usage of a function's arguments. `eq` and `ne` pass on that they are part of a condition."""
    if function in _LOGIC:
        return "condition"
    if function in ACCEPTING_MISSING or (outer == "condition" and function in _COMPARISONS):
        return "value"
    return "strict"
