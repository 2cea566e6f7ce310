"""Sprig's arithmetic: whole numbers wrap at 64 bits, the functions with an f are decimal."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from functools import reduce
from typing import Any

from compozy.template.functions.conversions import as_float, as_int
from compozy.template.functions.registry import function
from compozy.template.limits import Budget
from compozy.template.printing import show_float
from compozy.template.values import GoError, Int64, Ints, wrap_int

_DIVISION_DIGITS = Decimal(1).scaleb(-16)


@function("add1", "any")
def increment(value: Any) -> Int64:
    """Return the number plus 1."""
    return wrap_int(as_int(value) + 1)


@function("add", "any...")
def add(*values: Any) -> Int64:
    """Return the sum."""
    return wrap_int(sum(map(as_int, values)))


@function("sub", "any any")
def subtract(left: Any, right: Any) -> Int64:
    """Return the difference."""
    return wrap_int(as_int(left) - as_int(right))


@function("mul", "any any...")
def multiply(value: Any, *others: Any) -> Int64:
    """Return the product."""
    return reduce(lambda left, right: wrap_int(left * as_int(right)), others, Int64(as_int(value)))


@function("div", "any any")
def divide(left: Any, right: Any) -> Int64:
    """Return the quotient, cut towards zero."""
    number, divisor = as_int(left), as_int(right)
    if divisor == 0:
        raise GoError("runtime error: integer divide by zero")
    quotient = abs(number) // abs(divisor)
    return wrap_int(quotient if (number < 0) == (divisor < 0) else -quotient)


@function("mod", "any any")
def remainder(left: Any, right: Any) -> Int64:
    """Return the rest of the division, with the sign of the first number."""
    number, divisor = as_int(left), as_int(right)
    if divisor == 0:
        raise GoError("runtime error: integer divide by zero")
    rest = abs(number) % abs(divisor)
    return wrap_int(-rest if number < 0 else rest)


@function("max biggest", "any any...")
def largest(value: Any, *others: Any) -> Int64:
    """Return the largest of the whole numbers."""
    return Int64(max(map(as_int, (value, *others))))


@function("min", "any any...")
def smallest(value: Any, *others: Any) -> Int64:
    """Return the smallest of the whole numbers."""
    return Int64(min(map(as_int, (value, *others))))


@function("maxf", "any any...")
def largest_float(value: Any, *others: Any) -> float:
    """Return the largest of the numbers."""
    return _choose(max, value, others)


@function("minf", "any any...")
def smallest_float(value: Any, *others: Any) -> float:
    """Return the smallest of the numbers."""
    return _choose(min, value, others)


def _choose(choose: Callable[[list[float]], float], value: Any, others: tuple[Any, ...]) -> float:
    numbers = list(map(as_float, (value, *others)))
    return math.nan if any(map(math.isnan, numbers)) else choose(numbers)


def _decimal(value: Any) -> Decimal:
    number = as_float(value)
    if not math.isfinite(number):
        raise GoError(f"Cannot create a Decimal from {show_float(number)}")
    return Decimal(repr(number))


def _fold(change: Callable[[Decimal, Decimal], Decimal], first: Decimal, others: tuple[Any, ...]) -> float:
    with localcontext(Context(prec=2000, Emax=999999, Emin=-999999)):
        return float(reduce(lambda left, right: change(left, _decimal(right)), others, first)) + 0.0  # never -0


@function("add1f", "any")
def increment_float(value: Any) -> float:
    """Return the number plus 1."""
    return _fold(lambda left, right: left + right, _decimal(value), (1,))


@function("addf", "any...")
def add_floats(*values: Any) -> float:
    """Return the sum."""
    return _fold(lambda left, right: left + right, Decimal(0), values)


@function("subf", "any any...")
def subtract_floats(value: Any, *others: Any) -> float:
    """Return the first number less the others."""
    return _fold(lambda left, right: left - right, _decimal(value), others)


@function("mulf", "any any...")
def multiply_floats(value: Any, *others: Any) -> float:
    """Return the product."""
    return _fold(lambda left, right: left * right, _decimal(value), others)


@function("divf", "any any...")
def divide_floats(value: Any, *others: Any) -> float:
    """Return the first number divided by the others, to 16 digits behind the point."""
    return _fold(_divide, _decimal(value), others)


def _divide(left: Decimal, right: Decimal) -> Decimal:
    if not right:
        raise GoError("decimal division by 0")
    return (left / right).quantize(_DIVISION_DIGITS, rounding=ROUND_HALF_UP)


@function("floor", "any")
def floor(value: Any) -> float:
    """Return the number rounded down, as a float."""
    return _round_with(math.floor, as_float(value))


@function("ceil", "any")
def ceil(value: Any) -> float:
    """Return the number rounded up, as a float."""
    return _round_with(math.ceil, as_float(value))


def _round_with(change: Callable[[float], int], number: float) -> float:
    return math.copysign(float(change(number)), number) if math.isfinite(number) else number


@function("round", "any int float64...")
def round_number(value: Any, places: int, *at: float) -> float:
    """Return the number rounded to `places` digits; `at` is the fraction from which it is rounded up."""
    number = as_float(value)
    try:
        power = math.pow(10, places)
    except OverflowError:
        power = math.inf
    digit = power * number
    if not math.isfinite(digit):
        return math.nan if math.isnan(digit) or math.isinf(power) else digit / power
    up = math.modf(digit)[0] >= (at[0] if at else 0.5)
    rounded = _round_with(math.ceil if up else math.floor, digit)
    return rounded / power if power else math.nan if not rounded else math.copysign(math.inf, rounded)


@function("until", "int", counted=True)
def until(budget: Budget, count: int) -> Ints:
    """Return the whole numbers from 0 to before `count`."""
    return until_step(budget, 0, count, -1 if count < 0 else 1)


@function("untilStep", "int int int", counted=True)
def until_step(budget: Budget, start: int, stop: int, step: int) -> Ints:
    """Return the whole numbers from `start` to before `stop`."""
    if (stop < start and step >= 0) or (stop >= start and step <= 0):
        return Ints()
    numbers = range(start, stop, step)
    budget.build_items(len(numbers) if abs(stop - start) < 1 << 62 else 1 << 62)
    return Ints(numbers)


@function("seq", "int...", counted=True)
def sequence(budget: Budget, *bounds: int) -> str:
    """Return numbers as text, like the command of that name: last, or first and last, or first, step and last."""
    if not bounds or len(bounds) > 3:
        return ""
    numbers = list(bounds)
    first, last = (1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[-1])
    down = last < first
    step = numbers[1] if len(numbers) == 3 else (-1 if down else 1)
    if len(numbers) == 3 and down and step > 0:
        return ""
    return " ".join(map(str, until_step(budget, first, last + (-1 if down else 1), step)))
