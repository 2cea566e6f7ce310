"""Stores each request that changes something, or that was refused, in the audit log, before its answer is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
import structlog
from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from compozy.auth.identity import Identity, Permission
from compozy.database.audit import AuditEntry, append_audit, set_audit_status
from compozy.database.database import Database
from compozy.errors import DatabaseError
from compozy.server.gate import IDENTITY, address_of
from compozy.server.permissions import find_route

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORBIDDEN = 403
_ACCEPTED = 202
_MAX_TARGET = 500
# Where a request keeps its entry of the audit log.
_ENTRY = "compozy.audit"


class Auditor:
    """Stores what authenticated requests did."""

    def __init__(self, database: Database, names: dict[tuple[str, str], str]) -> None:
        """Keep the names of the routes by method and path."""
        self._database = database
        self._names = names

    def watch(self, scope: Scope, send: Send) -> Send:
        """Return what sends an answer after its request was stored."""
        entry = scope[_ENTRY] = _RequestEntry(auditor=self, scope=scope)

        async def send_audited(message: Message) -> None:
            if message["type"] == "http.response.start":
                await entry.store(int(message["status"]), _started_run(message))
            await send(message)

        return send_audited

    async def append(self, scope: Scope, status: int, execution_id: str | None) -> str | None:
        """Store a request if it changes something or was refused; return the ID of its entry."""
        who: Identity | None = scope.get(IDENTITY)
        route = find_route(scope["method"], scope["path"])
        is_change = scope["method"] not in _READS and route.permission not in {None, Permission.PUBLIC}
        if who is None or not (is_change or status == _FORBIDDEN):
            return None
        entry = AuditEntry(
            actor=who.name,
            credential=who.credential,
            action=self._names.get(route.key, f"{route.method} {route.path}")[:_MAX_TARGET],
            status=status,
            target=scope["path"][:_MAX_TARGET],
            execution_id=route.parts.get("execution_id") or execution_id,
            address=address_of(scope),
        )
        return await self.write(partial(append_audit, entry=entry), entry.action)

    async def write(self, change: Callable[[sa.Connection], T], action: str) -> T | None:
        """Make a change of the audit log; if it fails, log that and return None."""
        try:
            return await self._database.write_async(change)
        except DatabaseError as error:
            # The change was made; its answer must not say otherwise.
            _log.error("an action was not stored in the audit log", action=action, error=error.message)
            return None


@dataclass(kw_only=True)
class _RequestEntry:
    """The entry of one request: stored with its answer, or earlier if the request waits for a run."""

    auditor: Auditor
    scope: Scope
    audit_id: str | None = None

    async def store(self, status: int, execution_id: str | None) -> None:
        """Store the request, or the status of its answer if the request was stored before."""
        if self.audit_id is None:
            self.audit_id = await self.auditor.append(self.scope, status, execution_id)
        else:
            change = partial(set_audit_status, audit_id=self.audit_id, status=status)
            await self.auditor.write(change, self.scope["path"])


async def audit_accepted(scope: Scope, execution_id: str) -> None:
    """Store that a request started a run, for whose end it waits now.

    The entry exists also if the process or the client ends before the run.
    """
    entry: _RequestEntry | None = scope.get(_ENTRY)
    if entry is not None:
        await entry.store(_ACCEPTED, execution_id)


def _started_run(answer: Message) -> str | None:
    location = Headers(raw=answer.get("headers", [])).get("location", "")
    head, _, execution_id = location.rpartition("/")
    return execution_id if head.endswith("/executions/workflows") else None
