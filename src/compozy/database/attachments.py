"""Rows of `attachments`: the content that a run sends to models, kept until the run is deleted."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

import sqlalchemy as sa

from compozy.database.tables import attachments, insert_if_new
from compozy.errors import AttachmentError, InternalError


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
    query = sa.select(attachments.c.content).where(
        attachments.c.workflow_exec_id == workflow_exec_id, attachments.c.sha256 == sha256
    )
    content = connection.execute(query).scalar()
    if content is None:
        raise InternalError(f"the database does not hold the attachment {sha256} of execution {workflow_exec_id!r}")
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if hashlib.sha256(data).hexdigest() != sha256:
        # It came with an imported document, or the database was changed.
        raise AttachmentError(
            f"the stored content of attachment {sha256} of execution {workflow_exec_id!r} does not have this SHA-256",
            hint="import or restore the execution again, or start it again",
        )
    return data
