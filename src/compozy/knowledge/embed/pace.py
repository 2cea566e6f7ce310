"""How many texts one call of an embedder is given: few at first, so that a slow one shows how far it is."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from compozy.clock import monotonic_s

_FIRST = 8
_LARGEST = 2048
_SLOW_S = 5.0


class Pace:
    """Doubles the number of texts as long as calls are quick; an embedder's own `batch_size` is the limit.

    Attributes:
        texts: how many the next call should be given.
    """

    def __init__(self) -> None:
        self.texts = _FIRST

    @contextmanager
    def measured(self) -> Generator[None, None, None]:
        """Measure a call that embeds `texts` texts."""
        begun_s = monotonic_s()
        yield
        if monotonic_s() - begun_s < _SLOW_S:
            self.texts = min(self.texts * 2, _LARGEST)
