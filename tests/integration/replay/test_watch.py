"""`compozy test --watch`: changed files run the tests that they affect again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from compozy.installation import own_command
from tests.conftest import RunCli
from tests.harness.projects import write_project

WAITING = "Waiting for changes. Press Ctrl-C to stop."


def flow(value: str) -> dict[str, Any]:
    """Return a workflow without a model."""
    return {"tasks": [{"id": "one", "with": {"x": value}}], "output": {"x": "{{ .tasks.one.output.x }}"}}


def write_tests(folder: Path, workflow: str, *names: str) -> None:
    """Write the tests of a workflow, all of which expect `a`."""
    cases = [{"name": name, "expect": {"output": {"x": "a"}}} for name in names]
    (folder / "tests").mkdir(exist_ok=True)
    (folder / f"tests/{workflow}.test.yaml").write_text(json.dumps({"workflow": workflow, "tests": cases}))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two workflows and a test of each."""
    monkeypatch.delenv("CI", raising=False)
    write_project(tmp_path, {"first": flow("a"), "second": flow("a")})
    write_tests(tmp_path, "first", "first")
    write_tests(tmp_path, "second", "second")
    return tmp_path


@pytest.fixture
def watching(project: Path) -> Generator[subprocess.Popen[str], None, None]:
    """The command, with all output on one pipe."""
    pipe, merged = subprocess.PIPE, subprocess.STDOUT
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [*own_command(), "test", "--watch"]
    process = subprocess.Popen(command, cwd=project, stdout=pipe, stderr=merged, text=True, env=environ)
    yield process
    process.kill()
    process.communicate()


def until_waiting(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines before the command waits again."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if line.strip() == WAITING:
            return lines
        lines.append(line.strip())
    raise AssertionError(f"the command ended: {lines}")


def test_affected_tests_run_again(project: Path, watching: subprocess.Popen[str]) -> None:
    first, second = "./tests/first.test.yaml: first", "./tests/second.test.yaml: second"
    assert until_waiting(watching) == [f"✓ {first}", f"✓ {second}", "2 tests passed"]

    file = project / "workflows/second.yaml"
    file.write_text(file.read_text().replace('"a"', '"b"'))
    lines = until_waiting(watching)
    assert lines[0] == f"✗ {second}"
    assert lines[-1] == "1 test failed, 0 passed"

    write_tests(project, "first", "first", "third")
    assert until_waiting(watching) == ["✓ ./tests/first.test.yaml: third", "1 test passed"]

    file.write_text("id: second\ntasks: [")
    assert "workflows/second.yaml" in "\n".join(until_waiting(watching))
    file.write_text(json.dumps({"id": "second", **flow("a")}))
    assert until_waiting(watching) == [f"✓ {second}", "1 test passed"]

    watching.send_signal(signal.SIGINT)
    assert watching.wait() == 0


def test_nothing_can_watch_in_ci(cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("test", "--watch", "--format", "json").status == 2
    monkeypatch.setenv("CI", "1")
    ran = cli("test", "--watch")
    assert ran.status == 2
    assert "`--watch` does not work if CI is set" in ran.err
