"""Where dialect compozy forgives a missing key: it counts as null there, elsewhere it is an error."""

from __future__ import annotations

import enum

FORGIVING = frozenset({"and", "coalesce", "default", "dig", "empty", "hasKey", "not", "or", "ternary"})
_LOGIC = frozenset({"and", "not", "or"})
_COMPARISONS = frozenset({"eq", "ne"})


class Grace(enum.Enum):
    """How an expression is used: strictly, where a missing key is null, or as a condition."""

    STRICT = enum.auto()
    VALUE = enum.auto()
    CONDITION = enum.auto()


def grace_of_arguments(function: str, outer: Grace) -> Grace:
    """Return the grace of a function's arguments. `eq` and `ne` pass on that they stand in a condition."""
    if function in _LOGIC:
        return Grace.CONDITION
    if function in FORGIVING or (outer is Grace.CONDITION and function in _COMPARISONS):
        return Grace.VALUE
    return Grace.STRICT
