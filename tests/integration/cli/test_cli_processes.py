"""`compozy` as real processes: signals, several processes on one file, kills, and unusual environments."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Command, Commands, Conditions, forked_cpu_s
from tests.harness.projects import (
    DATABASE,
    RESPONSES,
    SLOW_MS,
    WORKFLOWS,
    check_consistent,
    query,
    states,
    task_states,
    write_project,
)

PYTHON = sys.executable


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the scripted project."""
    return write_project(tmp_path / "p")


def make_fast(folder: Path) -> None:
    """Let the slow task answer immediately, as if its model had recovered."""
    text = (folder / "compozy.yaml").read_text()
    assert str(SLOW_MS) in text
    (folder / "compozy.yaml").write_text(text.replace(str(SLOW_MS), "1"))


def until_slow(folder: Path, command: Command) -> None:
    command.until(lambda: ("slow", "RUNNING") in task_states(folder))


# Signals.


def test_ctrl_c_cancels_the_run(commands: Commands, project: Path) -> None:
    command = commands.start(project, "workflow", "run", "slow", "--id", "it")
    until_slow(project, command)
    command.send(signal.SIGINT)
    done = command.wait()
    assert (done.status, done.out) == (130, "")
    assert "canceling the run" in done.err
    assert "workflow 'slow' was canceled" in done.err
    assert "Traceback" not in done.err
    assert states(project) == [("CANCELED", None)]
    assert task_states(project) == [("one", "SUCCESS"), ("slow", "CANCELED")]
    check_consistent(project)
    shown = commands.run(project, "workflow", "get", "it", "--wait")
    assert (shown.status, "CANCELED" in shown.out) == (1, True)


def test_ctrl_c_as_json_still_prints_one_document(commands: Commands, project: Path) -> None:
    command = commands.start(project, "workflow", "run", "slow", "--format", "json", "--quiet")
    until_slow(project, command)
    command.send(signal.SIGINT)
    done = command.wait()
    assert (done.status, done.err) == (130, "")
    assert json.loads(done.out)["status"] == "CANCELED"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_whose_process_is_ended_is_resumed(commands: Commands, project: Path, number: signal.Signals) -> None:
    command = commands.start(project, "workflow", "run", "slow", "--id", "it")
    until_slow(project, command)
    command.send(number)
    done = command.wait()
    assert done.status == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    assert states(project)[0][0] == "RUNNING"
    if number == signal.SIGTERM:
        assert "execution it continues with" in done.err
        assert states(project) == [("RUNNING", None)]
        check_consistent(project)
    make_fast(project)
    finished = commands.run(project, "workflow", "get", "it", "--wait", "--format", "json")
    assert finished.status == 0, finished
    assert json.loads(finished.out)["status"] == "SUCCESS"
    assert task_states(project) == [("one", "SUCCESS"), ("slow", "SUCCESS")]
    check_consistent(project)


def test_ctrl_c_while_another_process_is_waited_for(commands: Commands, project: Path) -> None:
    holder = commands.start(project, "workflow", "run", "slow")
    until_slow(project, holder)
    waiting = commands.start(project, "workflow", "run", "two", "--wait-for-lock", "1h")
    waiting.until(lambda: f"waiting for process {holder.pid}" in waiting.err)
    waiting.send(signal.SIGINT)
    done = waiting.wait()
    assert (done.status, done.out) == (130, "")
    assert "Traceback" not in done.err
    assert len(states(project)) == 1


def test_ctrl_c_while_waiting_for_an_execution(commands: Commands, project: Path) -> None:
    holder = commands.start(project, "workflow", "run", "slow", "--id", "it")
    until_slow(project, holder)
    holder.send(signal.SIGKILL)
    holder.wait()
    dead = states(project)[0][1]
    waiting = commands.start(project, "workflow", "get", "it", "--wait")
    waiting.until(lambda: states(project)[0][1] not in {dead, None})
    waiting.send(signal.SIGINT)
    done = waiting.wait()
    assert (done.status, done.out, done.err) == (130, "", "")
    # A command that only watches does not cancel.
    assert states(project) == [("RUNNING", None)]


# Several processes.


def test_two_runs_on_one_file_take_turns(commands: Commands, project: Path) -> None:
    write_project(project, responses={**RESPONSES, "one": {"text": "first", "delay_ms": 300}})
    started = [
        commands.start(project, "workflow", "run", "two", "--id", f"run-{number}", "--quiet") for number in range(4)
    ]
    for command in started:
        done = command.wait()
        assert (done.status, done.out.splitlines()[-1], done.err) == (0, 'Result: {"last": "second"}', "")
    assert states(project) == [("SUCCESS", None)] * 4
    steps = query(
        project, "SELECT workflow_uuid, count(*), count(DISTINCT function_id) FROM operation_outputs GROUP BY 1"
    )
    assert [(count, distinct) for _, count, distinct in steps] == [(steps[0][1], steps[0][1])] * 4
    check_consistent(project)


