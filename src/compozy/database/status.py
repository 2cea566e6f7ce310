"""The states of a run or a task, and which state may follow which."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """State of a run or of one of its tasks."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    PAUSED = "PAUSED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELED = "CANCELED"
    # A run that `compozy db export --move` took out of this database; it goes on in the one that it is imported into.
    MOVED = "MOVED"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return not MOVES[self]


_ENDS = frozenset({Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED, Status.MOVED})
MOVES: dict[Status, frozenset[Status]] = {
    # A run that waits for a free place may still be stopped, and may fail before its first task.
    Status.PENDING: frozenset({Status.RUNNING, Status.PAUSED}) | (_ENDS - {Status.SUCCESS}),
    Status.RUNNING: frozenset({Status.WAITING, Status.PAUSED}) | _ENDS,
    Status.WAITING: frozenset({Status.RUNNING, Status.PAUSED}) | _ENDS,
    Status.PAUSED: frozenset(
        {Status.PENDING, Status.RUNNING, Status.WAITING, Status.CANCELED, Status.TIMED_OUT, Status.MOVED}
    ),
    Status.SUCCESS: frozenset(),
    Status.FAILED: frozenset(),
    Status.TIMED_OUT: frozenset(),
    Status.CANCELED: frozenset(),
    Status.MOVED: frozenset(),
}
OPEN = tuple(status for status in Status if MOVES[status])
FINAL = tuple(status for status in Status if not MOVES[status])


def may_follow(before: Status, after: Status) -> bool:
    """Return whether a run or a task in state `before` may go to state `after`."""
    return after in MOVES[before]


def sources_of(after: Status) -> tuple[Status, ...]:
    """Return the states from which `after` may be reached, for guarded updates."""
    return tuple(status for status in Status if after in MOVES[status])
