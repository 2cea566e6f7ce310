"""A connection pool that keeps extra connections for a moment after a burst, and closes idle ones.

SQLAlchemy's own pool closes each connection beyond `pool_size` as soon as it is returned, and opens a new one for the
next request: with ten concurrent runs on PostgreSQL that took half of the time.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import Any

from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from compozy.clock import monotonic_s

# How long an extra connection is kept for more work.
_BURST_S = 5.0
_IDLE_SINCE = "idle_since_s"


def pool_that_keeps(kept: int, *, idle_s: float) -> type[QueuePool]:
    """Return a pool class that closes connections idle for `idle_s`, and those beyond `kept` after a moment.

    It checks whenever a connection is returned; each process that executes runs returns one every few seconds.
    """

    class KeepingPool(QueuePool):
        """See above. A new class, because SQLAlchemy recreates pools without further arguments."""

        def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
            record.info[_IDLE_SINCE] = monotonic_s()
            super()._do_return_conn(record)
            for idle in list(self._take_idle()):
                idle.close()
                self._dec_overflow()

        def _take_idle(self) -> Iterator[Any]:
            """Remove connections idle for too long: the pool hands out the latest first, so they are the first ones."""
            waiting: Any = self._pool
            with waiting.mutex:
                queue = waiting.queue
                while queue and monotonic_s() - queue[0].info.get(_IDLE_SINCE, 0.0) > _limit_s(len(queue)):
                    yield queue.popleft()

    def _limit_s(waiting: int) -> float:
        return min(_BURST_S, idle_s) if waiting > kept else idle_s

    return KeepingPool


def refuse_closed(connection: Any, *_: Any) -> None:
    """Let the pool replace its connections if the server has closed this one meanwhile: a "checkout" listener.

    An idle connection is readable only if the server said something, which is mostly that it closes it. This costs no
    round trip.

    Raises:
        sqlalchemy.exc.InvalidatePoolError: the pool makes a new connection.
    """
    waiting = select.poll()
    if not connection.closed:
        waiting.register(connection.pgconn.socket, select.POLLIN)
    if connection.closed or waiting.poll(0):
        raise InvalidatePoolError("the server closed the connection")
