"""Limits of the part of a conversation that a model is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Largest part of a conversation that a model is sent; None for no limit."""

    tokens: int | None = None
    messages: int | None = None

    def without(self, tokens: int) -> Limits:
        """Return the limits for what is sent besides a text of `tokens`."""
        return self if self.tokens is None else Limits(tokens=max(0, self.tokens - tokens), messages=self.messages)

    def scaled(self, share: float) -> Limits:
        """Return a share of the limits."""
        return Limits(
            tokens=None if self.tokens is None else int(self.tokens * share),
            messages=None if self.messages is None else int(self.messages * share),
        )

    def allow(self, messages: int, tokens: int) -> bool:
        """Return whether so much fits."""
        return (self.messages is None or messages <= self.messages) and (self.tokens is None or tokens <= self.tokens)
