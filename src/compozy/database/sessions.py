"""Rows of `sessions`: the hashes of their tokens, never the tokens."""

from __future__ import annotations

import sqlalchemy as sa

from compozy.database.tables import sessions, users
from compozy.database.users import User


def insert_session(connection: sa.Connection, token_hash: str, user_id: str, *, now_ms: int, expires_ms: int) -> None:
    """Store a session, and delete those that have expired."""
    connection.execute(sa.delete(sessions).where(sessions.c.expires_ms <= now_ms))
    values = {"hash": token_hash, "user_id": user_id, "created_ms": now_ms, "expires_ms": expires_ms}
    connection.execute(sa.insert(sessions), values)


def find_session(connection: sa.Connection, token_hash: str, now_ms: int) -> User | None:
    """Return the user of a session that has not expired."""
    query = (
        sa.select(users)
        .join(sessions, sessions.c.user_id == users.c.user_id)
        .where(sessions.c.hash == token_hash, sessions.c.expires_ms > now_ms)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else User(**row)


def delete_session(connection: sa.Connection, token_hash: str) -> None:
    """End a session."""
    connection.execute(sa.delete(sessions).where(sessions.c.hash == token_hash))


def delete_sessions_of(connection: sa.Connection, user_id: str) -> None:
    """End all sessions of a user."""
    connection.execute(sa.delete(sessions).where(sessions.c.user_id == user_id))


def count_expired_sessions(connection: sa.Connection, now_ms: int) -> int:
    """Return the number of sessions that have expired."""
    query = sa.select(sa.func.count()).select_from(sessions).where(sessions.c.expires_ms <= now_ms)
    return int(connection.execute(query).scalar_one())


def delete_expired_sessions(connection: sa.Connection, now_ms: int, *, limit: int) -> int:
    """Delete up to `limit` sessions that have expired; return their number.

    Sessions that another process deletes at this moment are skipped.
    """
    expired = sa.select(sessions.c.hash).where(sessions.c.expires_ms <= now_ms).limit(limit)
    hashes = list(connection.execute(expired.with_for_update(skip_locked=True)).scalars())
    connection.execute(sa.delete(sessions).where(sessions.c.hash.in_(hashes)))
    return len(hashes)
