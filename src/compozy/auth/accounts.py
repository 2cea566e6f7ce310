"""Creates, changes, lists and deletes users and their API keys, in the transaction of the caller."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from compozy.auth.identity import Role, read_role, weaker
from compozy.auth.idtoken import SignedIn
from compozy.auth.keys import hash_secret, prefix_of
from compozy.clock import format_time, now_ms
from compozy.database.api_keys import ApiKey, find_key, insert_key, list_keys, revoke_key
from compozy.database.audit import AuditEntry
from compozy.database.facts import lock_facts
from compozy.database.sessions import delete_sessions_of
from compozy.database.users import (
    User,
    count_admins,
    delete_user,
    find_user,
    find_user_by_subject,
    insert_first_admin,
    insert_user,
    link_subject,
    list_users,
    update_user,
)
from compozy.errors import ConflictError, ForbiddenError, NotFoundError, UsageError
from compozy.ids import new_api_key, new_key_id, new_user_id

Document = dict[str, Any]
MAX_NAME = 100
DEFAULT_OVERLAP_S = 24 * 3600.0
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,190}")


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """A key to create.

    Args:
        name: its purpose.
        user: ID or email address of its user.
        role: its role, at most that of the user; None for the role of the user.
        workflows: the only workflows that it can be used for; empty for all.
        expires_in_s: seconds until it expires; None for never.
    """

    name: str
    user: str
    role: str | None = None
    workflows: Sequence[str] = ()
    expires_in_s: float | None = None


def bootstrap(connection: sa.Connection, email: str) -> Document:
    """Create the first administrator with an API key; return `{"user", "key"}`.

    Raises:
        UsageError: the email address is invalid.
        ConflictError: an administrator exists already, or a user with this address.
    """
    user = _new_user(email, Role.ADMIN)
    if not insert_first_admin(connection, user):
        if count_admins(connection):
            raise ConflictError(
                "an administrator exists already",
                hint="`compozy auth users list` shows the users, `compozy auth keys create` creates a key",
                http_hint="an administrator can create users and keys",
            )
        raise _email_taken(user.email)
    key = create_key(connection, KeyRequest(name="bootstrap", user=user.user_id))
    return {"user": user_document(user), "key": key}


def create_user(connection: sa.Connection, email: str, role: str) -> Document:
    """Create a user and return them.

    Raises:
        UsageError: the email address or the role is invalid.
        ConflictError: a user with this address exists.
    """
    user = _new_user(email, _role(role))
    if not insert_user(connection, user):
        raise _email_taken(user.email)
    return user_document(user)


def change_user(
    connection: sa.Connection, text: str, *, role: str | None = None, password: str | None = None
) -> Document:
    """Change the role or the hash of the password of a user, and return them; None leaves a value as it is.

    A role applies to their keys and sessions immediately. Another password ends their sessions.

    Raises:
        NotFoundError: the user does not exist.
        UsageError: the role is invalid.
        ConflictError: they are the last administrator.
    """
    user = get_user(connection, text)
    new_role = None if role is None else _role(role)
    if new_role not in {None, Role.ADMIN}:
        _keep_an_admin(connection, user)
    if password is not None:
        delete_sessions_of(connection, user.user_id)
    update_user(connection, user.user_id, role=new_role, password=password)
    return user_document(get_user(connection, user.user_id))


def sign_in_person(connection: sa.Connection, person: SignedIn, default_role: str | None) -> User:
    """Return the user of a person whom a provider has signed in, with their role of now; create them if need be.

    A user is found by the account at the provider, and before the first sign-in by a verified email address.

    Raises:
        ForbiddenError: their claims give no role, or the address is that of another account.
    """
    lock_facts(connection)
    known = find_user_by_subject(connection, person.subject)
    if known is None:
        known = _link(connection, person)
    role = person.role or (None if default_role is None else _role(default_role))
    if role is None:
        raise ForbiddenError(
            f"{person.email} has no role on this server",
            hint="add one of their groups to `server.auth.oidc.roles`, or set `default_role`",
        )
    if known is None:
        known = replace(_new_user(person.email, role), subject=person.subject)
        if not insert_user(connection, known):
            raise _email_taken(person.email)
    # A person without a group any more loses its role, also the last administrator.
    update_user(connection, known.user_id, role=role.value)
    return replace(known, role=role.value)


def _link(connection: sa.Connection, person: SignedIn) -> User | None:
    """Return the user with the address of a person, after noting their account; None if it is free."""
    found = find_user(connection, person.email)
    if found is None:
        return None
    if found.subject is not None or not person.is_verified:
        raise ForbiddenError(
            f"a user {person.email} exists already, and is not known to be the same person",
            hint="an administrator can delete that user; or let the provider verify the address",
        )
    link_subject(connection, found.user_id, person.subject)
    return found


def remove_user(connection: sa.Connection, text: str) -> Document:
    """Delete a user with their keys and sessions, and return them as they were.

    Raises:
        NotFoundError: the user does not exist.
        ConflictError: they are the last administrator.
    """
    user = get_user(connection, text)
    _keep_an_admin(connection, user)
    delete_user(connection, user.user_id)
    return user_document(user)


def get_user(connection: sa.Connection, text: str) -> User:
    """Return the user with this ID or email address.

    Raises:
        NotFoundError: they do not exist.
    """
    user = find_user(connection, text)
    if user is None:
        raise NotFoundError(f"no user {text!r}", hint="`compozy auth users list` shows them", http_hint="see /users")
    return user


def list_user_documents(connection: sa.Connection) -> list[Document]:
    """Return all users."""
    return [user_document(user) for user in list_users(connection)]


def create_key(connection: sa.Connection, request: KeyRequest) -> Document:
    """Create a key and return it; only this document contains the key itself, as `api_key`.

    Raises:
        NotFoundError: the user does not exist.
        UsageError: the name, the role or a workflow is invalid.
        ConflictError: the user has an active key of this name.
        ForbiddenError: the role permits more than that of the user.
    """
    user = get_user(connection, request.user)
    _check_name(request.name)
    role = Role(user.role) if request.role is None else _role(request.role)
    if weaker(role, Role(user.role)) is not role:
        raise ForbiddenError(f"a key of {user.email} can have the role {user.role!r} at most, not {role.value!r}")
    now = now_ms()
    names = {key.name for key, _ in list_keys(connection, user.user_id) if key.status(now) == "active"}
    if request.name in names:
        raise ConflictError(f"{user.email} has an active key named {request.name!r}", hint="choose another name")
    expires = None if request.expires_in_s is None else now + int(request.expires_in_s * 1000)
    workflows = list(dict.fromkeys(request.workflows)) or None
    return _store_key(connection, user, name=request.name, role=role, workflows=workflows, expires_ms=expires)


def rotate_key(connection: sa.Connection, text: str, *, overlap_s: float = DEFAULT_OVERLAP_S) -> Document:
    """Create a key like another one, which is refused after `overlap_s`; return the new key with `api_key`.

    The new key has the same remaining time to live as the old one had when it was created.

    Raises:
        NotFoundError: the key does not exist.
        ConflictError: it is revoked or has expired.
    """
    old = get_key(connection, text)
    now = now_ms()
    if old.status(now) != "active":
        raise ConflictError(f"the key {old.prefix} is {old.status(now)}", hint="create a new key")
    user = get_user(connection, old.user_id)
    lifetime = None if old.expires_ms is None else old.expires_ms - old.created_ms
    new = _store_key(
        connection,
        user,
        name=old.name,
        role=Role(old.role),
        workflows=old.workflows,
        expires_ms=None if lifetime is None else now + lifetime,
    )
    revoke_key(connection, old.key_id, at_ms=now + int(overlap_s * 1000))
    return {**new, "replaces": key_document(get_key(connection, old.key_id), user.email)}


def revoke(connection: sa.Connection, text: str, *, only_of: str | None = None) -> Document:
    """Revoke a key and return it. Revoking it again changes nothing.

    Args:
        connection: the transaction.
        text: ID or prefix of the key.
        only_of: the user whose keys can be revoked; None for all.

    Raises:
        NotFoundError: the key does not exist.
        ForbiddenError: it belongs to another user.
    """
    key = get_key(connection, text)
    if only_of is not None and key.user_id != only_of:
        raise ForbiddenError("this API key belongs to another user", hint="an administrator can revoke it")
    revoke_key(connection, key.key_id)
    user = get_user(connection, key.user_id)
    return key_document(get_key(connection, key.key_id), user.email)


def get_key(connection: sa.Connection, text: str) -> ApiKey:
    """Return the key with this ID or prefix.

    Raises:
        NotFoundError: it does not exist.
    """
    key = find_key(connection, text)
    if key is None:
        raise NotFoundError(
            f"no API key {text!r}", hint="`compozy auth keys list` shows them", http_hint="see /auth/keys"
        )
    return key


def list_key_documents(connection: sa.Connection, user_id: str | None = None) -> list[Document]:
    """Return the keys of one user or of all."""
    return [key_document(key, email) for key, email in list_keys(connection, user_id)]


def user_document(user: User) -> Document:
    """Return a user as JSON, without the hash of the password."""
    return {
        "user_id": user.user_id,
        "email": user.email,
        "role": user.role,
        "has_password": user.password is not None,
        "created_at": format_time(user.created_ms),
        "updated_at": format_time(user.updated_ms),
    }


def key_document(key: ApiKey, email: str) -> Document:
    """Return a key as JSON, without its hash."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "user": email,
        "role": key.role,
        "workflows": key.workflows,
        "prefix": key.prefix,
        "status": key.status(now_ms()),
        "created_at": format_time(key.created_ms),
        "expires_at": format_time(key.expires_ms),
        "revoked_at": format_time(key.revoked_ms),
        "last_used_at": format_time(key.last_used_ms),
    }


