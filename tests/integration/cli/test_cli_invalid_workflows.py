"""An invalid workflow file affects only its own workflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from compozy.errors import ProjectError
from compozy.project.load import WorkflowFiles, load_project
from tests.conftest import RunCli
from tests.harness.projects import RESPONSES, write_project

SYNTAX = "workflows/syntax.yaml:2:1: expected a value, or the `]` or `}` that closes what is open"
KEY = "workflows/file.yaml:4:5: unknown key 'promptt' in task 'x'"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with two valid workflows, one with an unknown key and one that is not YAML."""
    # The scripted answer of `x` belongs to a task of an invalid file. It must not count as an error of compozy.yaml.
    responses = {**{task: RESPONSES[task] for task in ("one", "two")}, "x": {"text": "x"}}
    folder = write_project(tmp_path, {"two": {"tasks": TASKS}}, responses=responses)
    (folder / "workflows/file.yaml").write_text("id: key\ntasks:\n  - id: x\n    promptt: hi\n")
    (folder / "workflows/syntax.yaml").write_text("id: [\n")
    return folder


TASKS = [{"id": "one", "prompt": "a"}, {"id": "two", "prompt": "b"}]


@pytest.mark.parametrize(
    "command",
    [
        ("config", "show"),
        ("migrate", "status"),
        ("migrate", "up"),
        ("knowledge", "list"),
        ("workflow", "get", "a"),
        ("workflow", "cancel", "a"),
        ("db", "check"),
        ("db", "backup", "backup.db"),
    ],
)
def test_commands_without_workflows_do_not_read_them(cli: RunCli, project: Path, command: tuple[str, ...]) -> None:
    assert cli("workflow", "run", "two", "--id", "a", "-q").status == 0
    done = cli(*command)
    assert "workflows/" not in done.err
    assert done.status == 0 or command[1] == "cancel"


def test_other_workflows_run_with_one_warning_in_sum(cli: RunCli, project: Path) -> None:
    for command in (("run", "two"), ("run", "two", "--dry-run"), ("graph", "two")):
        done = cli("workflow", *command)
        assert done.status == 0
        assert done.err == ("warning: 2 other workflow files have errors; run `compozy config validate` to list them\n")
    assert cli("workflow", "run", "two", "--quiet").err == ""
    (project / "workflows/file.yaml").unlink()
    assert cli("workflow", "run", "two").err.startswith("warning: 1 other workflow file has errors; run ")


def test_the_list_of_workflows_warns_of_each_file(cli: RunCli, project: Path) -> None:
    note = "note: invalid workflows are left out; `compozy config validate` reports every error\n"
    assert cli("workflow", "list").err == f"warning: {KEY}\nwarning: {SYNTAX}\n{note}"


@pytest.mark.parametrize(("workflow_id", "error"), [("key", KEY), ("syntax", SYNTAX)])
@pytest.mark.parametrize("command", [("run",), ("run", "--dry-run"), ("graph",)])
def test_a_broken_workflow_is_refused_with_its_errors(
    cli: RunCli, project: Path, command: tuple[str, ...], workflow_id: str, error: str
) -> None:
    done = cli("workflow", command[0], workflow_id, *command[1:])
    assert (done.status, done.out) == (5, "")
    assert done.err.startswith(error)
    assert "Error: 1 problem found" in done.err
    assert not (project / "data").exists()


def test_two_files_with_the_same_id_are_both_refused(cli: RunCli, project: Path) -> None:
    (project / "workflows/again.yaml").write_text((project / "workflows/two.yaml").read_text())
    done = cli("workflow", "run", "two")
    assert done.status == 5
    assert "duplicate workflow id 'two'" in done.err
    assert "Error: 2 problems found" in done.err


def test_validate_and_start_require_every_file(cli: RunCli, project: Path) -> None:
    for command in (("config", "validate"), ("start", "--port", "0")):
        done = cli(*command)
        assert done.status == 5
        assert KEY in done.err
        assert SYNTAX in done.err


def test_errors_of_compozy_yaml_stop_every_command(cli: RunCli, project: Path) -> None:
    (project / "compozy.yaml").write_text("nam: demo\n")
    for command in (("config", "show"), ("workflow", "run", "two"), ("workflow", "list")):
        done = cli(*command)
        assert done.status == 5
        assert "compozy.yaml:1:1: unknown key 'nam'" in done.err


def test_a_project_knows_its_valid_and_its_invalid_workflows(project: Path) -> None:
    loaded = load_project(None, cwd=project, environ={}, workflow_files=WorkflowFiles.TOLERATE)
    assert list(loaded.workflows) == ["two"]
    assert [invalid.id for invalid in loaded.invalid_workflows] == ["key", "syntax"]
    assert len(loaded.workflow_paths) == 3
    with pytest.raises(ProjectError, match="promptt"):
        loaded.workflow("key")
    assert not load_project(None, cwd=project, environ={}, workflow_files=WorkflowFiles.SKIP).workflows
    with pytest.raises(ProjectError, match="promptt"):
        load_project(None, cwd=project, environ={})


def test_an_error_is_listed_once(cli: RunCli, project: Path) -> None:
    calls = "id: calls\ntasks:\n  - id: c\n    type: workflow\n    workflow: key\n"
    (project / "workflows/calls.yaml").write_text(calls)
    assert cli("workflow", "list").err.splitlines().count(f"warning: {KEY}") == 1
