"""A backup in which the content of an attachment was exchanged is refused, and nothing is changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import sqlalchemy as sa

from compozy.database.attachments import store_attachments
from compozy.database.database import Database
from compozy.database.executions import insert_execution
from compozy.database.tables import attachments
from tests.conftest import RunCli
from tests.harness.databases import new_run
from tests.harness.moves import PROJECT
from tests.harness.postgres import find_program
from tests.harness.projects import write_project

_DATA = b"a picture"
_SHA256 = hashlib.sha256(_DATA).hexdigest()


def test_an_exchanged_attachment_is_not_restored(
    cli: RunCli, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(find_program("pg_dump").parent), prepend=":")
    section = database.settings.model_dump(mode="json", exclude_unset=True)
    section = {key: value for key, value in section.items() if key != "password"}
    write_project(tmp_path, {}, name=PROJECT, database=section)
    with database.write() as connection:
        for run_id in ("r", "tab\t", "ünï"):
            insert_execution(connection, new_run(run_id), owner=None)
            store_attachments(connection, run_id, {_SHA256: _DATA})
    assert cli("db", "backup", "good.backup").status == 0
    exchange = sa.update(attachments).values(content="YW5vdGhlciBwaWN0dXJl")
    with database.write() as connection:
        connection.execute(exchange.where(attachments.c.workflow_exec_id == "r"))
    checked = cli("db", "check")
    assert checked.status == 4
    assert f"✗ every attachment has the content of its SHA-256: r/{_SHA256}\n" in checked.out
    assert cli("db", "backup", "bad.backup").status == 0
    database.close()
    assert cli("db", "restore", "good.backup", "--force").status == 0
    refused = cli("db", "restore", "bad.backup", "--force")
    assert refused.status == 4
    assert "'bad.backup' is damaged: 1 attachment without the content of its SHA-256: r/" in refused.err
    assert "✓ every attachment has the content of its SHA-256" in cli("db", "check").out