def audit_document(entry: AuditEntry) -> Document:
    """Return an action of the audit log as JSON."""
    document = asdict(entry)
    created_ms = document.pop("created_ms")
    return {"audit_id": document.pop("audit_id"), "created_at": format_time(created_ms), **document}


def _store_key(
    connection: sa.Connection,
    user: User,
    *,
    name: str,
    role: Role,
    workflows: list[str] | None,
    expires_ms: int | None,
) -> Document:
    secret = new_api_key()
    while find_key(connection, prefix_of(secret)) is not None:
        secret = new_api_key()
    key = ApiKey(
        key_id=new_key_id(),
        user_id=user.user_id,
        name=name,
        role=role.value,
        workflows=workflows,
        prefix=prefix_of(secret),
        hash=hash_secret(secret),
        created_ms=now_ms(),
        expires_ms=expires_ms,
    )
    insert_key(connection, key)
    return {**key_document(key, user.email), "api_key": secret}


def _new_user(email: str, role: Role) -> User:
    if not _EMAIL.fullmatch(email):
        raise UsageError(f"{email!r} is not an email address", hint="write it like ana@example.com")
    now = now_ms()
    return User(user_id=new_user_id(), email=email.lower(), role=role.value, created_ms=now, updated_ms=now)


def _role(text: str) -> Role:
    role = read_role(text)
    if role is None:
        raise UsageError(f"the role must be 'admin', 'user' or 'viewer', got {text!r}")
    return role


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise UsageError(f"the name of a key has 1 to {MAX_NAME} printable characters")


def _keep_an_admin(connection: sa.Connection, user: User) -> None:
    # Of two administrators who are removed concurrently, one stays.
    lock_facts(connection)
    if user.role == Role.ADMIN and count_admins(connection) == 1:
        raise ConflictError(f"{user.email} is the last administrator", hint="make another user an administrator first")


def _email_taken(email: str) -> ConflictError:
    return ConflictError(f"a user {email} exists already")
