"""Deletes old rows that belong to no run: webhook deliveries, expired conversations and expired sessions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from compozy.clock import now_ms
from compozy.database.database import Database
from compozy.database.memories import count_expired, delete_expired
from compozy.database.sessions import count_expired_sessions, delete_expired_sessions
from compozy.database.webhook_deliveries import count_deliveries, delete_deliveries
from compozy.transfer.prune import delete_in_batches

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

    Each batch is a separate transaction, so that other processes may continue to write. Rows that another process
    deletes meanwhile are left to it and not counted.

    Raises:
        DatabaseError: the database failed.
    """
    delete, at_ms = partial(delete_in_batches, database), now_ms()
    return OtherRows(
        deliveries=delete(partial(delete_deliveries, before_ms=before_ms, limit=_AT_ONCE)),
        conversations=delete(partial(delete_expired, at_ms=at_ms)),
        sessions=delete(partial(delete_expired_sessions, now_ms=at_ms, limit=_AT_ONCE)),
    )
