"""The states of runs and tasks, and the allowed transitions."""

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
    # A run that `compozy db export --move` took out of this database; it continues where it is imported.
    MOVED = "MOVED"

    @property
    def is_final(self) -> bool:
        """Whether the state is final."""
        return not MOVES[self]


_ENDS = frozenset({Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED, Status.MOVED})
MOVES: dict[Status, frozenset[Status]] = {
    # A run that waits for a free slot can still be stopped, and can fail before its first task.
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
    """Return whether a run or task in state `before` may change to state `after`."""
    return after in MOVES[before]


def sources_of(after: Status) -> tuple[Status, ...]:
    """Return the states from which `after` can be reached, for guarded updates."""
    return tuple(status for status in Status if after in MOVES[status])
