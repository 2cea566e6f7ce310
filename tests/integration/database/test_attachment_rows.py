"""Rows of `attachments` are read back as they were stored, and never as something else."""

from __future__ import annotations

import base64
import hashlib

import pytest

from compozy.database.attachments import load_attachment, store_attachments
from compozy.database.database import Database
from compozy.database.executions import insert_execution
from compozy.errors import AttachmentError
from tests.harness.databases import new_run

DATA = b"a picture"
SHA256 = hashlib.sha256(DATA).hexdigest()


def test_a_stored_content_is_read_back(database: Database) -> None:
    with database.write() as connection:
        insert_execution(connection, new_run("r"), owner=None)
        store_attachments(connection, "r", {SHA256: DATA})
        assert load_attachment(connection, "r", SHA256) == DATA


@pytest.mark.parametrize("content", [base64.b64encode(b"another picture").decode(), "not base64", ""])
def test_another_content_is_refused(database: Database, content: str) -> None:
    """A document that is imported can have any content under any hash."""
    with database.write() as connection:
        insert_execution(connection, new_run("r"), owner=None)
        store_attachments(connection, "r", {SHA256: DATA})
        connection.exec_driver_sql(f"UPDATE attachments SET content = '{content}'")
        with pytest.raises(AttachmentError, match="does not have this SHA-256"):
            load_attachment(connection, "r", SHA256)
