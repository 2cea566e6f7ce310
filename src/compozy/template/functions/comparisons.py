"""Go's own functions for logic and comparison: not, eq, ne, lt, le, gt, ge."""

from __future__ import annotations

from typing import Any

from compozy.template.functions.registry import function
from compozy.template.limits import Budget
from compozy.template.literals import to_bytes
from compozy.template.printf import sprintf
from compozy.template.values import INVALID, GoError, is_nil_collection, kind_name, type_name

_BAD_TYPE = "invalid type for comparison"
_BASIC = {
    "bool": "bool",
    "int": "int",
    "int64": "int",
    "uint8": "int",
    "uint64": "int",
    "float64": "float",
    "complex128": "complex",
    "string": "string",
}


@function("not", "value")
def negate(value: Any) -> bool:
    """Return whether the value is empty."""
    return not value


@function("eq", "value value...", counted=True)
def equal(budget: Budget, left: Any, *rights: Any) -> bool:
    """Return whether the first value equals one of the others. Values of different kinds cannot be compared."""
    if not rights:
        raise GoError("missing argument for comparison")
    return any(_equal(budget, left, right) for right in rights)


def _equal(budget: Budget, left: Any, right: Any) -> bool:
    left_kind, right_kind = _BASIC.get(kind_name(left)), _BASIC.get(kind_name(right))
    if left_kind == right_kind:
        return bool(left == right) if left_kind else _equal_others(budget, left, right)
    if _is_nothing(left) or _is_nothing(right):
        return False
    raise GoError(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")


def _is_nothing(value: Any) -> bool:
    return value is None or value is INVALID


def _is_nil(value: Any) -> bool:
    return _is_nothing(value) or is_nil_collection(value)


def _equal_others(budget: Budget, left: Any, right: Any) -> bool:
    """Compare two values that are neither numbers, strings nor booleans: only with nil."""
    left_kind, right_kind = kind_name(left), kind_name(right)
    if left_kind != right_kind and not _is_nothing(left) and not _is_nothing(right):
        budget.visit(left)
        budget.visit(right)
        shown = sprintf("%s: %v, %s: %v", left, type_name(left), type_name(right), right)
        raise GoError(f"non-comparable types {shown}")
    if _is_nil(left) or _is_nil(right):
        return _is_nil(left) == _is_nil(right)
    if right_kind in {"map", "slice"}:
        budget.visit(right)
        raise GoError(f"non-comparable type {sprintf('%s', right)}: {type_name(right)}")
    return bool(left == right)


@function("ne", "value value", counted=True)
def differ(budget: Budget, left: Any, right: Any) -> bool:
    """Return whether two values differ."""
    return not _equal(budget, left, right)


@function("lt", "value value")
def less(left: Any, right: Any) -> bool:
    """Return whether the first value is smaller: of two numbers of the same kind, or of two strings."""
    if type(left) is type(right) and type(left) in (int, float):
        return bool(left < right)
    left_kind, right_kind = _BASIC.get(kind_name(left)), _BASIC.get(kind_name(right))
    if left_kind is None or right_kind is None:
        raise GoError(_BAD_TYPE)
    if left_kind != right_kind:
        raise GoError(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")
    if left_kind in {"bool", "complex"}:
        raise GoError(_BAD_TYPE)
    return bool(to_bytes(left) < to_bytes(right) if left_kind == "string" else left < right)


@function("le", "value value", counted=True)
def less_or_equal(budget: Budget, left: Any, right: Any) -> bool:
    """Return whether the first value is smaller or equal."""
    return less(left, right) or _equal(budget, left, right)


@function("gt", "value value", counted=True)
def greater(budget: Budget, left: Any, right: Any) -> bool:
    """Return whether the first value is greater."""
    return not less_or_equal(budget, left, right)


@function("ge", "value value")
def greater_or_equal(left: Any, right: Any) -> bool:
    """Return whether the first value is greater or equal."""
    return not less(left, right)
