"""Files locked by other programs, and full disks: the messages for users, and that the run is resumed later."""

from __future__ import annotations

import contextlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Command, Commands, Conditions, Finished
from tests.harness.projects import DATABASE, check_consistent, query, states, task_states, write_project
from tests.harness.servers import API, start_server

RESPONSES: dict[str, Any] = {
    "one": {"text": "first"},
    "two": {"text": "second", "delay_ms": 2000},
    "three": {"text": "third"},
}
WORKFLOW: dict[str, Any] = {
    "tasks": [{"id": "one", "prompt": "a"}, {"id": "two", "prompt": "b"}, {"id": "three", "prompt": "c"}],
    "output": {"last": "{{ .tasks.three.output.text }}"},
}
RUN = ("workflow", "run", "three", "--id", "it")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project of three tasks, the second of which takes a moment."""
    database = {**DATABASE, "busy_timeout": "100ms"}
    return write_project(tmp_path / "p", {"three": WORKFLOW}, responses=RESPONSES, database=database)


@contextlib.contextmanager
def held(folder: Path) -> Generator[None]:
    """Hold the write lock of the project's database like another program."""
    with contextlib.closing(sqlite3.connect(folder / "data/compozy.db", isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def until_second_task(folder: Path, command: Command) -> None:
    command.until(lambda: ("two", "RUNNING") in task_states(folder))


def check_resumed(commands: Commands, folder: Path) -> None:
    """Check that the run ends, with each step recorded once."""
    done = commands.run(folder, "workflow", "get", "it", "--wait")
    assert (done.status, done.out.splitlines()[-1]) == (0, 'Result: {"last": "third"}'), done
    assert task_states(folder, "it") == [("one", "SUCCESS"), ("two", "SUCCESS"), ("three", "SUCCESS")]
    check_consistent(folder)


def check_output(finished: Finished, *words: str) -> None:
    assert finished.status == 4, finished
    assert finished.out == ""
    for word in words:
        assert word in finished.err
    assert "Traceback" not in finished.err


def test_a_file_locked_before_the_start(commands: Commands, project: Path) -> None:
    assert commands.run(project, "migrate", "up").status == 0
    with held(project):
        refused = commands.run(project, *RUN)
    check_output(refused, "Error: database is locked: another program holds ./data/compozy.db", "busy_timeout")
    assert states(project) == []
    assert commands.run(project, *RUN).status == 0
    check_consistent(project)


def test_a_file_locked_during_a_run(commands: Commands, project: Path) -> None:
    command = commands.start(project, *RUN)
    until_second_task(project, command)
    with held(project):
        # It waits as long as necessary, and prints the reason.
        command.until(lambda: "database is locked: another program holds ./data/compozy.db" in command.err)
        command.until(lambda: "a step cannot be recorded for now" in command.err)
        assert task_states(project) == [("one", "SUCCESS"), ("two", "RUNNING")]
    finished = command.wait()
    assert (finished.status, finished.out.splitlines()[-1]) == (0, 'Result: {"last": "third"}'), finished
    assert "Traceback" not in finished.err
    assert "UPDATE" not in finished.err
    check_consistent(project)


@pytest.mark.parametrize(
    ("signals", "status"),
    [((signal.SIGTERM,), 143), ((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGKILL,), -signal.SIGKILL)],
    ids=["terminated", "interrupted twice", "killed"],
)
def test_a_run_that_is_ended_while_another_program_holds_the_file(
    commands: Commands, project: Path, signals: tuple[signal.Signals, ...], status: int
) -> None:
    command = commands.start(project, *RUN)
    until_second_task(project, command)
    with held(project):
        command.until(lambda: "a step cannot be recorded for now" in command.err)
        for number in signals:
            command.send(number)
            if number == signal.SIGINT:
                command.until(lambda: not command.is_alive or "canceling the run" in command.err)
        finished = command.wait()
        assert task_states(project) == [("one", "SUCCESS"), ("two", "RUNNING")]
    assert finished.status == status, finished
    assert "Traceback" not in finished.err
    check_resumed(commands, project)


def test_a_file_locked_for_a_moment_has_no_effect(commands: Commands, tmp_path: Path) -> None:
    database = {**DATABASE, "busy_timeout": "5 minutes"}
    folder = write_project(tmp_path / "p", {"three": WORKFLOW}, responses=RESPONSES, database=database)
    command = commands.start(folder, *RUN)
    until_second_task(folder, command)
    with held(folder):
        # Longer than the model takes, so that the run encounters the lock.
        time.sleep(2.5)
        assert command.is_alive
        assert ("two", "RUNNING") in task_states(folder)
    finished = command.wait()
    assert (finished.status, finished.err) == (0, "")
    assert task_states(folder) == [("one", "SUCCESS"), ("two", "SUCCESS"), ("three", "SUCCESS")]
    check_consistent(folder)


def test_reading_works_while_another_program_writes(commands: Commands, project: Path) -> None:
    assert commands.run(project, *RUN).status == 0
    with held(project):
        listed = commands.run(project, "workflow", "list")
        shown = commands.run(project, "workflow", "get", "it", "--wait")
        status = commands.run(project, "migrate", "status")
    assert [listed.status, shown.status, status.status] == [0, 0, 0]
    assert "SUCCESS" in listed.out


@pytest.fixture
def small_disk(project: Path) -> Iterator[Path]:
    """Return the project's `data/`, a separate file system with two megabytes."""
    folder = project / "data"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"this user cannot mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file that fills the disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    return filler


def test_a_disk_that_is_full_during_a_run(commands: Commands, project: Path, small_disk: Path) -> None:
    assert commands.run(project, "migrate", "up").status == 0
    command = commands.start(project, *RUN)
    until_second_task(project, command)
    filler = fill(small_disk)
    assert shutil.disk_usage(small_disk).free == 0
    finished = command.wait()
    filler.unlink()
    check_output(finished, "Error: no space left for the database ./data/compozy.db", "free disk space")
    assert task_states(project)[0] == ("one", "SUCCESS")
    check_resumed(commands, project)


def test_a_disk_that_is_full_from_the_start(commands: Commands, project: Path, small_disk: Path) -> None:
    filler = fill(small_disk)
    check_output(commands.run(project, *RUN), "no space left for the database ./data/compozy.db")
    filler.unlink()
    assert commands.run(project, *RUN).status == 0
    check_consistent(project)


def test_a_full_disk_is_reported_by_every_command(commands: Commands, project: Path, small_disk: Path) -> None:
    assert commands.run(project, *RUN).status == 0
    filler = fill(small_disk)
    for command in (
        RUN,
        ("start", "--port", "0"),
        ("workflow", "list"),
        ("db", "prune", "--older-than", "0d", "--yes"),
    ):
        finished = commands.run(project, *command)
        assert finished.status == 4, finished
        assert "Error: no space left for the database ./data/compozy.db\n  free disk space" in finished.err
    examined = commands.run(project, "doctor")
    assert examined.status == 4
    assert "✗ database: no space left for the database ./data/compozy.db" in examined.out
    # Deleting runs needs space.
    assert "prune" not in examined.out
    filler.unlink()
    assert commands.run(project, *RUN[:3]).status == 0


def test_a_server_on_a_full_disk_is_not_ready(commands: Commands, project: Path, small_disk: Path) -> None:
    server = start_server(commands, project)
    assert server.ask("GET", "/readyz").status == 200
    filler = fill(small_disk)
    start = {"input": {"text": "x" * 200_000}}
    assert server.ask("POST", f"{API}/workflows/three/executions", start).status == 503
    answer = server.ask("GET", "/readyz")
    assert (answer.status, answer.document["code"]) == (503, "database")
    assert "no space left for the database" in answer.document["detail"]
    check_output(commands.run(project, "health", "--server", server.url), "no space left for the database")
    filler.unlink()
    assert server.ask("GET", "/readyz").status == 200
    assert commands.run(project, "health", "--server", server.url).status == 0


def test_a_read_only_file_system_is_named(commands: Commands, project: Path, small_disk: Path) -> None:
    assert commands.run(project, *RUN).status == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    cause = f"the database '{small_disk}/compozy.db' cannot be written: Read-only file system"
    for command in (RUN, ("start", "--port", "0")):
        finished = commands.run(project, *command)
        assert finished.status == 4, finished
        assert f"Error: {cause}\n  mount the file system writable" in finished.err
    assert f"✗ database: {cause}" in commands.run(project, "doctor").out
    assert "SUCCESS" in commands.run(project, "workflow", "list").out


def limit_files() -> None:
    """Limit files of this process to half a megabyte: the next write to the log fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))


def test_a_write_that_fails_during_a_run(commands: Commands, tmp_path: Path) -> None:
    big = {task: {"text": task * 50_000} for task in ("one", "two", "three")}
    folder = write_project(tmp_path / "p", {"three": WORKFLOW}, responses=big)
    assert commands.run(folder, "workflow", "run", "three", "--id", "before").status == 0
    finished = commands.run(folder, *RUN, conditions=Conditions(before=limit_files))
    check_output(
        finished, "Error: the disk of the database ./data/compozy.db reports an error", "unfinished runs resume"
    )
    assert query(folder, "SELECT count(*) FROM workflow_states WHERE status = 'SUCCESS'") == [(1,)]
    resumed = commands.run(folder, *RUN)
    assert resumed.status == 0, resumed
    assert task_states(folder, "it") == [("one", "SUCCESS"), ("two", "SUCCESS"), ("three", "SUCCESS")]
    check_consistent(folder)


def test_files_that_are_moved_away_during_a_run(commands: Commands, project: Path) -> None:
    command = commands.start(project, *RUN)
    until_second_task(project, command)
    shutil.move(project / "data", project / "moved")
    finished = command.wait()
    # The kernel would let it write to the moved files, whose data would be lost.
    check_output(finished, "./data/compozy.db was deleted, moved or replaced while it was in use")
    assert not (project / "data/compozy.db").exists()
    shutil.move(project / "moved", project / "data")
    # It could not sign off. The next start removes its row.
    assert commands.run(project, "workflow", "run", "three").status == 0
    check_resumed(commands, project)


@pytest.mark.parametrize("table", ["workflow_status", "operation_outputs"])
def test_a_table_that_was_dropped(commands: Commands, project: Path, table: str) -> None:
    assert commands.run(project, *RUN).status == 0
    with contextlib.closing(sqlite3.connect(project / "data/compozy.db")) as connection:
        connection.execute(f"DROP TABLE {table}")
        connection.commit()
    finished = commands.run(project, "workflow", "run", "three", "--id", "other")
    check_output(finished, "the database ./data/compozy.db is missing a table or column: no such table", "backup")


def test_a_server_whose_file_was_moved_away_reports_it(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    assert commands.run(project, *RUN, "--server", server.url).status == 0
    shutil.move(project / "data", project / "moved")
    for path in ("/readyz", f"{API}/executions/workflows/it", f"{API}/executions/workflows"):
        answer = server.ask("GET", path)
        assert (answer.status, answer.document["code"]) == (503, "database")
    assert server.ask("POST", f"{API}/workflows/three/executions").status == 503
    assert not (project / "data").exists()
    server.command.send(signal.SIGTERM)
    assert server.command.wait().status == 0


def test_get_after_down_reports_an_unknown_run(commands: Commands, project: Path) -> None:
    assert commands.run(project, *RUN).status == 0
    assert commands.run(project, "migrate", "down", "--to", "base", "--yes").status == 0
    got = commands.run(project, "workflow", "get", "it")
    assert got.status == 2
    assert "no execution 'it': ./data/compozy.db has no runs yet" in got.err
