"""`compozy auth`: API keys and the audit log in the database of a project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
