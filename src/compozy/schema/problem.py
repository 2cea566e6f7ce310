"""A problem of a JSON Schema, or of a value that it describes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """`message` says what is wrong with the value at `path`; () is the whole value. `at_key`: with its key."""

    path: tuple[str | int, ...]
    message: str
    at_key: bool = False

    @property
    def dotted(self) -> str:
        """Return the path in dotted form: `items[0].name`, "" for the whole value."""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return text.removeprefix(".")

    def __str__(self) -> str:
        """Return `path: message`."""
        return f"{self.dotted}: {self.message}" if self.path else self.message
