"""Reports changed runs to processes that share a PostgreSQL database: NOTIFY, but never in a transaction of a run.

PostgreSQL commits transactions that contain a NOTIFY one after the other. Changes are therefore collected for a moment
and announced on a connection that does nothing else. A notification names runs only; who hears it reads their events.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any

import psycopg
import structlog

from compozy.database.changes import add_listener, remove_listener
from compozy.database.live_text import TextDelta, TextListener, add_text_listener, remove_text_listener
from compozy.database.postgres_servers import LOOK_S, DemotionCheck
from compozy.database.postgres_texts import (
    TEXT_CHANNEL,
    WATCH_CHANNEL,
    TextRequests,
    TextSender,
    payloads_of,
    read_texts,
)
from compozy.errors import DatabaseError

_log = structlog.get_logger(__name__)

CHANNEL = "compozy_events"
# Long enough to put a burst of commits into one notification, short enough not to be noticed.
_COLLECT_S = 0.05
# More notifications are replaced by one that names no run, which stands for all runs.
_NOTIFICATIONS_MAX = 10
_JOIN_S = 5.0

# The pause before a lost connection is opened again.
_AWAY_S = 1.0

Connect = Callable[[], "psycopg.Connection[Any]"]


class PostgresAnnouncer:
    """Announces the changes of this process, and the texts that others ask for, from its making to `close`.

    Args:
        connect: opens a connection that commits by itself.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._demotion = DemotionCheck()
        self._runs: set[str] = set()
        self._texts = TextSender()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._woken, self._wake = socket.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._work, name="compozy-announce", daemon=True)
        add_listener(self._note)
        add_text_listener(self._note_text)
        self._thread.start()

    def close(self) -> None:
        """Announce the rest, and end."""
        remove_listener(self._note)
        remove_text_listener(self._note_text)
        self._stopping.set()
        self._rouse()
        self._thread.join(_JOIN_S)

    def _note(self, runs: frozenset[str]) -> None:
        with self._lock:
            is_first = not self._runs
            self._runs |= runs
        if is_first:
            self._rouse()

    def _note_text(self, delta: TextDelta) -> None:
        if self._texts.add(delta):
            self._rouse()

    def _rouse(self) -> None:
        # A full buffer wakes the thread as well, and at its end it has closed both sockets.
        with suppress(OSError):
            self._wake.send(b".")

    def _work(self) -> None:
        is_stopping = False
        while not is_stopping:
            # Looked at before the rest is sent.
            is_stopping = self._stopping.is_set()
            try:
                self._turn(is_last=is_stopping)
            except psycopg.Error as error:
                # Streams also read the events every second.
                _log.debug("changes could not be announced", cause=str(error))
                self._close()
                self._stopping.wait(_AWAY_S)
        self._close()
        self._woken.close()
        self._wake.close()

    def _turn(self, *, is_last: bool) -> None:
        """Wait for something to announce or a request from another process, and announce what has collected."""
        if self._connection is None:
            self._connection = self._connect()
            self._connection.execute(f"LISTEN {WATCH_CHANNEL}".encode())
        if not is_last:
            wait_readable([self._connection, self._woken], timeout_s=LOOK_S)
            with suppress(BlockingIOError):
                if self._woken.recv(4096):
                    self._stopping.wait(_COLLECT_S)
        # Before anything is taken to be sent.
        self._demotion.look(self._connection)
        for notification in self._connection.notifies(timeout=0):
            self._texts.obey(notification.payload)
        # The end of an answer is announced before the end of its task.
        self._texts.send(self._send)
        with self._lock:
            runs, self._runs = self._runs, set()
        payloads = list(payloads_of(runs))
        for payload in payloads if len(payloads) <= _NOTIFICATIONS_MAX else [""]:
            self._send(CHANNEL, payload)

    def _send(self, channel: str, payload: str) -> None:
        assert self._connection is not None  # noqa: S101 - `_turn` opens it
        self._connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def wait_readable(files: Iterable[Any], *, timeout_s: float) -> None:
    """Wait at most so long until one of `files` can be read. Unlike `select`, it accepts descriptors above 1,023."""
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        selector.select(timeout_s)


class PostgresFeed:
    """Hears what other processes announce.

    Args:
        connect: opens a connection that commits by itself.
        hear_text: called with each piece of text of the watched runs.
    """

    def __init__(self, connect: Connect, hear_text: TextListener | None = None) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._demotion = DemotionCheck()
        self._hear_text = hear_text
        self._requests = TextRequests()
        self._watched: tuple[frozenset[str], Collection[str]] = (frozenset(), ())

    def watch(self, runs: frozenset[str], again: Collection[str]) -> None:
        """Ask for the texts of `runs`, and for those of the runs in `again` from their start."""
        self._watched = (runs, again)

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        """Return the runs that were announced, an empty set if any may have changed, None if nothing came in time."""
        try:
            if self._connection is None:
                self._open()
                # Changes before this moment were not heard.
                return frozenset()
            self._demotion.look(self._connection)
            if self._hear_text is not None:
                self._requests.ask(*self._watched, self._send)
            heard = list(self._connection.notifies(timeout=timeout_s, stop_after=1))
        except psycopg.Error as error:
            self.close()
            raise DatabaseError(f"cannot listen to changes: {error}") from error
        self._pass_on([notification.payload for notification in heard if notification.channel == TEXT_CHANNEL])
        changes = [notification.payload for notification in heard if notification.channel == CHANNEL]
        if not changes:
            return None
        return frozenset() if "" in changes else frozenset(run for payload in changes for run in payload.split("\n"))

    def _pass_on(self, payloads: Iterable[str]) -> None:
        for text in (text for payload in payloads for text in read_texts(payload)):
            if self._hear_text is not None:
                self._hear_text(text)

    def _open(self) -> None:
        self._connection = self._connect()
        for channel in (CHANNEL, TEXT_CHANNEL) if self._hear_text is not None else (CHANNEL,):
            self._connection.execute(f"LISTEN {channel}".encode())
        self._requests.forget()

    def _send(self, channel: str, payload: str) -> None:
        assert self._connection is not None  # noqa: S101 - `wait` opens it
        self._connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
