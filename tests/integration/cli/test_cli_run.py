"""`compozy workflow run`, `list` and `get` in this process: results, exit codes, stdout and stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.conftest import RunCli
from tests.harness.projects import check_consistent, states, write_project
from tests.integration.cli.printed import normal


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the scripted project, in the folder that `cli` works in."""
    return write_project(tmp_path)


def test_a_run_prints_two_lines(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "two")
    assert (done.status, done.err) == (0, "")
    assert done.out == 'Workflow \'two\' completed successfully\nResult: {"last": "second"}\n'
    check_consistent(project)


def test_a_run_as_json_is_one_document(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "two", "--format", "json", "--id", "a", "--input", '{"name": "Ü"}')
    assert (done.status, done.err) == (0, "")
    document = json.loads(normal(done.out))
    assert document == snapshot(
        {
            "execution_id": "a",
            "workflow_id": "two",
            "status": "SUCCESS",
            "input": {"name": "Ü"},
            "output": {"last": "second"},
            "error": None,
            "usage": [
                {
                    "provider": "s",
                    "model": "scripted",
                    "input_tokens": 3,
                    "output_tokens": 2,
                    "requests": 2,
                    "cost": 0.0,
                    "unpriced_requests": 0,
                }
            ],
            "cost": 0.0,
            "unpriced_requests": 0,
            "created_at": "TIME",
            "started_at": "TIME",
            "finished_at": "TIME",
            "journal_format": 1,
            "requested": None,
            "rerun_of": None,
            "origin": None,
            "trigger": {"type": "cli", "id": None, "by": None},
            "labels": {},
            "queue": "default",
            "priority": 0,
            "limits": None,
            "warnings": [],
            "fallbacks": [],
            "tasks": [
                {
                    "task_id": "one",
                    "path": "one",
                    "parent": None,
                    "type": "basic",
                    "status": "SUCCESS",
                    "attempts": 1,
                    "input": {"prompt": "hello Ü"},
                    "output": {"text": "first", "response": "first"},
                    "error": None,
                    "waits_for": None,
                    "signal_arrived": False,
                    "answered_by": None,
                    "usage": [
                        {
                            "input_tokens": 3,
                            "output_tokens": 2,
                            "requests": 1,
                            "provider": "s",
                            "model": "scripted",
                            "cost": 0.0,
                            "unpriced_requests": 0,
                        }
                    ],
                    "cost": 0.0,
                    "unpriced_requests": 0,
                    "created_at": "TIME",
                    "started_at": "TIME",
                    "finished_at": "TIME",
                },
                {
                    "task_id": "two",
                    "path": "two",
                    "parent": None,
                    "type": "basic",
                    "status": "SUCCESS",
                    "attempts": 1,
                    "input": {"prompt": "after first"},
                    "output": {"text": "second", "response": "second"},
                    "error": None,
                    "waits_for": None,
                    "signal_arrived": False,
                    "answered_by": None,
                    "usage": [
                        {
                            "input_tokens": 0,
                            "output_tokens": 0,
                            "requests": 1,
                            "provider": "s",
                            "model": "scripted",
                            "cost": 0.0,
                            "unpriced_requests": 0,
                        }
                    ],
                    "cost": 0.0,
                    "unpriced_requests": 0,
                    "created_at": "TIME",
                    "started_at": "TIME",
                    "finished_at": "TIME",
                },
            ],
        }
    )


def test_a_failed_run_names_task_cause_and_execution(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "bad")
    assert (done.status, done.out) == (1, "")
    assert normal(done.err) == snapshot("""\
Error: workflow 'bad' failed in task 'bad'
  provider 's' answered with its scripted error: boom
  execution ID
""")
    assert [status for status, _ in states(project)] == ["FAILED"]
    check_consistent(project)


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            'type: collection, items: "{{ .input.l }}", task: {id: x, with: {n: 1}}',
            "workflows/odd.yaml:2:43: `items` is a list, a map, a whole number or JSON, got true",
        ),
        (
            'type: collection, items: [a, a], task: {id: "t-{{ .item }}", with: {n: 1}}',
            "workflows/odd.yaml:2:62: 1 task ID of the collection used more than once, such as 't-a'",
        ),
        (
            'type: composite, tasks: [{id: b, with: {n: "{{ div 1 .input.z }}"}}]',
            "its task 'b' failed: workflows/odd.yaml:2:64: error calling div: runtime error: integer divide by zero",
        ),
        (
            'type: parallel, tasks: [{id: b, with: {n: "{{ div 1 .input.z }}"}}]',
            "1 of 1 task inside it failed: 'b': workflows/odd.yaml:2:63:",
        ),
    ],
)
def test_an_error_in_a_container_is_reported_with_its_location(
    cli: RunCli, project: Path, task: str, told: str
) -> None:
    (project / "workflows/odd.yaml").write_text(f"id: odd\ntasks: [{{id: a, {task}}}]\n")
    done = cli("workflow", "run", "odd", "--input", '{"l": true, "z": 0}')
    assert done.status == 1
    assert done.err.splitlines()[1].startswith(f"  {told}")


