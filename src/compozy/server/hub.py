"""Wakes the streams of a server when the events of their runs grow: by this process, or by another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from compozy.database.changes import add_listener, remove_listener
from compozy.database.database import Database
from compozy.errors import DatabaseError

_log = structlog.get_logger(__name__)

# How soon the thread notices that the last stream has ended, and its pause while the database is away.
_FEED_WAIT_S = 0.25
_AWAY_S = 1.0


@dataclass(eq=False, kw_only=True)
class Watch:
    """The runs of one stream, and which of them changed since they were last read."""

    runs: frozenset[str]
    changed: set[str] = field(default_factory=set[str])
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> set[str]:
        """Return the runs to read again, and forget them."""
        changed, self.changed = self.changed, set()
        self.woken.clear()
        return changed

    def note(self, runs: Collection[str]) -> None:
        """Note changed runs; an empty collection stands for all."""
        changed = self.runs.intersection(runs) if runs else self.runs
        if changed:
            self.changed |= changed
            self.woken.set()


class Hub:
    """All streams of a server. It watches the database for as long as there is a stream.

    Args:
        database: the database of the server.
        stopping: set when the server stops, which ends all waits.
    """

    def __init__(self, database: Database, stopping: asyncio.Event) -> None:
        self._database = database
        self._stopping = stopping
        self._watches: set[Watch] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._feed_end: threading.Event | None = None

    @property
    def has_streams(self) -> bool:
        """Whether a client is being served."""
        return bool(self._watches)

    @contextmanager
    def watching(self, runs: Collection[str]) -> Generator[Watch, None, None]:
        """Watch `runs` until the block ends; all of them count as changed at first."""
        watch = Watch(runs=frozenset(runs), changed=set(runs))
        if not self._watches:
            self._begin()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            if not self._watches:
                self._end()

    async def wait(self, watch: Watch, timeout_s: float) -> bool:
        """Wait for a change, at most `timeout_s`; return False if the server stops."""
        woken, stopping = asyncio.create_task(watch.woken.wait()), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({woken, stopping}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            stopping.cancel()
        return not self._stopping.is_set()

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        add_listener(self._hear)
        end = self._feed_end = threading.Event()
        threading.Thread(target=self._follow_feed, args=(end,), name="compozy-feed", daemon=True).start()

    def _end(self) -> None:
        remove_listener(self._hear)
        if self._feed_end is not None:
            self._feed_end.set()

    def _hear(self, runs: frozenset[str]) -> None:
        """Pass changes on to the event loop; called by any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, runs)

    def _wake(self, runs: frozenset[str]) -> None:
        for watch in self._watches:
            watch.note(runs)

    def _follow_feed(self, end: threading.Event) -> None:
        feed = self._database.driver.open_feed(self._database.settings)
        if feed is None:
            return
        while not end.is_set():
            try:
                runs = feed.wait(_FEED_WAIT_S)
            except DatabaseError as error:
                # The streams read the database every second by themselves.
                _log.debug("changes of other processes are not heard for now", cause=error.message)
                end.wait(_AWAY_S)
                continue
            if runs is not None:
                self._hear(runs)
        feed.close()
