"""Reports changed runs to processes that share a PostgreSQL database: NOTIFY, but never in a transaction of a run.

PostgreSQL commits transactions that contain a NOTIFY one after the other. Changes are therefore collected for a moment
and announced on a connection that does nothing else. A notification names runs only; who hears it reads their events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psycopg
import structlog

from compozy.database.changes import add_listener, remove_listener
from compozy.errors import DatabaseError

_log = structlog.get_logger(__name__)

CHANNEL = "compozy_events"
# Long enough to put a burst of commits into one notification, short enough not to be noticed.
_COLLECT_S = 0.05
# PostgreSQL allows 8,000 bytes. An execution ID has at most 128.
_PAYLOAD_MAX = 7000
# More notifications are replaced by one that names no run, which stands for all runs.
_NOTIFICATIONS_MAX = 10
_JOIN_S = 5.0

Connect = Callable[[], "psycopg.Connection[Any]"]


class PostgresAnnouncer:
    """Announces the changes of this process, from its making to `close`.

    Args:
        connect: opens a connection that commits by itself; called for the first change.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._runs: set[str] = set()
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="compozy-announce", daemon=True)
        add_listener(self._note)
        self._thread.start()

    def close(self) -> None:
        """Announce the rest, and end."""
        remove_listener(self._note)
        self._stopping.set()
        self._changed.set()
        self._thread.join(_JOIN_S)

    def _note(self, runs: frozenset[str]) -> None:
        with self._lock:
            self._runs |= runs
        self._changed.set()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait()
            self._stopping.wait(_COLLECT_S)
            self._changed.clear()
            with self._lock:
                runs, self._runs = self._runs, set()
            if runs:
                self._announce(runs)
        if self._connection is not None:
            self._connection.close()

    def _announce(self, runs: Iterable[str]) -> None:
        payloads = list(payloads_of(runs))
        if len(payloads) > _NOTIFICATIONS_MAX:
            payloads = [""]
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            for payload in payloads:
                self._connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
        except psycopg.Error as error:
            # Streams also read the events every second.
            _log.debug("changes could not be announced", cause=str(error))
            if self._connection is not None:
                self._connection.close()


class PostgresFeed:
    """Hears what other processes announce.

    Args:
        connect: opens a connection that commits by itself.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        """Return the runs that were announced, an empty set if any may have changed, None if nothing came in time."""
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.execute(f"LISTEN {CHANNEL}".encode())
                # Changes before this moment were not heard.
                return frozenset()
            heard = [found.payload for found in self._connection.notifies(timeout=timeout_s, stop_after=1)]
        except psycopg.Error as error:
            self.close()
            raise DatabaseError(f"cannot listen to changes: {error}") from error
        if not heard:
            return None
        return frozenset() if "" in heard else frozenset(run for payload in heard for run in payload.split("\n"))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def payloads_of(runs: Iterable[str]) -> Iterator[str]:
    """Yield the IDs of runs, one on a line, in texts that fit into a notification."""
    lines: list[str] = []
    size = 0
    for run in sorted(runs):
        if lines and size + len(run) + 1 > _PAYLOAD_MAX:
            yield "\n".join(lines)
            lines, size = [], 0
        lines.append(run)
        size += len(run) + 1
    if lines:
        yield "\n".join(lines)
