"""Deletes old rows that belong to no run: webhook deliveries, expired conversations and expired sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.database import Database
from compozy.database.memories import count_expired, delete_expired
from compozy.database.sessions import count_expired_sessions, delete_expired_sessions
from compozy.database.webhook_deliveries import count_deliveries, delete_deliveries

# Small enough that other processes waiting for the lock do not notice.
_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class OtherRows:
    """Numbers of rows that are old, or that were deleted."""

    deliveries: int
    conversations: int
    sessions: int

    @property
    def total(self) -> int:
        """The number of all rows."""
        return self.deliveries + self.conversations + self.sessions


def count_others(database: Database, before_ms: int) -> OtherRows:
    """Return the numbers of webhook deliveries before a time, in ms since 1970 UTC, and of what has expired."""
    at_ms = now_ms()
    with database.read() as connection:
        return OtherRows(
            deliveries=count_deliveries(connection, before_ms),
            conversations=count_expired(connection, at_ms),
            sessions=count_expired_sessions(connection, at_ms),
        )


def prune_others(database: Database, before_ms: int) -> OtherRows:
    """Delete webhook deliveries before a time and what has expired; return the numbers of deleted rows.

    Each batch is a separate transaction, so that other processes may continue to write.

    Raises:
        DatabaseError: the database failed.
    """
    at_ms = now_ms()
    return OtherRows(
        deliveries=_delete(database, lambda connection: delete_deliveries(connection, before_ms, limit=_AT_ONCE)),
        conversations=_delete(database, lambda connection: delete_expired(connection, at_ms)),
        sessions=_delete(database, lambda connection: delete_expired_sessions(connection, at_ms, limit=_AT_ONCE)),
    )


def _delete(database: Database, delete_batch: Callable[[sa.Connection], int]) -> int:
    deleted = 0
    while True:
        with database.write() as connection:
            count = delete_batch(connection)
        if not count:
            return deleted
        deleted += count
