"""API keys of each role, for tests of a server with users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from compozy.auth.accounts import KeyRequest, create_key
from compozy.auth.identity import Role
from compozy.server.gate import GuardSettings
from compozy.server.service import Service

SETTINGS = GuardSettings(host="127.0.0.1", api_key=None, auth=True, public_workflows=frozenset({"echo"}))
ADMIN = "admin@example.com"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A key of each role, and one that is limited to the workflow `two`."""

    admin: str
    user: str
    viewer: str
    limited: str

    def of(self, role: Role) -> str:
        """Return the key of a role."""
        return {Role.ADMIN: self.admin, Role.USER: self.user, Role.VIEWER: self.viewer}[role]


async def new_key(service: Service, user: str, *, name: str = "test", **more: Any) -> str:
    """Create a key and return it."""
    request = KeyRequest(name=name, user=user, **more)
    return str((await service.app.database.write_async(partial(create_key, request=request)))["api_key"])


def bearer(key: str) -> dict[str, str]:
    """Return the header with a key."""
    return {"authorization": f"Bearer {key}"}
