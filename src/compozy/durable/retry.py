"""Which refusals of the database another attempt may not meet."""

from __future__ import annotations

from dbos._utils import retriable_postgres_exception, retriable_sqlite_exception
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from compozy.errors import DatabaseError

# PostgreSQL's states of a lock that took too long, and of a conflict with another transaction.
_LOCKED = frozenset({"55P03", "40001"})


def may_pass(error: BaseException) -> bool:
    """Return whether a lock, a deadlock or a lost connection is the reason, which another attempt may not meet."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else None
    if not isinstance(cause, DBAPIError):
        return isinstance(cause, PoolTimeoutError)
    is_locked = getattr(cause.orig, "sqlstate", None) in _LOCKED
    return is_locked or retriable_postgres_exception(cause) or retriable_sqlite_exception(cause)
