"""Wakes the streams of a server when their runs have new events or text: by this process, or by another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any

import structlog

from compozy.clock import monotonic_s
from compozy.database.changes import ChangeFeed, add_listener, remove_listener
from compozy.database.database import Database
from compozy.database.events import list_last_numbers
from compozy.database.live_text import (
    ANY_RUN,
    TextDelta,
    add_text_listener,
    is_followed,
    remove_text_listener,
    texts_of,
    unwatch_texts,
    watch_texts,
)
from compozy.errors import DatabaseError
from compozy.server.event_reader import EventReader, Pages
from compozy.server.texts import Texts
from compozy.server.watch import Watch
from compozy.telemetry.metrics import SSE_CLIENTS

_log = structlog.get_logger(__name__)

# How soon the thread notices that the last stream has ended, and its pause while the database is away.
_FEED_WAIT_S = 0.25
_AWAY_S = 1.0
# How long the end of the server waits for that thread, whose query may be waiting for the database.
_FEED_END_S = 5.0
# How often a missing piece of text is asked for.
_ASK_AGAIN_S = 1.0


class Hub:
    """All streams of a server. It watches the database for as long as there is a stream.

    Args:
        database: the database of the server.
        stopping: set when the server stops, which ends all waits.
    """

    def __init__(self, database: Database, stopping: asyncio.Event) -> None:
        self._database = database
        self._stopping = stopping
        self._reader = EventReader(database)
        self._watches: set[Watch] = set()
        # Also read by threads that commit, which only report runs that are watched.
        self._watches_of: dict[str, set[Watch]] = {}
        self._texts = Texts()
        # Read by the thread of the feed: runs whose text is read, and those of which a piece is missing.
        self._read_runs: frozenset[str] = frozenset()
        self._gaps: frozenset[str] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._feed_end: threading.Event | None = None
        self._feeds: list[threading.Thread] = []
        self._stop: asyncio.Task[None] | None = None

    @property
    def has_streams(self) -> bool:
        """Whether a client is being served."""
        return bool(self._watches)

    @property
    def watches(self) -> frozenset[Watch]:
        """The streams that are being served."""
        return frozenset(self._watches)

    @contextmanager
    def watching(self, positions: dict[str, int], *, reads_text: bool = False) -> Generator[Watch, None, None]:
        """Watch runs from these `positions` until the block ends; all of them count as changed at first."""
        watch = Watch(positions=positions, reads_text=reads_text)
        if not self._watches:
            self._begin()
        self._add(watch)
        SSE_CLIENTS.add(1)
        if reads_text:
            watch_texts(watch.positions)
            self._read_runs = self._runs_with_text()
            for text in texts_of(watch.positions):
                self._texts.add(text)
        try:
            yield watch
        finally:
            SSE_CLIENTS.add(-1)
            self._remove(watch)
            if reads_text:
                unwatch_texts(watch.positions)
                self._read_runs = self._runs_with_text()
                self._texts.keep_only(self._read_runs)
            if not self._watches:
                self._end()

    async def aclose(self) -> None:
        """Stop watching the database, and wait for the end of its connections."""
        if self._feed_end is not None:
            self._feed_end.set()
        while self._feeds:
            await asyncio.to_thread(self._feeds.pop().join, _FEED_END_S)

    async def read(self, watch: Watch) -> Pages:
        """Return the next events of changed runs of a stream, and forget that they changed.

        Raises:
            DatabaseError: the database failed.
        """
        return await self._reader.read(watch)

    def take_texts(self, watch: Watch, run_id: str, *, path: str | None = None) -> list[TextDelta]:
        """Return the text of a run, or of one of its tasks, that `watch` has not taken."""
        return self._texts.take(watch.cursor, run_id, path) if watch.reads_text else []

    def is_writing(self, watch: Watch, run_id: str, paths: Collection[str]) -> bool:
        """Return whether an answer of the tasks at `paths` was started in this stream or here, and is not complete."""
        return watch.reads_text and self._texts.is_open(run_id, paths)

    async def wait_for_text(self, watch: Watch, timeout_s: float) -> bool:
        """Wait for any change; return False if none came in time or the server stops. Nothing is taken."""
        watch.woken.clear()
        is_running = await self.wait(watch, timeout_s)
        has_changed = watch.woken.is_set()
        if watch.changed or watch.written:
            watch.woken.set()
        return is_running and has_changed

    def _runs_with_text(self) -> frozenset[str]:
        return frozenset(run for watch in self._watches if watch.reads_text for run in watch.positions)

    async def wait(self, watch: Watch, timeout_s: float) -> bool:
        """Wait for a change, at most `timeout_s`; return False if the server stops."""
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await watch.woken.wait()
        return not self._stopping.is_set()

    async def _end_waits(self) -> None:
        await self._stopping.wait()
        for watch in self._watches:
            watch.woken.set()

    def _add(self, watch: Watch) -> None:
        self._watches.add(watch)
        for run_id in watch.positions:
            self._watches_of.setdefault(run_id, set()).add(watch)

    def _remove(self, watch: Watch) -> None:
        self._watches.discard(watch)
        for run_id in watch.positions:
            self._watches_of[run_id].discard(watch)
            if not self._watches_of[run_id]:
                del self._watches_of[run_id]

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.create_task(self._end_waits())
        add_listener(self._hear)
        add_text_listener(self._hear_text)
        end = self._feed_end = threading.Event()
        feed = threading.Thread(target=self._follow_feed, args=(end,), name="compozy-feed", daemon=True)
        self._feeds = [*(earlier for earlier in self._feeds if earlier.is_alive()), feed]
        feed.start()

    def _end(self) -> None:
        remove_listener(self._hear)
        remove_text_listener(self._hear_text)
        if self._feed_end is not None:
            self._feed_end.set()
        if self._stop is not None:
            self._stop.cancel()

    def _call_soon(self, function: Callable[[Any], None], argument: Any) -> None:
        """Call a function on the event loop; called by any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, argument)

    def _hear(self, runs: frozenset[str]) -> None:
        """Pass changes on to the event loop; called by any thread."""
        if watched := [run_id for run_id in runs if run_id in self._watches_of]:
            self._call_soon(self._wake, watched)

    def _wake(self, runs: Iterable[str]) -> None:
        for run_id in runs:
            for watch in self._watches_of.get(run_id, ()):
                watch.note((run_id,))

    def _hear_any(self) -> None:
        """Wake the streams that have not sent the last event of a run; called by the thread of the feed.

        Raises:
            DatabaseError: the database failed.
        """
        runs = list(self._watches_of)
        with self._database.read() as connection:
            numbers = list_last_numbers(connection, runs)
        self._call_soon(self._wake_behind, {run_id: numbers.get(run_id) for run_id in runs})

    def _wake_behind(self, numbers: Mapping[str, int | None]) -> None:
        for run_id, number in numbers.items():
            for watch in self._watches_of.get(run_id, ()):
                # A run that was deleted has no number.
                if number is None or number > watch.positions[run_id]:
                    watch.note((run_id,))

    def _hear_text(self, delta: TextDelta) -> None:
        """Pass text on to the event loop; called by any thread."""
        self._call_soon(self._add_text, delta)

    def _add_text(self, delta: TextDelta) -> None:
        readers = [watch for watch in self._watches_of.get(delta.execution_id, ()) if watch.reads_text]
        if readers and not self._texts.add(delta):
            self._gaps |= {delta.execution_id}
        for watch in readers:
            watch.note_text(delta.execution_id)

    def _follow_feed(self, end: threading.Event) -> None:
        feed = self._database.driver.open_feed(self._database.settings, self._hear_text)
        if feed is not None:
            with closing(feed):
                self._pass_changes_on(feed, end)

    def _pass_changes_on(self, feed: ChangeFeed, end: threading.Event) -> None:
        asked_s = 0.0
        while not end.is_set():
            again: frozenset[str] = frozenset()
            if self._gaps and monotonic_s() - asked_s > _ASK_AGAIN_S:
                asked_s, again, self._gaps = monotonic_s(), self._gaps, again
            try:
                feed.watch(self._read_runs | {ANY_RUN} if is_followed() else self._read_runs, again)
                runs = feed.wait(_FEED_WAIT_S)
                if runs is not None and not runs:
                    self._hear_any()
            except DatabaseError as error:
                # The streams read the database every second by themselves.
                _log.debug("changes of other processes are not heard for now", cause=error.message)
                end.wait(_AWAY_S)
                continue
            if runs:
                self._hear(runs)
