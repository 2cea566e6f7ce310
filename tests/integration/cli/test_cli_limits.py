"""Runs with limits on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import open_database
from compozy.database.transitions import request_pause
from tests.conftest import RunCli
from tests.harness.projects import write_project

WORKFLOW = {
    "concurrency": {"limit": 1, "key": "{{ .input.service }}"},
    "tasks": [{"id": "pass", "with": {"x": 1}}, {"id": "end", "with": {"x": 2}}],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project whose runs have a limit."""
    return write_project(tmp_path, {"deploy": WORKFLOW})


def _hold(cli: RunCli, project: Path) -> None:
    """Leave a run that is paused before its end, and keeps its place."""
    assert cli("workflow", "run", "deploy", "--id", "first", "--input", '{"service": "web"}').status == 0
    database = open_database(DatabaseSettings(driver="sqlite", path=str(project / "data/compozy.db")))
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE workflow_states SET status = 'RUNNING', finished_ms = NULL")
        request_pause(connection, "first")
    database.close()


def test_a_run_says_for_which_it_waits_until_its_time_is_over(cli: RunCli, project: Path) -> None:
    _hold(cli, project)
    done = cli("workflow", "run", "deploy", "--id", "b", "-i", "service=web", "--timeout", "1s")
    assert done.status == 1
    assert "the execution waits for a place; 1 open with the key 'web': first" in done.err
    assert "it had no place within its time limit" in done.err + done.out
    other = cli("workflow", "run", "deploy", "--id", "c", "-i", "service=mail")
    assert (other.status, other.err) == (0, "")
    assert "waits for a place" not in cli("workflow", "get", "b").out


def test_an_empty_key_is_an_error_with_its_way_out(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "deploy", "-i", "service=")
    assert done.status == 2
    assert "concurrency.key of workflow 'deploy' is empty for this input" in done.err
    assert "the key is {{ .input.service }}" in done.err
