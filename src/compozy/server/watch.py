"""The subscription of one stream: its runs, the last event that it sent of each, and which of them have news."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from compozy.database.live_text import TextKey
from compozy.server.texts import Cursor


@dataclass(eq=False, kw_only=True)
class Watch:
    """The runs of one stream, and which of them changed since they were last read: at first all.

    Attributes:
        positions: the number of the last event of each run that the stream has sent; the stream moves it on.
        reads_text: whether new text of models is noted.
        open: the runs whose end the stream has not sent. The others are not read any more.
        changed: the runs whose events to read.
        written: the runs with new text.
        woken: set if there are any of these.
    """

    positions: dict[str, int]
    reads_text: bool = False
    open: set[str] = field(init=False)
    changed: set[str] = field(default_factory=set[str])
    written: set[str] = field(default_factory=set[str])
    cursor: Cursor = field(default_factory=dict[TextKey, tuple[int, int, bool]])
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Count all runs as changed."""
        self.open = set(self.positions)
        self.note(self.open)

    def take_changed(self, limit: int) -> list[str]:
        """Return runs whose events to read, at most `limit`, in the order of the stream, and forget them."""
        taken = [run_id for run_id in self.positions if run_id in self.changed][:limit]
        self.changed.difference_update(taken)
        self._rest()
        return taken

    def take_written(self) -> list[str]:
        """Return the runs with new text, in the order of the stream, and forget them."""
        taken = [run_id for run_id in self.positions if run_id in self.written]
        self.written.clear()
        self._rest()
        return taken

    def note(self, runs: Iterable[str]) -> None:
        """Note changed runs."""
        if changed := self.open.intersection(runs):
            self.changed |= changed
            self.woken.set()

    def note_text(self, run_id: str) -> None:
        """Note that a model wrote text in a run."""
        if self.reads_text and run_id in self.open:
            self.written.add(run_id)
            self.woken.set()

    def end(self, run_id: str) -> None:
        """Note that the stream has sent the end of a run."""
        for runs in (self.open, self.changed, self.written):
            runs.discard(run_id)
        self._rest()

    def _rest(self) -> None:
        if not self.changed and not self.written:
            self.woken.clear()
