"""Resource limits of one evaluation, and their accounting."""

from __future__ import annotations

from dataclasses import dataclass

from compozy.clock import processor_s
from compozy.turn import current_turn

MAX_LENGTH = 10_000
"""Maximum characters of an expression."""
MAX_NESTING = 32
"""Maximum nesting of parentheses, lists, maps, calls and macros."""
_LOOK_EVERY = 256
# Larger values leave the event loop before they are created.
_LARGE = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of one evaluation: evaluated parts, created characters and items, seconds of processor time."""

    steps: int = 250_000
    built: int = 10_000_000
    walked: int = 1_000_000
    time_s: float = 1.0
    regex_s: float = 0.5


DEFAULT_LIMITS = Limits()


class Exhausted(Exception):
    """A limit was exceeded. Never ignored, not even by `||`."""


class Budget:
    """Counts the resources of one evaluation; each method raises Exhausted when a limit is exceeded."""

    __slots__ = ("built", "deadline_s", "limits", "look_at", "steps", "turn")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.steps = 0
        self.built = 0
        self.look_at = _LOOK_EVERY
        self.turn = current_turn()
        self.deadline_s = processor_s() + limits.time_s

    def spend(self, steps: int = 1) -> None:
        """Count evaluated parts, or compared values."""
        self.steps += steps
        if self.steps < self.look_at:
            return
        self.look_at = self.steps + _LOOK_EVERY
        if self.steps > self.limits.steps:
            raise Exhausted(f"the expression takes more than {self.limits.steps} steps")
        self.left_s()

    def build(self, size: int) -> None:
        """Count characters or items before they are created."""
        self.built += size
        if self.built > self.limits.built:
            raise Exhausted(f"the expression creates more than {self.limits.built} characters and items")
        if size > _LARGE:
            self.turn.leave_loop()

    def walk(self, size: int) -> None:
        """Refuse a text that is too long to scan."""
        if size > self.limits.walked:
            raise Exhausted(f"text of more than {self.limits.walked} characters is too long to scan")
        self.left_s()

    def left_s(self) -> float:
        """Return the remaining seconds."""
        self.turn.look()
        left = self.deadline_s - processor_s()
        if left <= 0:
            raise Exhausted(f"the expression takes longer than {self.limits.time_s:g} s")
        return left

    def regex_s(self) -> float:
        """Return the seconds that a regular expression may take now."""
        return max(min(self.left_s(), self.limits.regex_s, self.turn.left_s()), 0.001)
