"""Kills a run at every commit, has the next process go on with it, and checks what that left behind.

The program is imported once; each attempt is a forked child that runs the real command line. Run it by itself:

    python -m tests.harness.kills FOLDER [--first N] [--every K]

It prints one JSON document: the kills, and everything that was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.harness.ledger import serve_ledger

WORKFLOW = """\
id: three
tasks:
  - {id: one, prompt: "first question"}
  - {id: two, prompt: "second question after {{ .tasks.one.output.text }}"}
  - {id: three, prompt: "third question after {{ .tasks.two.output.text }}"}
output:
  last: "{{ .tasks.three.output.text }}"
"""
PROJECT = """\
version: "1.0"
name: kills
database: {{driver: sqlite, path: ./data/compozy.db}}
llm:
  providers:
    - {{id: ledger, type: openai, base_url: "http://127.0.0.1:{port}/v1", model: m, api_key: none}}
"""
RUN_ID = "the-run"
COMMAND = ["workflow", "run", "three", "--id", RUN_ID, "--format", "json", "--quiet"]


@dataclass
class Kill:
    """One attempt: killed at commit `number` (0 is not killed), and what was found afterwards."""

    number: int
    when: str = ""
    killed: bool = False
    steps_before: list[str] = field(default_factory=list[str])
    resumed_s: float = 0.0
    faults: list[str] = field(default_factory=list[str])


def main() -> None:
    """Run the attempts and print what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / "ledger.txt"
    server = _fork(serve_ledger, ledger, folder / "port")
    try:
        port = _wait_for_file(folder / "port")
        import_program()
        kills = list(_kill_everywhere(folder, ledger, port, arguments.first, arguments.every))
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    print(json.dumps({"kills": [asdict(kill) for kill in kills]}))


def import_program() -> None:
    """Import everything that a run needs, so that each child starts at once."""
    for name in (
        "alembic.command",
        "openai",
        "pydantic_ai.models.openai",
        "compozy.cli.executions",
        "compozy.cli.main",
        "compozy.cli.run",
        "compozy.durable.runtime",
        "compozy.project.load",
        "compozy.workflow.execute",
    ):
        importlib.import_module(name)


def _kill_everywhere(folder: Path, ledger: Path, port: str, first: int, every: int) -> Iterator[Kill]:
    number = first
    while True:
        kill = Kill(number=number, when="before" if number % 2 else "after")
        home = folder / f"kill-{number}"
        _write_project(home, port)
        ledger.write_text("")
        status = os.waitpid(_fork(_run, home, number), 0)[1]
        kill.killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not kill.killed:
            # It came to its end before that many commits: every place was tried.
            kill.faults += [] if status == 0 else [f"the run that was not killed ended with status {status}"]
            _check(home, ledger, kill)
            yield kill
            return
        kill.steps_before = _recorded_steps(home)
        counted = Counter(ledger.read_text().splitlines())
        began_s = time.monotonic()
        status = os.waitpid(_fork(_run, home, 0), 0)[1]
        kill.resumed_s = time.monotonic() - began_s
        if status != 0:
            kill.faults.append(f"the next process ended with status {status}: {(home / 'err').read_text()[-500:]}")
        _check(home, ledger, kill)
        _check_recorded_once(kill, counted, Counter(ledger.read_text().splitlines()))
        yield kill
        number += every


def _run(home: Path, kill_at: int) -> None:
    from compozy.cli.main import run
    from compozy.database.commits import add_commit_hook

    os.chdir(home)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644), number)
    passed = 0

    def hook(_when: str) -> None:
        nonlocal passed
        passed += 1
        if passed == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if kill_at:
        add_commit_hook(hook)
    status = run(COMMAND)
    sys.stdout.flush()
    os._exit(status)


def _check(home: Path, ledger: Path, kill: Kill) -> None:
    """Look at the end: one result, tables and journal agree, no effect was lost or bought more than once more."""
    try:
        document = json.loads((home / "out").read_text())
    except ValueError:
        kill.faults.append("no JSON document on stdout")
        return
    if document.get("status") != "SUCCESS" or "third question" not in str(document.get("output")):
        kill.faults.append(f"the run ended as {document}")
    asked = Counter(ledger.read_text().splitlines())
    if len(asked) != 3 or sum(asked.values()) > 4:
        kill.faults.append(f"the model was asked {dict(asked)}")
    with contextlib.closing(sqlite3.connect(home / "data/compozy.db")) as connection:
        tables = connection.execute("SELECT status, owner FROM workflow_states").fetchall()
        tasks = connection.execute("SELECT task_id, status FROM task_states ORDER BY position").fetchall()
        journal = connection.execute("SELECT workflow_uuid, status FROM workflow_status").fetchall()
        names = connection.execute("SELECT function_name, count(*) FROM operation_outputs GROUP BY 1").fetchall()
        left = connection.execute("SELECT count(*) FROM executors").fetchone()[0]
        queues = connection.execute("SELECT count(*) FROM queues").fetchone()[0]
        integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
    expected = [("one", "SUCCESS"), ("two", "SUCCESS"), ("three", "SUCCESS")]
    checks: dict[str, tuple[object, object]] = {
        "workflow_states": (tables, [("SUCCESS", None)]),
        "task_states": (tasks, expected),
        "journal": (journal, [(RUN_ID, "SUCCESS")]),
        "steps recorded twice": ([name for name, count in names if count != 1], []),
        "executors left": (left, 0),
        "queues left": (queues, 0),
        "integrity": (integrity, "ok"),
    }
    kill.faults += [f"{what}: {found}" for what, (found, right) in checks.items() if found != right]


def _check_recorded_once(kill: Kill, before: Counter[str], after: Counter[str]) -> None:
    """A model request whose answer was recorded when the process died is never made again."""
    recorded = sum(name.endswith("model.request") for name in kill.steps_before)
    for prompt in list(before)[:recorded]:
        if after[prompt] != before[prompt]:
            kill.faults.append(f"recorded, and asked again: {prompt}")


def _recorded_steps(home: Path) -> list[str]:
    path = home / "data/compozy.db"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            rows = connection.execute("SELECT function_name FROM operation_outputs ORDER BY function_id").fetchall()
        except sqlite3.OperationalError:
            return []
    return [name for (name,) in rows]


def _write_project(home: Path, port: str) -> None:
    (home / "workflows").mkdir(parents=True)
    (home / "compozy.yaml").write_text(PROJECT.format(port=port))
    (home / "workflows/three.yaml").write_text(WORKFLOW)


def _wait_for_file(path: Path) -> str:
    for _ in range(500):
        if path.exists():
            return path.read_text()
        time.sleep(0.01)
    raise TimeoutError(f"{path} did not appear")


def _fork(body: Callable[..., None], *arguments: object) -> int:
    child = os.fork()
    if child == 0:
        try:
            body(*arguments)
        finally:
            os._exit(70)
    return child


if __name__ == "__main__":
    main()
