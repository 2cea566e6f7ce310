"""Rows of `users`: people and programs that may use a server."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.facts import lock_facts
from compozy.database.tables import insert_if_new, users


@dataclass(frozen=True, kw_only=True)
class User:
    """One user. `email` is in lower case; `password` is a hash, None for a user who cannot sign in with one."""

    user_id: str
    email: str
    role: str
    created_ms: int
    updated_ms: int
    password: str | None = None
    subject: str | None = None


def insert_user(connection: sa.Connection, user: User) -> bool:
    """Store a new user; return False if the email address is taken."""
    insert = insert_if_new(users).returning(users.c.user_id)
    return connection.execute(insert, asdict(user)).first() is not None


def insert_first_admin(connection: sa.Connection, user: User) -> bool:
    """Store a user if no administrator exists; return False if one does, or if the email address is taken.

    Of several concurrent calls, one stores its user.
    """
    lock_facts(connection)
    return count_admins(connection) == 0 and insert_user(connection, user)


def count_admins(connection: sa.Connection) -> int:
    """Return the number of administrators."""
    query = sa.select(sa.func.count()).select_from(users).where(users.c.role == "admin")
    return int(connection.execute(query).scalar_one())


def find_user(connection: sa.Connection, text: str) -> User | None:
    """Return the user with this ID or email address."""
    query = sa.select(users).where(sa.or_(users.c.user_id == text, users.c.email == text.lower()))
    row = connection.execute(query).mappings().first()
    return None if row is None else User(**row)


def find_user_by_subject(connection: sa.Connection, subject: str) -> User | None:
    """Return the user with this account at a provider."""
    row = connection.execute(sa.select(users).where(users.c.subject == subject)).mappings().first()
    return None if row is None else User(**row)


def link_subject(connection: sa.Connection, user_id: str, subject: str) -> None:
    """Note the account at a provider with which a user signs in."""
    connection.execute(sa.update(users).where(users.c.user_id == user_id).values(subject=subject, updated_ms=now_ms()))


def list_users(connection: sa.Connection) -> list[User]:
    """Return all users by email address."""
    rows = connection.execute(sa.select(users).order_by(users.c.email)).mappings()
    return [User(**row) for row in rows]


def update_user(
    connection: sa.Connection, user_id: str, *, role: str | None = None, password: str | None = None
) -> None:
    """Change a user; None leaves a value as it is."""
    changes = {name: value for name, value in (("role", role), ("password", password)) if value is not None}
    connection.execute(sa.update(users).where(users.c.user_id == user_id).values(updated_ms=now_ms(), **changes))


def delete_user(connection: sa.Connection, user_id: str) -> None:
    """Delete a user with all API keys and sessions."""
    connection.execute(sa.delete(users).where(users.c.user_id == user_id))
