"""Resource limits of one rendering, and their accounting."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

from compozy.template.values import LimitError, weigh


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of one rendering.

    `built` counts the characters and items that functions make on the way; `walked` is the longest text for functions
    that look at each character; `values` counts the items that functions visit inside of lists and maps.
    """

    output: int = 10 * 1024 * 1024
    built: int = 50 * 1024 * 1024
    items: int = 250_000
    walked: int = 1_000_000
    values: int = 1_000_000
    iterations: int = 250_000
    depth: int = 100
    time_s: float = 1.0
    regex_s: float = 0.5


DEFAULT_LIMITS = Limits()
_LOOK_EVERY = 1024


class Budget:
    """Counts what one rendering uses; each method raises LimitError once a bound is passed."""

    __slots__ = ("built", "deadline", "iterations", "limits", "values")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.built = 0
        self.iterations = 0
        self.values = 0
        self.deadline = perf_counter() + limits.time_s

    def build(self, size: int) -> None:
        """Count `size` characters before a function makes them."""
        if size > self.limits.output:
            raise LimitError(f"text of more than {self.limits.output} characters")
        self.built += size
        if self.built > self.limits.built:
            raise LimitError(f"functions made more than {self.limits.built} characters in one rendering")
        self.check_time()

    def build_items(self, count: int) -> None:
        """Count `count` items of a list before a function makes them."""
        if count > self.limits.items:
            raise LimitError(f"a list of more than {self.limits.items} items")
        self.build(count)

    def walk(self, size: int) -> None:
        """Refuse a text that is too long to look at each character."""
        if size > self.limits.walked:
            raise LimitError(f"text of more than {self.limits.walked} characters, each of which is looked at")
        self.check_time()

    def visit(self, value: Any, *, times: int = 1) -> None:
        """Count the items of a list or map before a function visits them, those that are shared as often as they occur.

        `times` is how often the function visits each of them.
        """
        if not isinstance(value, (list, dict)):
            return
        count, characters = weigh(value)
        if characters * times > self.limits.output:
            raise LimitError(f"a value whose texts have more than {self.limits.output} characters together")
        self._count_values(count * times)
        self.check_time()

    def visit_one(self) -> None:
        """Count one item that a function visits."""
        self._count_values(1)
        if self.values % _LOOK_EVERY == 0:
            self.check_time()

    def _count_values(self, count: int) -> None:
        self.values += count
        if self.values > self.limits.values:
            raise LimitError(f"functions visit more than {self.limits.values} items of lists and maps in one rendering")

    def check_output(self, size: int) -> None:
        """Refuse an output of more than the bound."""
        if size > self.limits.output:
            raise LimitError(f"the output is longer than {self.limits.output} characters")

    def check_time(self) -> None:
        """Refuse to continue after the deadline."""
        if perf_counter() > self.deadline:
            raise LimitError(f"rendering took longer than {self.limits.time_s:g} s")

    def count_iterations(self, count: int) -> None:
        """Count rounds of loops and calls of templates."""
        self.iterations += count
        if self.iterations > self.limits.iterations:
            raise LimitError(f"more than {self.limits.iterations} rounds of loops in one rendering")
        self.check_time()

    def regex_time_s(self) -> float:
        """Return the time that one regular expression may take now."""
        left = self.deadline - perf_counter()
        if left <= 0:
            self.check_time()
        return max(min(left, self.limits.regex_s), 0.001)
