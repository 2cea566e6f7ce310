"""Resource limits of one rendering, and their accounting."""

from __future__ import annotations

from dataclasses import dataclass
from time import thread_time
from typing import Any, cast

from compozy.template.values import LimitError, weigh
from compozy.turn import current_turn


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of one rendering.

    `built` counts the characters and items that functions make on the way; `walked` is the longest text for functions
    that look at each character; `values` counts the items that functions visit inside of lists and maps. Seconds are of
    processor time, so that other threads do not shorten them.
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
# Larger values leave the event loop before they are copied or written.
_LARGE_VALUES = 2000
_LARGE_TEXT = 500_000


class Budget:
    """Counts what one rendering uses; each method raises LimitError once a bound is passed."""

    __slots__ = ("built", "deadline", "iterations", "limits", "turn", "values")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.built = 0
        self.iterations = 0
        self.values = 0
        self.turn = current_turn()
        self.deadline = thread_time() + limits.time_s

    def build(self, size: int) -> None:
        """Count `size` characters before a function makes them."""
        if size > self.limits.output:
            raise LimitError(f"text of more than {self.limits.output} characters")
        self.built += size
        if self.built > self.limits.built:
            raise LimitError(f"functions made more than {self.limits.built} characters in one rendering")
        if size > _LARGE_TEXT:
            self.turn.leave_loop()
        self.check_time()

    def build_items(self, count: int) -> None:
        """Count `count` items of a list before a function makes them."""
        if count > self.limits.items:
            raise LimitError(f"a list of more than {self.limits.items} items")
        if count > _LARGE_VALUES:
            self.turn.leave_loop()
        self.build(count)

    def walk(self, size: int) -> None:
        """Refuse a text that is too long to look at each character."""
        if size > self.limits.walked:
            raise LimitError(f"text of more than {self.limits.walked} characters, each of which is looked at")
        if size > _LARGE_TEXT:
            self.turn.leave_loop()
        self.check_time()

    def visit(self, value: Any, *, times: int = 1) -> None:
        """Count the items of a list or map before a function visits them, those that are shared as often as they occur.

        `times` is how often the function visits each of them.
        """
        if not isinstance(value, (list, dict)):
            return
        count, characters = self.weigh(cast("Any", value))
        if characters * times > self.limits.output:
            raise LimitError(f"a value whose texts have more than {self.limits.output} characters together")
        self._count_values(count * times)
        self.check_time()

    def weigh(self, value: list[Any] | dict[str, Any]) -> tuple[int, int]:
        """Return how many values and characters a list or map holds; large ones leave the event loop."""
        count, characters = weigh(value, self.check_time)
        if count > _LARGE_VALUES or characters > _LARGE_TEXT:
            self.turn.leave_loop()
        return count, characters

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
        if size > _LARGE_TEXT:
            self.turn.leave_loop()

    def check_time(self) -> None:
        """Refuse to continue after the deadline."""
        self.turn.look()
        if thread_time() > self.deadline:
            raise LimitError(f"rendering took longer than {self.limits.time_s:g} s")

    def count_iterations(self, count: int) -> None:
        """Count rounds of loops and calls of templates."""
        self.iterations += count
        if self.iterations > self.limits.iterations:
            raise LimitError(f"more than {self.limits.iterations} rounds of loops in one rendering")
        self.check_time()

    def regex_time_s(self) -> float:
        """Return the time that one regular expression may take now."""
        self.check_time()
        return max(min(self.deadline - thread_time(), self.limits.regex_s, self.turn.left_s()), 0.001)
