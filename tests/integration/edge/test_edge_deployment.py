"""The example edge-deployment: JSON Lines as input, rules, a model for unusual readings, and power cuts."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.processes import Command, Commands
from tests.harness.projects import check_consistent, query, write_project

EXAMPLE = Path(__file__).parents[3] / "examples/database/edge-deployment"
RUN = "01M8EDGE00000000000000TEST"
ADVICE = "No model is set up. Send somebody to look."
ALARMS = [
    {"sensor": "pump-4", "at": "2026-11-22T06:11:00Z", "verdict": "unusual", "advice": ADVICE},
    {"sensor": "pump-3", "at": "2026-11-22T06:22:00Z", "verdict": "silent", "advice": ""},
    {"sensor": "pump-2", "at": "2026-11-22T06:33:00Z", "verdict": "unusual", "advice": ADVICE},
]
CUTS = 8


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(
        shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("data", "context", ".env"))
    )


def run_arguments(folder: Path, *more: str) -> tuple[str, ...]:
    return ("workflow", "run", "sensor-processing", f"--input=@{folder}/readings.jsonl", "--format=json", *more)


def test_rules_decide_and_a_model_is_asked_about_the_unusual(commands: Commands, example: Path) -> None:
    done = commands.run(example, *run_arguments(example))
    assert done.status == 0, done.err
    run = json.loads(done.out)
    assert run["output"] == {"readings": 40, "alarms": ALARMS}
    asked = query(example, "SELECT task_id FROM task_states WHERE usage IS NOT NULL AND usage <> '[]'")
    assert len(asked) == 2
    check_consistent(example)


def test_the_database_survives_power_cuts_by_its_settings(cli: RunCli, example: Path) -> None:
    done = cli("config", "show", f"--config={example}", "--format=json")
    assert done.status == 0, done.err
    assert '"full"' in done.out


def test_a_power_cut_at_any_moment_loses_nothing(commands: Commands, example: Path, tmp_path: Path) -> None:
    """The disk at a random moment is copied, with a torn write at its end, opened elsewhere and finished."""
    slow_down(example)
    began = time.monotonic()
    process = commands.start(example, *run_arguments(example, f"--id={RUN}"))
    process.until(lambda: query(example, "SELECT 1 FROM workflow_states") != [])
    copies: list[tuple[Path, int]] = []
    chance = random.Random(7)
    while process.is_alive and len(copies) < CUTS:
        time.sleep(chance.uniform(0.02, 0.25))
        copies.append(cut_power(process, example, tmp_path / f"cut-{len(copies)}", chance))
    assert process.wait().status == 0
    print(f"{len(copies)} cuts in {time.monotonic() - began:.1f} s, done at each: {[done for _, done in copies]}")
    unfinished = [folder for folder, _ in copies if status_of(folder) != "SUCCESS"]
    assert len(unfinished) >= 3
    for folder, done_before in copies:
        finished = commands.run(folder, "workflow", "get", RUN, "--wait", "--format=json")
        assert finished.status == 0, finished.err
        run = json.loads(finished.out)
        assert (run["status"], run["output"]) == ("SUCCESS", {"readings": 40, "alarms": ALARMS})
        # Steps recorded before the cut were not repeated: they kept their end times.
        assert len(query(folder, "SELECT 1 FROM task_states WHERE finished_ms <= ?", newest(folder))) >= done_before
        # The journal of an ended run is closed by the next process that executes runs; `get` does not close it.
        if folder in unfinished:
            check_consistent(folder)


def slow_down(folder: Path) -> None:
    """Slow down the script, so that the run lasts long enough to be cut."""
    path = folder / "compozy.yaml"
    text = path.read_text(encoding="utf-8")
    slow = text.replace('look." }', 'look.", delay_ms: 700 }')
    assert slow != text
    path.write_text(slow, encoding="utf-8")


def cut_power(process: Command, folder: Path, copy: Path, chance: random.Random) -> tuple[Path, int]:
    """Copy a project while its process is stopped, and return the copy and the number of ended tasks."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
    try:
        # The lock belongs to a process that does not exist after a power cut.
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.owner", "*-shm"))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
    log = copy / "data/compozy.db-wal"
    if log.exists():
        # The interrupted write: not a valid frame for SQLite.
        with log.open("ab") as file:
            file.write(chance.randbytes(chance.randrange(1, 5000)))
    with contextlib.closing(sqlite3.connect(copy / "data/compozy.db")) as connection:
        done = connection.execute("SELECT count(*) FROM task_states WHERE finished_ms IS NOT NULL").fetchone()[0]
    (copy / "newest").write_text(str(int(time.time() * 1000)))
    return copy, int(done)


def newest(folder: Path) -> int:
    return int((folder / "newest").read_text())


def status_of(folder: Path) -> str:
    rows = query(folder, "SELECT status FROM workflow_states")
    return str(rows[0][0]) if rows else ""


# JSON Lines as input of any workflow.


def echo(cli: RunCli, folder: Path, name: str, content: bytes) -> Any:
    write_project(folder, {"echo": {"tasks": [{"id": "pass", "with": {"all": "{{ .input }}"}}], "output": {}}})
    (folder / name).write_bytes(content)
    return cli("workflow", "run", "echo", f"--input=@{name}", "--format=json")


@pytest.mark.parametrize("name", ["lines.jsonl", "LINES.NDJSON"])
def test_json_lines_are_a_list(cli: RunCli, tmp_path: Path, name: str) -> None:
    content = '\ufeff{"a": 1}\r\n\n"text with \u2028 and \x85"\nnull\n[2]'.encode()
    done = echo(cli, tmp_path, name, content)
    assert done.status == 0, done.err
    assert json.loads(done.out)["input"] == {"items": [{"a": 1}, "text with \u2028 and \x85", None, [2]]}


def test_an_empty_file_is_an_empty_list(cli: RunCli, tmp_path: Path) -> None:
    assert json.loads(echo(cli, tmp_path, "none.jsonl", b"").out)["input"] == {"items": []}


def test_an_invalid_line_is_named(cli: RunCli, tmp_path: Path) -> None:
    done = echo(cli, tmp_path, "lines.jsonl", b'{"a": 1}\n\n{"a": }\n')
    assert done.status == 2
    assert "the input from lines.jsonl:3 is not JSON" in done.out
