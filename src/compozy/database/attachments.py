"""Rows of `attachments`: the content that a run sends to models, kept until the run is deleted."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from compozy.database.tables import attachments, insert_if_new
from compozy.errors import AttachmentError, InternalError

# Characters of a SHA-256.
_SHOWN = 64


def store_attachments(connection: sa.Connection, workflow_exec_id: str, contents: Mapping[str, bytes]) -> None:
    """Store contents by their SHA-256; those that are stored are kept."""
    for sha256, data in sorted(contents.items()):
        values = {"workflow_exec_id": workflow_exec_id, "sha256": sha256, "content": base64.b64encode(data).decode()}
        connection.execute(insert_if_new(attachments), values)


def load_attachment(connection: sa.Connection, workflow_exec_id: str, sha256: str) -> bytes:
    """Return the content of this SHA-256.

    Raises:
        InternalError: it is not stored.
        AttachmentError: what is stored is not this content.
    """
    query = sa.select(attachments.c.content).where(_is_key(workflow_exec_id, sha256))
    content = connection.execute(query).scalar()
    if content is None:
        raise InternalError(f"the database does not hold the attachment {sha256} of execution {workflow_exec_id!r}")
    data = _content_of(sha256, content)
    if data is None:
        # It came with an imported document, or the database was changed.
        raise AttachmentError(
            f"the stored content of attachment {sha256} of execution {workflow_exec_id!r} does not have this SHA-256",
            hint="import or restore the execution again, or start it again",
        )
    return data


def check_attachment(row: Mapping[str, Any]) -> None:
    """Refuse a row whose content does not have its SHA-256.

    Raises:
        ValueError: names the attachment.
    """
    sha256, content = row.get("sha256"), row.get("content")
    if isinstance(sha256, str) and isinstance(content, str) and _content_of(sha256, content) is None:
        raise ValueError(
            f"the content of attachment {sha256[:_SHOWN]} of execution {row.get('workflow_exec_id')!r} does not have "
            "this SHA-256"
        )


def list_damaged_attachments(connection: sa.Connection) -> list[str]:
    """Return the execution and SHA-256 of each attachment whose content does not have its SHA-256."""
    keys = sa.select(attachments.c.workflow_exec_id, attachments.c.sha256).order_by(*attachments.primary_key)
    content = sa.select(attachments.c.content)
    # One content at a time: together they may not fit in memory.
    return find_damaged(
        (run_id, sha256, str(connection.execute(content.where(_is_key(run_id, sha256))).scalar_one()))
        for run_id, sha256 in connection.execute(keys).all()
    )


def find_damaged(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return the execution and SHA-256 of each row (execution, SHA-256, content) with another content."""
    return [f"{run_id}/{sha256}" for run_id, sha256, content in rows if _content_of(sha256, content) is None]


def _is_key(run_id: str, sha256: str) -> sa.ColumnElement[bool]:
    return sa.and_(attachments.c.workflow_exec_id == run_id, attachments.c.sha256 == sha256)


def _content_of(sha256: str, content: str) -> bytes | None:
    """Return stored content as bytes; None if it does not have this SHA-256."""
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None
