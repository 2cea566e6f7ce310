"""`workflow graph` and `workflow run --dry-run`: they use only the project's files, and store nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.conftest import RunCli
from tests.harness.flows import EVERY_KIND, PROJECT
from tests.harness.projects import write_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_project(tmp_path)


def test_graph(cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("workflow", "graph", "two").out == "two\n├─ one  → two\n└─ two  → end\n"
    assert cli("workflow", "graph", "two", "--format", "mermaid").out == snapshot("""\
flowchart TD
  start(["two"])
  n0["one"]
  n1["two"]
  n0 --> n1
  start --> n0
""")
    monkeypatch.setenv("NO_UNICODE", "1")
    assert cli("workflow", "graph", "two").out == "two\n|- one  -> two\n`- two  -> end\n"
    done = cli("workflow", "graph", "tow")
    assert (done.status, done.out) == (2, "")
    assert "did you mean 'two'?" in done.err
    assert not (project / "data").exists()


def test_dry_run(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "two", "--dry-run", "--input", '{"name": "Ada"}')
    assert (done.status, done.err) == (0, "")
    assert done.out == snapshot("""\
two would run with {"name": "Ada"}
1. one  → two
   prompt: hello Ada
2. two  → end
   prompt: after ‹.tasks.one.output.text›
""")
    document = json.loads(cli("workflow", "run", "two", "--dry-run", "--format", "json").out)
    assert [task.get("prompt") for task in document["tasks"]] == ["hello World", "after ‹.tasks.one.output.text›"]
    assert not (project / "data").exists()


def test_dry_run_checks_the_input(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "compozy.yaml").write_text(PROJECT)
    (tmp_path / "workflows/every-kind.yaml").write_text(EVERY_KIND)
    monkeypatch.chdir(tmp_path)
    done = cli("workflow", "run", "every-kind", "--dry-run", "--input", '{"urgent": 3}')
    assert (done.status, done.out) == (2, "")
    assert "urgent: expected true or false, got 3" in done.err
    assert cli("workflow", "run", "every-kind", "--dry-run").status == 0
    assert not (tmp_path / "data").exists()
