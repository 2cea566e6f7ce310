"""`compozy auth`: API keys and the audit log in the database of a project."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from compozy.database.audit import AuditEntry, append_audit
from compozy.project.load import WorkflowFiles, load_project
from compozy.storage import close_storage, open_storage
from tests.conftest import RunCli
from tests.harness.projects import write_project


@pytest.fixture
def project(tmp_path: Path, cli: RunCli) -> Path:
    """A project with an administrator and a workflow file with an error."""
    folder = write_project(tmp_path)
    (folder / "workflows/broken.yaml").write_text('{"id": "broken", "tasks": [{}]}', encoding="utf-8")
    assert cli("auth", "bootstrap", "--email", "ana@example.com").status == 0
    return folder


def test_a_key_is_for_workflows_of_the_project(cli: RunCli, project: Path) -> None:
    create = ("auth", "keys", "create", "ci", "--user", "ana@example.com", "--workflow", "two")
    refused = cli(*create, "--workflow", "ecco")
    assert (refused.status, refused.err.splitlines()) == (
        2,
        ["Error: no workflow 'ecco' in project 'demo'", "  did you mean 'echo'?"],
    )
    created = cli(*create, "--workflow", "broken", "--format", "json")
    assert json.loads(created.out)["workflows"] == ["two", "broken"]


def test_long_paths_in_the_audit_log_are_cut_on_a_terminal(cli: RunCli, project: Path) -> None:
    target = "/api/v0/users/" + "x" * 480
    settings = load_project(None, cwd=project, environ={}, workflow_files=WorkflowFiles.SKIP)
    database = open_storage(settings, wait_for_lock_s=0.0)
    with database.write() as connection:
        entry = AuditEntry(actor="ana@example.com", credential="key", action="delete_user", status=404, target=target)
        append_audit(connection, entry)
    close_storage(database)
    heading, row, other = _printed_on_terminal(project, "auth", "audit")
    assert f"  {target[:77]}...  -" in row
    assert max(map(len, (heading, row, other))) < 240
    assert f"  {target}  -" in cli("auth", "audit").out
    assert json.loads(cli("auth", "audit", "--format", "json").out)["entries"][0]["target"] == target


def _printed_on_terminal(folder: Path, *arguments: str) -> list[str]:
    """Run a command with a terminal as stdout and return its lines."""
    screen, terminal = pty.openpty()
    command = [sys.executable, "-c", "from compozy.cli.main import main; main()", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=terminal, env={**os.environ, "NO_COLOR": "1"}) as process:
        os.close(terminal)
        data = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(screen, 65536):
                data += chunk
        os.close(screen)
        assert process.wait() == 0, data
    return data.decode().splitlines()
