"""`compozy` as real processes: signals, several processes on one file, kills, and unusual environments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
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


# Environments. These processes are not forked, since a forked process already has its streams.


def shell(folder: Path, script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in the folder."""
    return subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


# Without -P, Python 3.13.0 cannot import anything in a folder that was deleted.
C = f"""{PYTHON} -P -c 'from compozy.cli.entry import main; main()'"""


@pytest.mark.parametrize(
    ("script", "status", "out", "err"),
    [
        ("{C} version >&-", 0, "", ""),
        ("{C} nope 2>&-", 2, "", ""),
        ("{C} version <&- >&- 2>&-", 0, "", ""),
        ("{C} workflow run two --input - <&-", 2, "", "the input from stdin is not JSON"),
        ("{C} version >/dev/full", 2, "", "Error: cannot write the result to stdout: No space left on device\n"),
        (
            "{C} nope --format json >/dev/full",
            2,
            "",
            "Error: cannot write the result to stdout: No space left on device\n",
        ),
        ("{C} schema >/dev/full", 2, "", "Error: cannot write the result to stdout: No space left on device\n"),
        ("{C} workflow run two >/dev/full", 2, "", "the run is stored: `compozy workflow list`"),
        ("{C} nope 2>/dev/full", 2, "", ""),
        ("rmdir ../gone; mkdir ../gone; cd ../gone; rmdir ../gone; {C} init", 2, "", "current folder no longer exists"),
        ("({C} schema; echo $? >&2) | head -n 1", 0, "{\n", "0\n"),
        (
            "rmdir ../gone; mkdir ../gone; cd ../gone; rmdir ../gone; {C} workflow list",
            2,
            "",
            "current folder no longer exists",
        ),
    ],
)
def test_missing_streams_and_folders(project: Path, script: str, status: int, out: str, err: str) -> None:
    done = shell(project, script.replace("{C}", C))
    assert (done.returncode, done.stdout) == (status, out), done
    assert err in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_ctrl_c_at_any_moment_prints_no_traceback(project: Path) -> None:
    """Also while modules are imported, which is most of the time of a short command."""
    # Python itself prints a traceback until the program's first module is imported.
    script = "from compozy.cli.entry import main; import os; os.write(1, b'.'); main()"
    command = [sys.executable, "-c", script, "workflow", "run", "slow"]
    for delay_ms in (100, 200, 300, 500, 800, 1200, 1800):
        process = subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.read(1) == "."
        time.sleep(delay_ms / 1000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode in {130, -signal.SIGINT}, (delay_ms, err)
        assert "Traceback" not in err, delay_ms
        assert "Exception ignored" not in err, delay_ms


def test_an_interrupt_that_python_loses_is_repeated(tmp_path: Path) -> None:
    """An exception is printed and lost, for example, if it is raised while a module's lock is released."""
    script = """
import time, weakref
from compozy.cli.entry import repeat_lost_interrupts
class Thing: pass
def lose(_): raise KeyboardInterrupt
repeat_lost_interrupts()
thing = Thing()
reference = weakref.ref(thing, lose)
try:
    del thing
    time.sleep(30)
except KeyboardInterrupt:
    print("interrupted")
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_a_run_survives_without_a_reader(project: Path) -> None:
    done = shell(project, f"({C} workflow run two --id it --log-level debug; echo $? >status) 2>&1 | head -n 1")
    assert done.returncode == 0
    assert (project / "status").read_text() == "0\n"
    assert states(project) == [("SUCCESS", None)]
    check_consistent(project)


@pytest.mark.parametrize(
    "environ",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}],
    ids=["ascii", "latin-1", "C"],
)
def test_a_terminal_that_lacks_characters(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = write_project(
        tmp_path / "p",
        {"two": {"name": "Grüße 🎈", "tasks": [{"id": "one", "prompt": "ü"}]}},
        responses=[{"text": "Grüße 🎈"}],
    )
    done = shell(folder, f"{C} workflow run two && {C} workflow list && {C} workflow run two --id ü", **environ)
    assert "Internal error" not in done.stderr
    assert done.returncode == 2, done
    result = next(line for line in done.stdout.splitlines() if line.startswith("Result: "))
    assert json.loads(result.removeprefix("Result: "))["one"]["text"] == "Grüße 🎈"


def test_without_a_home(project: Path, tmp_path: Path) -> None:
    done = shell(project, f"unset HOME; {C} workflow run two")
    assert (done.returncode, done.stderr) == (0, "")
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    done = shell(project, f"HOME={home} {C} workflow run two")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.iterdir()) == []


def test_a_project_behind_links(tmp_path: Path, commands: Commands) -> None:
    real = write_project(tmp_path / "real")
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "elsewhere").mkdir()
    for file in (tmp_path / "link/compozy.yaml", tmp_path / "link", "../link"):
        done = commands.run(tmp_path / "elsewhere", "workflow", "run", "two", f"--config={file}")
        assert done.status == 0, done
    assert len(states(real)) == 3


# Imports.

SLOW_IMPORTS = ("pydantic", "sqlalchemy", "dbos", "pydantic_ai", "alembic", "openai", "httpx")


def imported(folder: Path, *arguments: str) -> set[str]:
    """Return the packages that a command has imported when it ends."""
    script = (
        "import json, os, sys\n"
        "from compozy.cli.main import run\n"
        "stdout = os.dup(1); os.dup2(os.open(os.devnull, os.O_WRONLY), 1)\n"
        f"status = run({list(arguments)!r})\n"
        "os.write(stdout, json.dumps([status, *sorted({name.split('.')[0] for name in sys.modules})]).encode())\n"
    )
    done = subprocess.run([PYTHON, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    status, *names = json.loads(done.stdout)
    assert status == 0, done.stderr
    return set(names)


@pytest.mark.parametrize("arguments", [("--help",), ("workflow", "--help"), ("version",), ("completion", "bash")])
def test_help_imports_nothing_slow(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    loaded = imported(tmp_path, *arguments) & set(SLOW_IMPORTS)
    # The library that parses the command line imports pydantic as soon as it parses a command.
    assert loaded <= (set() if arguments == ("--help",) else {"pydantic"})


def test_reading_commands_load_neither_engine_nor_models(commands: Commands, project: Path) -> None:
    assert commands.run(project, "workflow", "run", "two", "--id", "it").status == 0
    for arguments in (("workflow", "list"), ("workflow", "get", "it"), ("migrate", "status"), ("config", "show")):
        loaded = imported(project, *arguments)
        assert loaded & {"dbos", "pydantic_ai", "alembic", "openai"} == set(), arguments


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
