"""Which runs got new events: noted within a transaction, and published to this process after its commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Protocol

Listener = Callable[[frozenset[str]], None]

_listeners: list[Listener] = []


class _Noted(threading.local):
    """Runs that the transaction of this thread changed; a transaction stays on one thread."""

    def __init__(self) -> None:
        self.runs: set[str] = set()


_noted = _Noted()


class ChangeFeed(Protocol):
    """Changes by other processes, as the database reports them; used by one thread."""

    def watch(self, runs: frozenset[str], again: Collection[str]) -> None:
        """Ask for the texts that other processes write in `runs`, and in `again` for the texts from their start.

        It is called before each `wait`. A file cannot be written by other processes, so nothing is asked for there.
        """
        ...

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        """Return the runs that changed, an empty set if any run may have changed, None if nothing happened in time.

        Raises:
            DatabaseError: the database cannot be reached. The next call tries again.
        """
        ...

    def close(self) -> None:
        """Close its connection."""
        ...


class Announcer(Protocol):
    """Reports the runs that this process changed to other processes, after their commits."""

    def close(self) -> None:
        """Announce the rest, and end."""
        ...


def note_change(run_id: str) -> None:
    """Note that the transaction of this thread adds events to a run."""
    if _listeners:
        _noted.runs.add(run_id)


def publish_changes() -> None:
    """Report the noted runs to the listeners; called after each commit."""
    if not _noted.runs:
        return
    # After a transaction that failed, its runs are still noted. One report too many does no harm.
    runs, _noted.runs = frozenset(_noted.runs), set()
    for listener in tuple(_listeners):
        listener(runs)


def add_listener(listener: Listener) -> None:
    """Call `listener` with the runs of each commit of this process, on the thread of the commit."""
    _listeners.append(listener)


def remove_listener(listener: Listener) -> None:
    """Undo `add_listener`."""
    _listeners.remove(listener)
