"""Executions by the start of their ID, and completion of IDs in the shell."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CLOSED_PORT
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import WORKFLOWS, write_project
from tests.harness.servers import free_port, start_server
from tests.harness.stores import open_store

pytestmark = pytest.mark.usefixtures("port_of_file")

WAITS = {"tasks": [{"id": "ask", "type": "wait", "wait_for": "go"}]}
LISTED = "execution ID 'run-' is ambiguous: it is the start of run-c, run-bb, run-b, run-a"


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return a project on a new database of each driver."""
    with open_store(request.param, tmp_path / "project") as store:
        workflows = {**WORKFLOWS, "waits": WAITS}
        yield write_project(store.home, workflows, database=store.section, server={"port": free_port()})


@pytest.mark.parametrize("is_served", [False, True], ids=["here", "server"])
def test_the_start_of_an_id_is_enough(commands: Commands, project: Path, *, is_served: bool) -> None:
    if is_served:
        start_server(commands, project, port=json.loads((project / "compozy.yaml").read_text())["server"]["port"])
    for run_id in ("run-a", "run-b", "run-bb", "run-c"):
        assert commands.run(project, "workflow", "run", "two", "--id", run_id).status == 0
    got = commands.run(project, "workflow", "get", "run-c", "--format", "json")
    assert json.loads(got.out)["execution_id"] == "run-c"
    # A complete ID is that execution, even if other IDs start with it.
    assert commands.run(project, "workflow", "get", "run-b").out.startswith("Execution run-b\n")
    for words in (["get"], ["cancel"], ["rerun"], ["resume"]):
        done = commands.run(project, "workflow", *words, "run-")
        assert (done.status, done.out, done.err) == (2, "", f"Error: {LISTED}\n  type more characters of the ID\n")
    # Too short to be unique, and a character that is a wildcard of LIKE.
    for text in ("run", "run_", "RUN-A"):
        assert f"execution '{text}' not found in this database" in commands.run(project, "workflow", "get", text).err
    commands.run(project, "workflow", "rerun", "run-a", "--id", "other-1")
    again = commands.run(project, "workflow", "rerun", "othe", "--id", "third", "--format", "json")
    assert json.loads(again.out)["rerun_of"] == "other-1", again.err


def test_a_run_is_signaled_by_the_start_of_its_id(commands: Commands, project: Path) -> None:
    start_server(commands, project, port=json.loads((project / "compozy.yaml").read_text())["server"]["port"])
    assert commands.run(project, "workflow", "run", "waits", "--id", "approval-17", "--detach").status == 0
    paused = commands.run(project, "workflow", "pause", "appro")
    assert paused.out.startswith("Execution approval-17 "), paused.err
    assert commands.run(project, "workflow", "resume", "appro").out == "Execution approval-17 resumed\n"
    signaled = commands.run(project, "workflow", "signal", "appro", "go")
    assert signaled.out == "Signal 'go' sent to execution approval-17\n"
    assert commands.run(project, "workflow", "get", "appro", "--wait").status == 0


def complete(commands: Commands, project: Path, line: str, **variables: str) -> list[str]:
    """Return the completions that bash would offer for a command line, for its last word."""
    words = line.split(" ")
    environ = {
        "_COMPOZY_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "PATH": os.environ["PATH"],
        **variables,
    }
    done = commands.run(project, conditions=Conditions(environ=environ))
    assert done.err == ""
    return done.out.split()


@pytest.mark.parametrize("is_served", [False, True], ids=["here", "server"])
def test_the_shell_completes_ids(commands: Commands, project: Path, *, is_served: bool) -> None:
    if is_served:
        start_server(commands, project, port=json.loads((project / "compozy.yaml").read_text())["server"]["port"])
    (project / "workflows/broken.yaml").write_text("id: broken\ntask: []\n")
    commands.run(project, "workflow", "run", "two", "--id", "run-a")
    commands.run(project, "workflow", "run", "two", "--id", "other")
    assert complete(commands, project, "compozy workflow run ") == ["bad", "broken", "echo", "slow", "two", "waits"]
    assert complete(commands, project, "compozy workflow graph t") == ["two"]
    assert complete(commands, project, "compozy workflow get ") == ["other", "run-a"]
    assert complete(commands, project, "compozy workflow cancel r") == ["run-a"]
    for line in ("compozy workflow run ", "compozy workflow get "):
        assert complete(commands, project.parent, line, SERVER_PORT=CLOSED_PORT) == []
