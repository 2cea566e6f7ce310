"""Time that only the test advances."""

from __future__ import annotations

import asyncio

from compozy.model.limits import Pace


class HeldTime:
    """A clock that advances by each sleep and records the sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []

    def pace(self) -> Pace:
        return Pace(monotonic_s=lambda: self.now_s, sleep=self.sleep, jitter=lambda seconds: seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(round(seconds, 3))
        self.now_s += seconds
        await asyncio.sleep(0)
