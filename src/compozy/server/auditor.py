"""Stores each request that changes something, or that was refused, in the audit log, before its answer is sent."""

from __future__ import annotations

from functools import partial

import structlog
from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from compozy.auth.identity import Identity, Permission
from compozy.database.audit import AuditEntry, append_audit
from compozy.database.database import Database
from compozy.errors import DatabaseError
from compozy.server.gate import IDENTITY, address_of
from compozy.server.permissions import find_route

_log = structlog.get_logger(__name__)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORBIDDEN = 403
_MAX_TARGET = 500


class Auditor:
    """Stores what authenticated requests did."""

    def __init__(self, database: Database, names: dict[tuple[str, str], str]) -> None:
        """Keep the names of the routes by method and path."""
        self._database = database
        self._names = names

    def watch(self, scope: Scope, send: Send) -> Send:
        """Return what sends an answer after its request was stored."""

        async def send_audited(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._store(scope, message)
            await send(message)

        return send_audited

    async def _store(self, scope: Scope, answer: Message) -> None:
        who: Identity | None = scope.get(IDENTITY)
        route = find_route(scope["method"], scope["path"])
        status = int(answer["status"])
        is_change = scope["method"] not in _READS and route.permission not in {None, Permission.PUBLIC}
        if who is None or not (is_change or status == _FORBIDDEN):
            return
        entry = AuditEntry(
            actor=who.name,
            credential=who.credential,
            action=self._names.get(route.key, f"{route.method} {route.path}")[:_MAX_TARGET],
            status=status,
            target=scope["path"][:_MAX_TARGET],
            execution_id=route.parts.get("execution_id") or _started_run(answer),
            address=address_of(scope),
        )
        try:
            await self._database.write_async(partial(append_audit, entry=entry))
        except DatabaseError as error:
            # The change was made; its answer must not say otherwise.
            _log.error("an action was not stored in the audit log", action=entry.action, error=error.message)


def _started_run(answer: Message) -> str | None:
    location = Headers(raw=answer.get("headers", [])).get("location", "")
    head, _, execution_id = location.rpartition("/")
    return execution_id if head.endswith("/executions/workflows") else None
