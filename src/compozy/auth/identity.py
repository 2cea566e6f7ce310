"""The sender of a request, and the permissions of each role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The role of a user or an API key."""

    ADMIN = "admin"
    USER = "user"
    VIEWER = "viewer"


class Permission(StrEnum):
    """The permission that a request requires.

    `PUBLIC` needs no credential, `READ` shows the project and its runs, `RUN` starts and controls runs, `ACCOUNT`
    is about the caller's own account, `MANAGE` is about all users and what the project stores.
    """

    PUBLIC = "public"
    READ = "read"
    RUN = "run"
    ACCOUNT = "account"
    MANAGE = "manage"


_VIEWER = frozenset({Permission.PUBLIC, Permission.READ, Permission.ACCOUNT})
_USER = _VIEWER | {Permission.RUN}
GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.USER: _USER,
    Role.ADMIN: _USER | {Permission.MANAGE},
}
# From the weakest.
_RANKS = (Role.VIEWER, Role.USER, Role.ADMIN)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The sender of a request.

    Args:
        name: email address of the user, or another name such as `server.api_key`.
        role: their role; None permits only what is public.
        credential: the proof, without anything secret: `key cpzy_AbCdEfG`, `session`, `server.api_key`.
        user_id: ID of the user; None if they are not stored.
        key_id: the API key; None for another credential.
        workflows: the only workflows that they may use; None for all.
    """

    name: str
    role: Role | None
    credential: str
    user_id: str | None = None
    key_id: str | None = None
    workflows: frozenset[str] | None = None

    @property
    def known_name(self) -> str | None:
        """The name to record with what they do; None if anyone on this machine can have done it."""
        return None if self is LOCAL else self.name

    def may(self, permission: Permission) -> bool:
        """Return whether the role grants a permission; an unknown role grants nothing."""
        if self.role is None:
            return permission is Permission.PUBLIC
        return permission in GRANTS.get(self.role, frozenset())


LOCAL = Identity(name="local", role=Role.ADMIN, credential="local")
"""The sender of requests to a server on loopback that requires no credential."""

PUBLIC = Identity(name="public", role=None, credential="none")
"""The sender of requests without a credential to a server that requires one."""


def weaker(one: Role, other: Role) -> Role:
    """Return the role that permits less."""
    return min(one, other, key=_RANKS.index)


def stronger(one: Role, other: Role) -> Role:
    """Return the role that permits more."""
    return max(one, other, key=_RANKS.index)


def read_role(text: str) -> Role | None:
    """Return the role of this name; None if it does not exist."""
    return next((role for role in Role if role.value == text), None)
