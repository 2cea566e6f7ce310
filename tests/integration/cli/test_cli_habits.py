"""Commands and notations of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compozy.cli.arguments import read_input, read_inputs
from compozy.errors import UsageError
from compozy.project.sources import search_upwards
from tests.conftest import RunCli
from tests.harness.projects import write_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the scripted project, in the folder that `cli` works in."""
    return write_project(tmp_path)


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        (None, None),
        (['{"a": 1}'], {"a": 1}),
        (["name=Ada"], {"name": "Ada"}),
        (["name=Ada", "count:=3", "note=a=b", "zip=01234", "empty="],
         {"name": "Ada", "count": 3, "note": "a=b", "zip": "01234", "empty": ""}),
        (['tags:=["x", "y"]'], {"tags": ["x", "y"]}),
    ],
)  # fmt: skip
def test_input_as_pairs(texts: list[str] | None, value: object) -> None:
    assert read_inputs(texts) == value


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a=1", '{"b": 2}'], "expected NAME=TEXT or NAME:=JSON"),
        (["a=1", "a=2"], "'a' is given twice"),
        (['{"a": 1}', '{"b": 2}'], "several JSON documents"),
        (["a:=[1"], "is not JSON"),
        (["name"], "is not JSON"),
    ],
)
def test_input_pairs_that_are_refused(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        read_inputs(texts)


def test_json_errors_name_their_source_and_place(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{\n "a": }')
    expected = [
        ("{", "--payload", "(line 1, column 2)", """quote it for the shell, as in --payload='{"name": "Ada"}'"""),
        (f"@{bad}", str(bad), "(line 2, column 7)", ""),
        ('{"a": 1, "a": 2}', "--payload", "twice in one object", ""),
        ("NaN", "--payload", "NaN is not a JSON value", ""),
    ]
    for text, source, place, hint in expected:
        with pytest.raises(UsageError) as caught:
            read_input(text, "--payload")
        assert caught.value.message.startswith(f"the input from {source} is not JSON: ")
        assert caught.value.message.endswith(place)
        assert caught.value.hint == hint


def test_a_run_takes_pairs(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "echo", "-i", "name=Ada", "-i", "n:=2", "--format", "json")
    assert json.loads(done.out)["input"] == {"name": "Ada", "n": 2}


def test_a_workflow_is_named_by_its_file(cli: RunCli, project: Path) -> None:
    (project / "workflows/two.yaml").rename(project / "workflows/other.yaml")
    assert cli("workflow", "run", "workflows/other.yaml").out.startswith("Workflow 'two' completed")
    done = cli("workflow", "run", "workflows/none.yaml")
    assert (done.status, done.err) == (2, "Error: workflow file 'workflows/none.yaml' not found\n")


def test_a_file_outside_of_the_project_is_refused(cli: RunCli, project: Path, tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("other")
    file = other / "two.yaml"
    file.write_text((project / "workflows/two.yaml").read_text())
    done = cli("workflow", "run", str(file))
    message = f"Error: the workflow file '{file}' is outside the project in {project}\n"
    assert (done.status, done.out, done.err) == (2, "", f"{message}  copy it to {project}/workflows\n")
    (other / "compozy.yaml").write_text("name: other\n")
    assert f"run it with `--config {other}/compozy.yaml`" in cli("workflow", "run", str(file), "--dry-run").err
    assert not (project / "data").exists()


def test_a_file_that_the_project_does_not_load_is_refused(cli: RunCli, project: Path) -> None:
    (project / "two.yaml").write_text((project / "workflows/two.yaml").read_text())
    done = cli("workflow", "run", "two.yaml")
    hint = f"  move it to {project}/workflows, or add it to `autoload.include` in compozy.yaml\n"
    assert (done.status, done.err) == (2, f"Error: the project does not load the workflow file 'two.yaml'\n{hint}")
    (project / "link.yaml").symlink_to(project / "workflows/two.yaml")
    assert cli("workflow", "run", "link.yaml").status == 0


def test_compozy_yaml_is_found_above(cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = project / "a/b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert cli("workflow", "run", "two", "--id", "it").status == 0
    assert (project / "data/compozy.db").exists()
    assert search_upwards(below) == project / "compozy.yaml"


def test_executions_are_listed_by_status(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "two", "--id", "well")
    cli("workflow", "run", "bad", "--id", "ill")
    listed = json.loads(cli("workflow", "list", "--status", "failed", "--format", "json").out)
    assert [run["execution_id"] for run in listed["executions"]] == ["ill"]
    assert cli("workflow", "list", "--status", "lost").status == 2
    for arguments in (("--status", "waiting"), ("--workflow", "x"), ("--label", "a=b"), ("--until", "2001-01-01")):
        assert "No executions in ./data/compozy.db match the filters." in cli("workflow", "list", *arguments).out


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("run", "use `compozy workflow run ID`"),
        ("logs", "use `compozy workflow get"),
        ("list", "use `compozy workflow list`"),
        ("status", "use `compozy workflow get EXECUTION`"),
        ("ingest", "use `compozy knowledge ingest`"),
        ("approve", "use `compozy workflow approve EXECUTION`"),
        ("backup", "use `compozy db backup`"),
        ("check", "use `compozy config validate`"),
    ],
)
def test_commands_of_other_tools_are_answered_with_ours(cli: RunCli, project: Path, word: str, hint: str) -> None:
    done = cli(word)
    assert done.status == 2
    assert done.err.splitlines()[0] == f"Error: No such command '{word}'."
    assert hint in done.err
    assert hint in cli("workflow", word).err or cli("workflow", word, "--help").status == 0
