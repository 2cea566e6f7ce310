"""Work that one process at a time does, while others wait for their turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.facts import ping
from compozy.errors import DatabaseError

_POLL_S = 0.1
_PATIENCE_S = 120.0
# Shorter than the time after which a server ends the transaction of a process that stopped.
_PING_S = 1.0


@asynccontextmanager
async def waiting_for_turn(database: Database, task: int, *, patience_s: float = _PATIENCE_S) -> AsyncGenerator[None]:
    """Wait until no other process does the work with the number `task`, and keep others waiting until the block ends.

    A process that dies or stops loses its turn. Only one process executes runs on SQLite, so it never waits there.

    Raises:
        DatabaseError: the database failed, or other processes have not finished after `patience_s` seconds.
    """
    if database.is_exclusive:
        yield
        return
    deadline_s = monotonic_s() + patience_s
    while True:
        turn = _Turn(database, task)
        try:
            if await turn.take():
                yield
                return
        finally:
            await turn.release()
        if monotonic_s() > deadline_s:
            raise DatabaseError(
                f"another process has been doing the same work on {database.location} for {patience_s:g} s",
                hint="find it in pg_stat_activity; it holds an advisory lock",
            )
        await asyncio.sleep(_POLL_S)


class _Turn:
    """A transaction in a thread: it is never idle for long, so that the server only ends those of stopped processes."""

    def __init__(self, database: Database, task: int) -> None:
        self._database = database
        self._task = task
        self._released = threading.Event()
        self._taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held: asyncio.Task[None] | None = None

    async def take(self) -> bool:
        """Return whether it is our turn."""
        self._held = asyncio.create_task(asyncio.to_thread(self._hold, asyncio.get_running_loop()))
        await asyncio.wait({self._taken, self._held}, return_when=asyncio.FIRST_COMPLETED)
        return self._taken.done() and self._taken.result()

    async def release(self) -> None:
        """End the transaction."""
        self._released.set()
        if self._held is not None:
            await self._held

    def _hold(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._database.write() as connection:
            is_ours = self._database.driver.take_turn(connection, self._task)
            loop.call_soon_threadsafe(self._taken.set_result, is_ours)
            while is_ours and not self._released.wait(_PING_S):
                ping(connection)