def test_the_same_run_requested_twice_concurrently_runs_once(commands: Commands, project: Path) -> None:
    write_project(project, responses={**RESPONSES, "one": {"text": "first", "delay_ms": 300}})
    started = [
        commands.start(project, "workflow", "run", "two", "--id", "same", "--format", "json", "--quiet")
        for _ in range(2)
    ]
    first, second = (command.wait() for command in started)
    assert (first.status, second.status) == (0, 0)
    assert first.out == second.out
    assert states(project) == [("SUCCESS", None)]
    check_consistent(project)


def test_a_process_that_does_not_wait_names_the_process_that_executes(commands: Commands, project: Path) -> None:
    holder = commands.start(project, "workflow", "run", "slow")
    until_slow(project, holder)
    for wait, words in (("0", ""), ("500ms", " and did not finish within")):
        done = commands.run(project, "workflow", "run", "two", "--wait-for-lock", wait)
        assert (done.status, done.out) == (4, "")
        assert f"process {holder.pid} (compozy workflow run) executes runs on" in done.err
        assert words in done.err
        assert "--wait-for-lock" in done.err
    as_json = commands.run(project, "workflow", "run", "two", "--wait-for-lock=0", "--format=json")
    assert json.loads(as_json.out)["error"]["details"]["holder"]["pid"] == holder.pid
    for command in (("migrate", "down", "--yes"), ("migrate", "up")):
        refused = commands.run(project, *command)
        assert (refused.status, f"process {holder.pid}" in refused.err) == (4, True)
    # Reading works nevertheless.
    assert "RUNNING" in commands.run(project, "workflow", "list").out
    assert commands.run(project, "migrate", "status").status == 0
    assert len(states(project)) == 1


def test_waiting_for_a_run_of_another_process(commands: Commands, project: Path) -> None:
    write_project(project, responses={**RESPONSES, "slow": {"text": "late", "delay_ms": 1500}})
    holder = commands.start(project, "workflow", "run", "slow", "--id", "it", "--format", "json")
    until_slow(project, holder)
    waited = commands.run(project, "workflow", "get", "it", "--wait", "--format", "json")
    done = holder.wait()
    assert (waited.status, waited.out, done.status) == (0, done.out, 0)
    check_consistent(project)


def test_the_next_process_resumes_the_run_of_a_killed_one(commands: Commands, project: Path) -> None:
    holder = commands.start(project, "workflow", "run", "slow", "--id", "left")
    until_slow(project, holder)
    holder.send(signal.SIGKILL)
    holder.wait()
    make_fast(project)
    done = commands.run(project, "workflow", "run", "two", "--id", "next")
    assert done.status == 0
    assert "continuing 1 unfinished run of" in done.err
    assert commands.run(project, "workflow", "get", "left", "--wait").status == 0
    assert task_states(project, "left") == [("one", "SUCCESS"), ("slow", "SUCCESS")]
    check_consistent(project)


@pytest.mark.parametrize("place", [1, 2, 3, 5, 8, 13, 21, 30])
def test_the_next_command_resumes_a_run_killed_at_any_commit(commands: Commands, project: Path, place: int) -> None:
    killed = commands.run(project, "workflow", "run", "two", "--id", "it", conditions=Conditions(kill_at=place))
    assert killed.status in {-signal.SIGKILL, 0}
    listed = commands.run(project, "workflow", "list", "--format", "json")
    assert listed.status == 0, listed
    assert commands.run(project, "migrate", "status").status == 0
    done = commands.run(project, "workflow", "run", "two", "--id", "it", "--format", "json")
    assert (done.status, json.loads(done.out)["output"]) == (0, {"last": "second"})
    assert states(project) == [("SUCCESS", None)]
    check_consistent(project)


def test_a_run_that_was_started_with_another_definition_keeps_it(commands: Commands, project: Path) -> None:
    holder = commands.start(project, "workflow", "run", "slow", "--id", "it")
    until_slow(project, holder)
    holder.send(signal.SIGKILL)
    holder.wait()
    changed: dict[str, Any] = {**WORKFLOWS, "slow": {"tasks": [{"id": "new", "with": {}}, *WORKFLOWS["slow"]["tasks"]]}}
    write_project(project, changed, responses={**RESPONSES, "slow": {"text": "now"}})
    done = commands.run(project, "workflow", "get", "it", "--wait")
    assert done.status == 0, done
    assert task_states(project) == [("one", "SUCCESS"), ("slow", "SUCCESS")]


def test_nothing_is_left_in_the_folder_but_the_database(commands: Commands, project: Path) -> None:
    before = {path.relative_to(project) for path in project.rglob("*")}
    assert commands.run(project, "workflow", "run", "two").status == 0
    after = {path.relative_to(project) for path in project.rglob("*")}
    names = {str(path) for path in after - before}
    assert names == {"data", "data/compozy.db", "data/compozy.db.owner"}
    shutil.rmtree(project / "data")
    assert commands.run(project, "workflow", "run", "two", "--db-path", DATABASE["path"]).status == 0


def test_the_time_of_forked_commands_is_counted(commands: Commands, project: Path) -> None:
    """The limit of a test's processor time applies to them, too."""
    before_s = forked_cpu_s()
    commands.run(project, "workflow", "run", "two")
    assert forked_cpu_s() > before_s
