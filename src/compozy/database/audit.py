"""Rows of `audit_log`: what users and keys did on a server."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.plaintext import escape_unstorable
from compozy.database.tables import audit_log
from compozy.ids import new_audit_id


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One action.

    Args:
        actor: name of the user, or `server.api_key`, `public` or `command`.
        credential: the proof of the actor, without anything secret.
        action: name of the operation, such as `cancel_execution`.
        status: HTTP status of the answer; 202 for a run whose request still waits for its end; 200 for a command on
            the database.
        target: path of the request, or the object of a command.
        execution_id: the run that it was about or that it started.
        address: address of the client; None for a command.
    """

    actor: str
    credential: str
    action: str
    status: int
    target: str | None = None
    execution_id: str | None = None
    address: str | None = None
    audit_id: str = ""
    created_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """The entries to list; None for all. `before` is the ID of the last entry of the previous page."""

    limit: int
    before: str | None = None
    actor: str | None = None
    action: str | None = None
    execution_id: str | None = None


def append_audit(connection: sa.Connection, entry: AuditEntry) -> str:
    """Store an action with its time, and return the ID of its entry.

    Characters that a database cannot store, such as NUL, are escaped.
    """
    values = {
        name: escape_unstorable(value) if isinstance(value, str) else value for name, value in asdict(entry).items()
    }
    audit_id = new_audit_id()
    connection.execute(sa.insert(audit_log), {**values, "audit_id": audit_id, "created_ms": now_ms()})
    return audit_id


def set_audit_status(connection: sa.Connection, audit_id: str, status: int) -> None:
    """Store the status of the answer in an entry that was stored before the answer was known."""
    connection.execute(sa.update(audit_log).where(audit_log.c.audit_id == audit_id).values(status=status))


def list_audit(connection: sa.Connection, wanted: AuditFilter) -> list[AuditEntry]:
    """Return actions, the newest first."""
    query = sa.select(audit_log).order_by(audit_log.c.audit_id.desc()).limit(wanted.limit)
    if wanted.before is not None:
        query = query.where(audit_log.c.audit_id < wanted.before)
    for name in ("actor", "action", "execution_id"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(audit_log.c[name] == value)
    return [AuditEntry(**row) for row in connection.execute(query).mappings()]
