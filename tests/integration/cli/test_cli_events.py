"""`compozy workflow events --follow`: the same lines from a server and from the database, as they are stored."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from compozy.cli.events_follow import STORED
from compozy.database.events import KINDS
from tests.harness.processes import Command, Commands
from tests.harness.projects import states, write_project
from tests.harness.servers import API, free_port, start_server

WAITS: dict[str, Any] = {
    "tasks": [{"id": "first", "with": {"a": 1}}, {"id": "ask", "type": "wait", "wait_for": "go"}],
}
LOG = [
    ("workflow_status", None, "RUNNING"),
    ("task_status", "first", "RUNNING"),
    ("task_status", "first", "SUCCESS"),
    ("task_status", "ask", "RUNNING"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a run that waits for a signal."""
    return write_project(tmp_path / "project", {"waits": WAITS}, server={"port": free_port()})


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _start(commands: Commands, project: Path, *, served: bool) -> Command:
    """Start the run and return the process that executes it."""
    if not served:
        command = commands.start(project, "workflow", "run", "waits", "--id", "it")
        command.until(lambda: "ask waits" in command.err)
        return command
    server = start_server(commands, project)
    server.ask("POST", f"{API}/workflows/waits/executions", {"execution_id": "it"})
    return server.command


def test_it_asks_for_every_kind_that_is_stored() -> None:
    assert STORED.split(",") == list(KINDS)


@pytest.mark.parametrize("served", [False, True], ids=["here", "server"])
def test_events_are_printed_as_they_are_stored(commands: Commands, project: Path, *, served: bool) -> None:
    _start(commands, project, served=served)
    follower = commands.start(project, "workflow", "events", "it", "--follow", "--format", "json")
    follower.until(lambda: len(_events(follower.out)) >= len(LOG))
    shown = _events(follower.out)[: len(LOG)]
    assert [(event["kind"], event["path"], event["data"]["status"]) for event in shown] == LOG
    words = commands.start(project, "workflow", "events", "it", "--follow", "--after", "3")
    words.until(lambda: "ask" in words.out)
    assert follower.is_alive

    assert commands.run(project, "workflow", "signal", "it", "go").status == 0

    ended = follower.wait()
    assert (ended.status, ended.err) == (0, "")
    stored = json.loads(commands.run(project, "workflow", "events", "it", "--format", "json").out)
    assert _events(ended.out) == [{"execution_id": "it", **event} for event in stored["events"]]
    lines = words.wait().out.splitlines()
    assert lines[0].split() == ["SEQ", "TIME", "KIND", "TASK", "EVENT"]
    assert [line.split()[0] for line in lines[1:]] == [str(event["seq"]) for event in stored["events"][3:]]
    assert lines[-1].split()[2:4] == ["workflow_status", "SUCCESS"]


@pytest.mark.parametrize("served", [False, True], ids=["here", "server"])
def test_ctrl_c_leaves_the_run_alone(commands: Commands, project: Path, *, served: bool) -> None:
    executor = _start(commands, project, served=served)
    follower = commands.start(project, "workflow", "events", "it", "--follow")
    follower.until(lambda: "ask" in follower.out)
    follower.send(signal.SIGINT)
    ended = follower.wait()
    assert (ended.status, ended.err) == (130, "")
    assert executor.is_alive
    assert states(project)[0][0] in {"RUNNING", "WAITING"}


def test_a_restarted_server_is_followed(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    server.ask("POST", f"{API}/workflows/waits/executions", {"execution_id": "it"})
    follower = commands.start(project, "workflow", "events", "it", "--follow", "--format", "json")
    follower.until(lambda: len(_events(follower.out)) >= len(LOG))
    server.command.send(signal.SIGKILL)
    server.command.wait()
    follower.until(lambda: "is not available" in follower.err)

    again = start_server(commands, project, port=server.port)
    again.ask("POST", f"{API}/executions/workflows/it/signals", {"name": "go"})

    ended = follower.wait()
    assert ended.status == 0, ended.err
    events = _events(ended.out)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["data"]["status"] == "SUCCESS"


def test_a_run_that_has_ended(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    server.ask("POST", f"{API}/workflows/waits/executions", {"execution_id": "it"})
    server.ask("POST", f"{API}/executions/workflows/it/cancel", {})
    ended = commands.run(project, "workflow", "events", "it", "--follow", "--format", "json")
    assert (ended.status, _events(ended.out)[-1]["data"]["status"]) == (0, "CANCELED")
    missing = commands.run(project, "workflow", "events", "nothing", "--follow")
    assert missing.status == 2
