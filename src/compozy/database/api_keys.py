"""Rows of `api_keys`: the hashes of keys, never the keys."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.tables import api_keys, users
from compozy.database.users import User


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One API key. `workflows` are the only ones that it can be used for, None for all."""

    key_id: str
    user_id: str
    name: str
    role: str
    prefix: str
    hash: str
    created_ms: int
    workflows: list[str] | None = None
    expires_ms: int | None = None
    revoked_ms: int | None = None
    last_used_ms: int | None = None

    def status(self, now: int) -> str:
        """Return `active`, `expired` or `revoked`."""
        if self.revoked_ms is not None and self.revoked_ms <= now:
            return "revoked"
        return "expired" if self.expires_ms is not None and self.expires_ms <= now else "active"


def insert_key(connection: sa.Connection, key: ApiKey) -> None:
    """Store a new key."""
    connection.execute(sa.insert(api_keys), asdict(key))


def find_key_by_hash(connection: sa.Connection, key_hash: str) -> tuple[ApiKey, User] | None:
    """Return the key with this hash and its user."""
    key = connection.execute(sa.select(api_keys).where(api_keys.c.hash == key_hash)).mappings().first()
    if key is None:
        return None
    owner = connection.execute(sa.select(users).where(users.c.user_id == key["user_id"])).mappings().one()
    return ApiKey(**key), User(**owner)


def find_key(connection: sa.Connection, text: str) -> ApiKey | None:
    """Return the key with this ID or prefix."""
    query = sa.select(api_keys).where(sa.or_(api_keys.c.key_id == text, api_keys.c.prefix == text))
    row = connection.execute(query).mappings().first()
    return None if row is None else ApiKey(**row)


def list_keys(connection: sa.Connection, user_id: str | None = None) -> list[tuple[ApiKey, str]]:
    """Return the keys of one user or of all, each with the user's email address, the oldest first."""
    query = sa.select(api_keys, users.c.email).join(users, users.c.user_id == api_keys.c.user_id)
    if user_id is not None:
        query = query.where(api_keys.c.user_id == user_id)
    found: list[tuple[ApiKey, str]] = []
    for row in connection.execute(query.order_by(api_keys.c.created_ms, api_keys.c.key_id)).mappings():
        values = dict(row)
        email = str(values.pop("email"))
        found.append((ApiKey(**values), email))
    return found


def revoke_key(connection: sa.Connection, key_id: str, *, at_ms: int | None = None) -> None:
    """Revoke a key now or at a time; a key that is already revoked earlier stays so."""
    moment = now_ms() if at_ms is None else at_ms
    change = sa.update(api_keys).where(
        api_keys.c.key_id == key_id, sa.or_(api_keys.c.revoked_ms.is_(None), api_keys.c.revoked_ms > moment)
    )
    connection.execute(change.values(revoked_ms=moment))


def note_use(connection: sa.Connection, key_id: str, at_ms: int) -> None:
    """Record when a key was last used."""
    connection.execute(sa.update(api_keys).where(api_keys.c.key_id == key_id).values(last_used_ms=at_ms))


def has_admin_key(connection: sa.Connection) -> bool:
    """Return whether an active key lets an administrator in."""
    now = now_ms()
    query = (
        sa.select(api_keys.c.key_id)
        .join(users, users.c.user_id == api_keys.c.user_id)
        .where(api_keys.c.role == "admin", users.c.role == "admin", api_keys.c.workflows.is_(None))
        .where(sa.or_(api_keys.c.revoked_ms.is_(None), api_keys.c.revoked_ms > now))
        .where(sa.or_(api_keys.c.expires_ms.is_(None), api_keys.c.expires_ms > now))
        .limit(1)
    )
    return connection.execute(query).first() is not None
