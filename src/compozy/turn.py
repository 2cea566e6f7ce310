"""How long a computation over data from outside runs where it began: a moment on the event loop, longer in a worker.

A computation looks at its turn from time to time. On the event loop it ends early and is repeated in a worker, so that
nothing else waits for it. A command takes the turn of a worker where nothing else waits.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time

from compozy.errors import ExpressionError

LOOP_S = 0.005
WORKER_S = 60.0


class TurnOverError(Exception):
    """The computation took its whole turn. Never ignored, not even by `||`."""


class Turn:
    """The processor time of one computation, counted from the start of the turn in the thread that computes.

    Args:
        time_s: seconds of processor time.
        is_on_loop: whether the computation holds the event loop, and can be repeated in a worker.
    """

    __slots__ = ("_ends_s", "_is_ended", "_time_s", "is_on_loop")

    def __init__(self, time_s: float, *, is_on_loop: bool = False) -> None:
        self._time_s = time_s
        self._ends_s = math.inf
        self._is_ended = False
        self.is_on_loop = is_on_loop

    @contextmanager
    def taken(self) -> Generator[None]:
        """Let what the block computes look at this turn."""
        self._ends_s = thread_time() + self._time_s
        token = _turn.set(self)
        try:
            yield
        finally:
            _turn.reset(token)

    def look(self) -> None:
        """End the computation once the turn is over.

        Raises:
            TurnOverError: on the event loop, or the caller was canceled.
            ExpressionError: in a worker.
        """
        if self._is_ended:
            raise TurnOverError
        if thread_time() > self._ends_s:
            self.leave_loop()
            raise ExpressionError(
                f"templates and conditions that are evaluated together take longer than {self._time_s:g} s",
                name="expression",
                hint="prepare the data in a tool or in smaller collections",
            )

    def leave_loop(self) -> None:
        """Raise TurnOverError on the event loop: what comes next may be long, and cannot be interrupted."""
        if self.is_on_loop:
            raise TurnOverError

    def left_s(self) -> float:
        """Return the remaining seconds, at least a millisecond."""
        return max(self._ends_s - thread_time(), 0.001)

    def end(self) -> None:
        """End the turn, from any thread, because the caller was canceled."""
        self._is_ended = True


_ENDLESS = Turn(math.inf)
_turn: ContextVar[Turn] = ContextVar("turn")


def current_turn() -> Turn:
    """Return the turn of what computes now; without one, a turn that never ends."""
    return _turn.get(_ENDLESS)
