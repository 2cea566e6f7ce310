"""Wakes the streams of a server when their runs have new events or text: by this process, or by another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from compozy.clock import monotonic_s
from compozy.database.changes import add_listener, remove_listener
from compozy.database.database import Database
from compozy.database.live_text import (
    ANY_RUN,
    TextDelta,
    TextKey,
    add_text_listener,
    is_followed,
    remove_text_listener,
    texts_of,
    unwatch_texts,
    watch_texts,
)
from compozy.errors import DatabaseError
from compozy.server.texts import Cursor, Texts
from compozy.telemetry.metrics import SSE_CLIENTS

_log = structlog.get_logger(__name__)

# How soon the thread notices that the last stream has ended, and its pause while the database is away.
_FEED_WAIT_S = 0.25
_AWAY_S = 1.0
# How often a missing piece of text is asked for.
_ASK_AGAIN_S = 1.0


@dataclass(eq=False, kw_only=True)
class Watch:
    """The runs of one stream, and which of them changed since they were last read.

    `written` are those with new text of models, which is only noted if the stream `reads_text`.
    """

    runs: frozenset[str]
    reads_text: bool = False
    changed: set[str] = field(default_factory=set[str])
    written: set[str] = field(default_factory=set[str])
    cursor: Cursor = field(default_factory=dict[TextKey, tuple[int, int, bool]])
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> tuple[set[str], set[str]]:
        """Return the runs whose events to read again and those with new text, and forget them."""
        changed, self.changed = self.changed, set()
        written, self.written = self.written, set()
        self.woken.clear()
        return changed, written

    def note(self, runs: Collection[str]) -> None:
        """Note changed runs; an empty collection stands for all."""
        changed = self.runs.intersection(runs) if runs else self.runs
        if changed:
            self.changed |= changed
            self.woken.set()

    def note_text(self, run_id: str) -> None:
        """Note that a model wrote text in a run."""
        if self.reads_text and run_id in self.runs:
            self.written.add(run_id)
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
        self._texts = Texts()
        # Read by the thread of the feed: runs whose text is read, and those of which a piece is missing.
        self._read_runs: frozenset[str] = frozenset()
        self._gaps: frozenset[str] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._feed_end: threading.Event | None = None

    @property
    def has_streams(self) -> bool:
        """Whether a client is being served."""
        return bool(self._watches)

    @property
    def watches(self) -> frozenset[Watch]:
        """The streams that are being served."""
        return frozenset(self._watches)

    @contextmanager
    def watching(self, runs: Collection[str], *, reads_text: bool = False) -> Generator[Watch, None, None]:
        """Watch `runs` until the block ends; all of them count as changed at first."""
        watch = Watch(runs=frozenset(runs), reads_text=reads_text, changed=set(runs))
        if not self._watches:
            self._begin()
        self._watches.add(watch)
        SSE_CLIENTS.add(1)
        if reads_text:
            watch_texts(watch.runs)
            self._read_runs = self._runs_with_text()
            for text in texts_of(watch.runs):
                self._texts.add(text)
        try:
            yield watch
        finally:
            SSE_CLIENTS.add(-1)
            self._watches.discard(watch)
            if reads_text:
                unwatch_texts(watch.runs)
                self._read_runs = self._runs_with_text()
                self._texts.keep_only(self._read_runs)
            if not self._watches:
                self._end()

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
        return frozenset(run for watch in self._watches if watch.reads_text for run in watch.runs)

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
        add_text_listener(self._hear_text)
        end = self._feed_end = threading.Event()
        threading.Thread(target=self._follow_feed, args=(end,), name="compozy-feed", daemon=True).start()

    def _end(self) -> None:
        remove_listener(self._hear)
        remove_text_listener(self._hear_text)
        if self._feed_end is not None:
            self._feed_end.set()

    def _hear(self, runs: frozenset[str]) -> None:
        """Pass changes on to the event loop; called by any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, runs)

    def _wake(self, runs: frozenset[str]) -> None:
        for watch in self._watches:
            watch.note(runs)

    def _hear_text(self, delta: TextDelta) -> None:
        """Pass text on to the event loop; called by any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._add_text, delta)

    def _add_text(self, delta: TextDelta) -> None:
        readers = [watch for watch in self._watches if watch.reads_text and delta.execution_id in watch.runs]
        if readers and not self._texts.add(delta):
            self._gaps |= {delta.execution_id}
        for watch in readers:
            watch.note_text(delta.execution_id)

    def _follow_feed(self, end: threading.Event) -> None:
        feed = self._database.driver.open_feed(self._database.settings, self._hear_text)
        if feed is None:
            return
        asked_s = 0.0
        while not end.is_set():
            again: frozenset[str] = frozenset()
            if self._gaps and monotonic_s() - asked_s > _ASK_AGAIN_S:
                asked_s, again, self._gaps = monotonic_s(), self._gaps, again
            try:
                feed.watch(self._read_runs | {ANY_RUN} if is_followed() else self._read_runs, again)
                runs = feed.wait(_FEED_WAIT_S)
            except DatabaseError as error:
                # The streams read the database every second by themselves.
                _log.debug("changes of other processes are not heard for now", cause=error.message)
                end.wait(_AWAY_S)
                continue
            if runs is not None:
                self._hear(runs)
        feed.close()
