"""Runs with limits on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.admission import Admission
from compozy.database.database import open_database
from compozy.database.executions import get_execution, insert_execution
from compozy.database.transitions import request_pause
from tests.conftest import RunCli
from tests.harness.databases import new_run
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


@pytest.mark.parametrize("options", [(), ("--format", "json", "--full"), ("--format", "json")])
def test_the_list_names_the_runs_that_wait(cli: RunCli, project: Path, options: tuple[str, ...]) -> None:
    _hold(cli, project)
    database = open_database(DatabaseSettings(driver="sqlite", path=str(project / "data/compozy.db")))
    with database.write() as connection:
        first = get_execution(connection, "first")
        admission = Admission(group=str(first.admission_group), concurrency=1)
        insert_execution(connection, new_run("second", workflow_id="deploy", admission=admission), owner=None)
    database.close()
    listed = cli("workflow", "list", *options)
    assert listed.status == 0
    if options:
        runs = json.loads(listed.out)["executions"]
        assert {run["execution_id"]: bool(run["waiting_since"]) for run in runs} == {"second": True, "first": False}
        return
    second, first_line = (re.split(r"  +", line) for line in listed.out.splitlines()[-2:])
    assert second == ["second", "deploy", "PENDING", "-", "-", "waits for a place"]
    assert "waits" not in first_line[-1]


def test_an_empty_key_is_an_error_with_its_way_out(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "deploy", "-i", "service=")
    assert done.status == 2
    assert "concurrency.key of workflow 'deploy' is empty for this input" in done.err
    assert "the key is {{ .input.service }}" in done.err


def test_a_run_that_is_resumed_or_canceled_is_printed_with_its_limits_and_tasks(cli: RunCli, project: Path) -> None:
    _hold(cli, project)
    for verb in ("resume", "cancel"):
        done = json.loads(cli("workflow", verb, "first", "--format", "json").out)
        got = json.loads(cli("workflow", "get", "first", "--format", "json").out)
        assert {name: done[name] for name in got} == got
        assert done["limits"]["concurrency"] == 1
        assert [task["path"] for task in done["tasks"]] == ["pass", "end"]
