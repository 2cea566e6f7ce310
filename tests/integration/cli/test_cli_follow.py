"""Progress of a run in the terminal: the same lines in this process and from a server; detaching from a run."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Commands
from tests.harness.projects import states, write_project
from tests.harness.servers import free_port, start_server

FORM = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "nested": {
        "tasks": [
            {
                "id": "both",
                "type": "parallel",
                "tasks": [{"id": "quick", "prompt": "a"}, {"id": "late", "prompt": "b"}],
            },
            {"id": "last", "prompt": "c"},
        ]
    },
    "approval": {"tasks": [{"id": "ask", "type": "wait", "wait_for": "review", "form": FORM}]},
    "approvals": {
        "tasks": [
            {
                "id": "both",
                "type": "parallel",
                "tasks": [{"id": name, "type": "wait", "wait_for": name, "form": FORM} for name in ("one", "two")],
            }
        ]
    },
}
LATE = "Word by word\n\nit \x1b[31mcame."
RESPONSES = {"quick": {"text": "1"}, "late": {"text": LATE, "delay_ms": 600}, "last": {"text": "3"}}
# Text that a model writes is indented by four spaces.
TEXT = "    "
STYLE = re.compile(r"\x1b\[\d*m")
SECONDS = re.compile(r"\d+(\.\d+)?(ms|s)\b")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project whose server port is free."""
    return write_project(tmp_path / "project", WORKFLOWS, responses=RESPONSES, server={"port": free_port()})


def seen_on_terminal(folder: Path, *arguments: str) -> list[str]:
    """Run a command with a terminal as stderr and return the lines that remain on the screen."""
    screen, terminal = pty.openpty()
    command = [sys.executable, "-c", "from compozy.cli.main import main; main()", *arguments]
    environ = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, cwd=folder, stderr=terminal, stdout=subprocess.DEVNULL, env=environ) as process:
        os.close(terminal)
        data = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(screen, 65536):
                data += chunk
        os.close(screen)
        assert process.wait() == 0, data
    text = STYLE.sub("", data.decode())
    lines = [line.rpartition("\x1b[K")[2] for line in text.replace("\r\n", "\n").split("\n")]
    return [SECONDS.sub("0s", line) for line in lines if line]


def test_a_server_shows_the_lines_of_a_run_in_this_process(commands: Commands, project: Path) -> None:
    here = seen_on_terminal(project, "workflow", "run", "nested")
    assert [line.split()[:2] for line in here] == [
        ["✓", "both/quick"],
        ["✓", "both/late"],
        ["✓", "both"],
        ["✓", "last"],
    ]
    # The text of a model cannot control the terminal.
    late = [f"{TEXT}Word by word", f"{TEXT}it \\x1b[31mcame."]
    followed = seen_on_terminal(project, "workflow", "run", "nested", "--follow")
    assert followed[followed.index(late[0]) - 1] == "  … both/late"
    assert [line for line in followed if line in late] == late
    assert [line for line in followed if "✓" in line] == here
    start_server(commands, project)
    assert seen_on_terminal(project, "workflow", "run", "nested") == here
    followed = seen_on_terminal(project, "workflow", "run", "nested", "--follow")
    assert [line for line in followed if line in late] == late
    assert [line for line in followed if "✓" in line] == here


@pytest.mark.parametrize("served", [False, True], ids=["here", "server"])
def test_ctrl_c_leaves_a_run_that_waits(commands: Commands, project: Path, *, served: bool) -> None:
    server = start_server(commands, project) if served else None
    command = commands.start(project, "workflow", "run", "approval", "--id", "it")
    command.until(lambda: "ask waits" in command.err)
    assert command.err == "ask waits: compozy workflow approve it --input '{...}'\n"
    command.send(signal.SIGINT)
    done = command.wait()
    assert (done.status, done.out) == (130, "")
    assert "Detached. Execution it is" in done.err
    assert "compozy workflow get it --wait" in done.err
    assert states(project)[0][0] in {"RUNNING", "WAITING"}
    assert commands.run(project, "workflow", "approve", "it", "--input", '{"ok": true}').status == 0
    ended = commands.run(project, "workflow", "get", "it", "--wait", "--format", "json")
    assert json.loads(ended.out)["status"] == "SUCCESS"
    # The answer is stored, so no model is asked again.
    assert "waits" not in ended.err
    assert server is None or server.command.is_alive


@pytest.mark.parametrize("served", [False, True], ids=["here", "server"])
def test_the_commands_that_answer_one_of_several_tasks_work(commands: Commands, project: Path, *, served: bool) -> None:
    if served:
        start_server(commands, project)
    command = commands.start(project, "workflow", "run", "approvals", "--id", "it")
    command.until(lambda: command.err.count(" waits: ") == 2)
    hints = [f"compozy workflow approve it --task both/{name} --input '{{...}}'" for name in ("one", "two")]
    assert sorted(command.err.splitlines()) == [
        f"both/{name} waits: {hint}" for name, hint in zip(("one", "two"), hints, strict=True)
    ]
    shown = commands.run(project, "workflow", "get", "it").out
    assert [line.partition(": ")[2] for line in shown.splitlines() if " waits for an answer: " in line] == hints
    refused = commands.run(project, "workflow", "approve", "it", "--input", '{"ok": true}')
    assert (refused.status, "name one with --task: both/one, both/two" in refused.err) == (2, True)
    for hint in hints:
        words = shlex.split(hint.removeprefix("compozy ").replace("{...}", '{"ok": true}'))
        assert commands.run(project, *words).status == 0
    assert command.wait().status == 0


def test_options_that_do_not_fit_the_question_are_explained(commands: Commands, project: Path) -> None:
    limited = {"budget": {"max_requests": 1}, "tasks": [{"id": "quick", "prompt": "a"}, {"id": "last", "prompt": "b"}]}
    (project / "workflows/limited.yaml").write_text(json.dumps({"id": "limited", **limited}))
    command = commands.start(project, "workflow", "run", "limited", "--id", "spent")
    command.until(lambda: "or --deny" in command.err)
    refused = commands.run(project, "workflow", "approve", "spent", "--add-tokens", "5")
    assert "this budget is raised with --add-requests N, and denied with --deny" in refused.err
    assert commands.run(project, "workflow", "approve", "spent", "--add-requests", "2").status == 0
    assert command.wait().status == 0
    command = commands.start(project, "workflow", "run", "approval", "--id", "it")
    command.until(lambda: "ask waits" in command.err)
    refused = commands.run(project, "workflow", "approve", "it", "--add-cost", "3")
    assert "--add-cost raises a spent budget; answer this task with --input='{...}'" in refused.err
    assert commands.run(project, "workflow", "approve", "it", "--input", '{"ok": true}').status == 0
    assert command.wait().status == 0


def test_a_run_is_started_and_detached_on_a_server(commands: Commands, project: Path) -> None:
    alone = commands.run(project, "workflow", "run", "approval", "--detach")
    assert alone.status != 0
    assert "--detach needs a server" in alone.err
    assert states(project) == []
    server = start_server(commands, project)
    left = commands.run(project, "workflow", "run", "approval", "--detach", "--id", "it")
    assert (left.status, left.out) == (0, f"Execution it started on http://127.0.0.1:{server.port}\n")
    assert "compozy workflow get it --wait" in left.err
    again = commands.run(project, "workflow", "run", "approval", "--detach", "--id", "it", "--format", "json")
    assert json.loads(again.out)["execution_id"] == "it"
    assert len(states(project)) == 1
