"""Limits of requests per client: token buckets in the memory of this process."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from compozy.clock import monotonic_s
from compozy.errors import RateLimitError

# Clients that are remembered; the one that was not seen for the longest time is forgotten first.
_MAX_CLIENTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Rate:
    """At most `limit` requests immediately, and as many in each `period_s` seconds."""

    limit: int
    period_s: float


@dataclass(kw_only=True)
class RateLimiter:
    """One bucket of tokens per client; None as the rate sets no limit."""

    rate: Rate | None
    what: str
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict[str, tuple[float, float]])

    def take(self, client: str) -> None:
        """Take a token of a client.

        Raises:
            RateLimitError: none is left; it says when there is one again.
        """
        if self.rate is None:
            return
        now_s = monotonic_s()
        per_s = self.rate.limit / self.rate.period_s
        tokens, seen_s = self._buckets.pop(client, (float(self.rate.limit), now_s))
        tokens = min(float(self.rate.limit), tokens + (now_s - seen_s) * per_s)
        is_left = tokens >= 1
        self._buckets[client] = (tokens - is_left, now_s)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not is_left:
            wait_s = math.ceil((1 - tokens) / per_s)
            raise RateLimitError(
                f"too many requests from this {self.what}: the limit is {self.rate.limit} in {self.rate.period_s:g} s",
                hint=f"try again in {wait_s} s",
                retry_after_s=wait_s,
            )

    def give_back(self, client: str) -> None:
        """Return the last token of a client, for a request that does not count."""
        if client in self._buckets:
            tokens, seen_s = self._buckets[client]
            self._buckets[client] = (tokens + 1, seen_s)
