"""What is wrong with a JSON Schema, or with a value that it describes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """`message` says what is wrong with the value at `path`; () is the whole. `at_key`: with its key."""

    path: tuple[str | int, ...]
    message: str
    at_key: bool = False

    @property
    def dotted(self) -> str:
        """Return the path as people write it: `items[0].name`, "" for the whole."""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return text.removeprefix(".")

    def __str__(self) -> str:
        """Return `path: message`."""
        return f"{self.dotted}: {self.message}" if self.path else self.message
