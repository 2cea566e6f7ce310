"""What one rendering may use up, and the counting of it."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from compozy.template.values import LimitError


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of one rendering.

    `built` counts the characters and items that functions make on the way; `walked` is the longest text for functions
    that look at each character.
    """

    output: int = 10 * 1024 * 1024
    built: int = 50 * 1024 * 1024
    items: int = 250_000
    walked: int = 1_000_000
    iterations: int = 250_000
    depth: int = 100
    time_s: float = 1.0
    regex_s: float = 0.5


DEFAULT_LIMITS = Limits()


class Budget:
    """Counts what one rendering uses; each method raises LimitError once a bound is passed."""

    __slots__ = ("built", "deadline", "iterations", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.built = 0
        self.iterations = 0
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

    def check_output(self, size: int) -> None:
        """Refuse an output of more than the bound."""
        if size > self.limits.output:
            raise LimitError(f"the output is longer than {self.limits.output} characters")

    def check_time(self) -> None:
        """Refuse to go on behind the deadline."""
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
