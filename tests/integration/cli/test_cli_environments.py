"""`compozy` in unusual environments: streams, terminals, folders, interrupts; and the modules that commands import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.processes import Commands
from tests.harness.projects import (
    check_consistent,
    states,
    write_project,
)

PYTHON = sys.executable


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the scripted project."""
    return write_project(tmp_path / "p")


# Streams, folders and interrupts. These processes are not forked, since a forked process already has its streams.


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
    loaded = imported(tmp_path, *arguments) & {*SLOW_IMPORTS, "asyncio", "email"}
    # The library that parses the command line imports pydantic as soon as it parses a command.
    assert loaded <= (set() if arguments == ("--help",) else {"pydantic"})


def test_reading_commands_load_neither_engine_nor_models(commands: Commands, project: Path) -> None:
    assert commands.run(project, "workflow", "run", "two", "--id", "it").status == 0
    for arguments in (("workflow", "list"), ("workflow", "get", "it"), ("migrate", "status"), ("config", "show")):
        loaded = imported(project, *arguments)
        assert loaded & {"dbos", "pydantic_ai", "alembic", "openai"} == set(), arguments