def test_a_failed_run_as_json(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "bad", "-f", "json")
    assert (done.status, done.err) == (1, "")
    document = json.loads(done.out)
    assert (document["status"], document["output"]) == ("FAILED", None)
    assert document["error"] == snapshot(
        {
            "code": "model",
            "message": "provider 's' answered with its scripted error: boom",
            "details": {"provider": "s", "model": "scripted", "task": "bad"},
        }
    )
    assert [(task["task_id"], task["status"]) for task in document["tasks"]] == [("one", "SUCCESS"), ("bad", "FAILED")]


def test_lists_in_text(cli: RunCli, project: Path) -> None:
    assert normal(cli("workflow", "list").out) == snapshot("""\
WORKFLOW  TASKS  FILE                 NAME
bad       3      workflows/bad.yaml
echo      1      workflows/echo.yaml
slow      2      workflows/slow.yaml
two       2      workflows/two.yaml

No executions in ./data/compozy.db yet.
""")
    cli("workflow", "run", "two", "--id", "first")
    cli("workflow", "run", "bad", "--id", "second")
    done = cli("workflow", "list")
    assert (done.status, done.err) == (0, "")
    assert normal(done.out) == snapshot("""\
WORKFLOW  TASKS  FILE                 NAME
bad       3      workflows/bad.yaml
echo      1      workflows/echo.yaml
slow      2      workflows/slow.yaml
two       2      workflows/two.yaml

EXECUTION  WORKFLOW  STATUS   STARTED                   TIME
second     bad       FAILED   TIME  0.0s
first      two       SUCCESS  TIME  0.0s
""")
    assert "first" not in cli("workflow", "list", "--limit", "1").out


def test_lists_as_json(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "two", "--id", "first")
    document = json.loads(cli("workflow", "list", "--format=json").out)
    assert document["workflows"][-1] == snapshot(
        {
            "id": "two",
            "name": None,
            "description": None,
            "file": "workflows/two.yaml",
            "tasks": ["one", "two"],
            "chat": None,
        }
    )
    (run,) = document["executions"]
    assert (run["execution_id"], run["status"], run["trigger"]["type"]) == ("first", "SUCCESS", "cli")
    assert not {"tasks", "input", "output", "usage"} & set(run)
    (full,) = json.loads(cli("workflow", "list", "--format=json", "--full").out)["executions"]
    assert (full["output"], full["usage"][0]["requests"]) == ({"last": "second"}, 2)


def test_lists_are_filtered(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "two", "--id", "first", "--label", "team=ops", "--label", "env=prod")
    cli("workflow", "run", "bad", "--id", "second", "--label", "team=dev")

    def found(*options: str) -> list[str]:
        listed = cli("workflow", "list", "--format=json", *options)
        assert listed.status == 0, listed.err
        return [run["execution_id"] for run in json.loads(listed.out)["executions"]]

    assert found("--label", "team") == found("--trigger=cli") == found("--since=1h") == ["second", "first"]
    assert found("--label=team=ops") == found("--workflow=two") == found("--search=PROD") == ["first"]
    assert found("--search=boom", "--status=failed") == ["second"]
    assert found("--until=1h") == found("--started-by=ada") == found("--parent=first") == []
    refused = cli("workflow", "run", "two", "--label", "team")
    assert (refused.status, refused.err.splitlines()[0]) == (2, "Error: --label: expected NAME=VALUE, got 'team'")


def test_one_execution_in_text_and_as_json(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "two", "--id", "first")
    shown = cli("workflow", "get", "first")
    assert (shown.status, shown.err) == (0, "")
    assert normal(shown.out) == snapshot("""\
Execution first
Workflow  two
Status    SUCCESS
Started   TIME
Time      0.0s

TASK  STATUS   ATTEMPTS  TIME  TOKENS  MODEL
one   SUCCESS  1         0.0s  3 + 2   s/scripted
two   SUCCESS  1         0.0s  0 + 0   s/scripted

Result: {"last": "second"}
""")
    ran = cli("workflow", "run", "two", "--id", "first", "--format", "json").out
    assert cli("workflow", "get", "first", "--format", "json").out == ran


def test_a_failed_execution_is_shown_with_status_1(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "bad", "--id", "it")
    shown = cli("workflow", "get", "it", "--wait")
    assert (shown.status, "boom" in shown.err, "FAILED" in shown.out) == (1, True, True)


def test_an_unknown_execution(cli: RunCli, project: Path) -> None:
    none_yet = cli("workflow", "get", "x")
    assert (none_yet.status, none_yet.out) == (2, "")
    assert none_yet.err == snapshot("""\
Error: no execution 'x': ./data/compozy.db has no runs yet
  run a workflow first: `compozy workflow run ID`
""")
    assert not (project / "data").exists()
    cli("workflow", "run", "two")
    unknown = cli("workflow", "get", "x")
    assert (unknown.status, unknown.err) == (
        2,
        snapshot("""\
Error: execution 'x' not found in this database
  list executions with `compozy workflow list`
"""),
    )


def test_an_unknown_workflow(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "tow")
    assert (done.status, done.out, done.err) == (
        2,
        "",
        snapshot("""\
Error: no workflow 'tow' in project 'demo'
  did you mean 'two'?
"""),
    )
    as_json = cli("workflow", "run", "tow", "--format", "json")
    assert (as_json.status, as_json.err) == (2, "")
    assert json.loads(as_json.out)["error"]["code"] == "not_found"
    assert not (project / "data").exists()
