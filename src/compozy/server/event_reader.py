"""Reads the events of changed runs for all streams of a server together: one query for many streams and commits."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.server.watch import Watch
from compozy.workflow.events import read_new_events

# From one query to the next. The first change is read immediately, those after it together.
_WINDOW_S = 0.05
# Runs and events that one stream gets together; it keeps them in memory until its client has read them.
_RUNS = 10
_EVENTS = 50

Pages = dict[str, dict[str, Any] | None]
"""For each run the page that `read_events` returns; None if the run does not exist."""


class EventReader:
    """Reads for the streams that ask until a query starts; the others wait for the next one.

    Args:
        database: the database of the server.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[Watch] = []
        self._next: asyncio.Task[dict[Watch, Pages]] | None = None
        self._turn = asyncio.Lock()
        self._began_s = 0.0

    async def read(self, watch: Watch) -> Pages:
        """Return the next events of changed runs of a stream, and forget that these runs changed.

        Only a few runs are read at once; the others still count as changed.

        Raises:
            DatabaseError: the database failed.
        """
        self._waiting.append(watch)
        if self._next is None:
            self._next = asyncio.create_task(self._read_all())
        # A client that leaves does not end the query of the others.
        return (await asyncio.shield(self._next))[watch]

    async def _read_all(self) -> dict[Watch, Pages]:
        async with self._turn:
            await asyncio.sleep(self._began_s + _WINDOW_S - monotonic_s())
            watches, self._waiting, self._next = self._waiting, [], None
            self._began_s = monotonic_s()
            # Taken now: this query sees every change that was noted until now.
            taken = {watch: watch.take_changed(_RUNS) for watch in watches}
            positions = {(run_id, watch.positions[run_id]) for watch, runs in taken.items() for run_id in runs}
            pages = await self._database.read_async(partial(read_new_events, positions=positions, limit=_EVENTS))
        return {
            watch: {run_id: pages[run_id, watch.positions[run_id]] for run_id in runs} for watch, runs in taken.items()
        }
