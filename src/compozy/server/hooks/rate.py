"""A limit of requests per minute for each client address, in this process."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from compozy.clock import monotonic_s
from compozy.errors import RateLimitError

_MINUTE_S = 60.0
# The addresses that were seen last; an address that is forgotten starts with a full bucket.
_MAX_ADDRESSES = 10_000


@dataclass(kw_only=True)
class RateLimit:
    """Token buckets: `per_minute` requests in a burst, then as many as time refills."""

    per_minute: int
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict[str, tuple[float, float]])

    def take(self, address: str) -> None:
        """Count a request.

        Raises:
            RateLimitError: the address has sent too many.
        """
        now_s = monotonic_s()
        tokens, seen_s = self._buckets.pop(address, (float(self.per_minute), now_s))
        tokens = min(self.per_minute, tokens + (now_s - seen_s) * self.per_minute / _MINUTE_S)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, now_s)
        if len(self._buckets) > _MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        if not allowed:
            wait_s = math.ceil((1 - tokens) * _MINUTE_S / self.per_minute)
            raise RateLimitError(f"more than {self.per_minute} requests per minute", retry_after_s=max(1, wait_s))
