"""Databases of earlier revisions, kept as SQL: loads them for tests, and creates those of a new revision.

Run this after a revision was added and before it is released:

    python -m tests.harness.kept tests/data/upgrade

It writes the folder of the latest revision: a project, and a database of each driver with ended runs, one that was
killed in its second task, and one that had not started. Folders of released revisions are never written again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from compozy.database.migrate import REVISIONS
from tests.harness.postgres import find_program, running_server
from tests.harness.processes import Command, Commands
from tests.harness.projects import write_project
from tests.harness.servers import ask, free_port, start_server
from tests.harness.stores import PostgresStore, SqliteStore, Store, open_store

FOLDER = Path(__file__).parents[1] / "data/upgrade"
SLOW_MS = 3000
RESPONSES: dict[str, Any] = {
    "one": {"text": "first", "usage": {"input_tokens": 3, "output_tokens": 2}},
    "two": {"text": "second ü 'quoted'"},
    "late": {"text": "late", "delay_ms": SLOW_MS},
    "bad": {"error": "boom"},
}
WORKFLOWS: dict[str, Any] = {
    "good": {
        "tasks": [
            {"id": "one", "prompt": 'hello {{ .input.name | default "World" }}'},
            {"id": "two", "prompt": "after {{ .tasks.one.output.text }}"},
        ],
        "output": {"last": "{{ .tasks.two.output.text }}"},
    },
    "bad": {"tasks": [{"id": "one", "prompt": "a"}, {"id": "bad", "prompt": "b"}]},
    "late": {
        "tasks": [{"id": "one", "prompt": "a"}, {"id": "late", "prompt": "after {{ .tasks.one.output.text }}"}],
        "output": {"all": "{{ .tasks.one.output.text }} {{ .tasks.late.output.text }}"},
    },
}
# Commands that `pg_dump` writes for `psql` only.
_FOR_PSQL = re.compile(r"^(\\.*|--.*|)$")


def load(folder: Path, store: Store) -> None:
    """Load the database that is kept for a revision into the new database of `store`, and write its project."""
    workflows = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in WORKFLOWS}
    responses = json.loads((folder / "responses.json").read_text(encoding="utf-8"))
    write_project(store.home, workflows, responses=responses, database=store.section)
    if isinstance(store, SqliteStore):
        file = store.home / "data/compozy.db"
        file.parent.mkdir()
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.executescript((folder / "sqlite.sql").read_text(encoding="utf-8"))
        return
    address = {key: value for key, value in store.section.items() if key != "driver"}
    with psycopg.connect(**address, autocommit=True) as connection:
        connection.execute((folder / "postgres.sql").read_text(encoding="utf-8").encode())


def main() -> None:
    """Create the folder of the latest revision."""
    folder = Path(sys.argv[1]) / REVISIONS[-1]
    folder.mkdir(parents=True)
    for name, workflow in WORKFLOWS.items():
        _write_json(folder / f"{name}.json", workflow)
    _write_json(folder / "responses.json", RESPONSES)
    with tempfile.TemporaryDirectory() as scratch:
        for driver in ("sqlite", "postgres"):
            with open_store(driver, Path(scratch, driver)) as store:
                _fill(store, Path(scratch, f"output-{driver}"))
                (folder / f"{driver}.sql").write_text(_dump(store), encoding="utf-8")


def _fill(store: Store, output: Path) -> None:
    sections: dict[str, Any] = {"runtime": {"max_concurrent_workflows": 1}, "server": {"port": free_port()}}
    write_project(store.home, WORKFLOWS, responses=RESPONSES, database=store.section, **sections)
    commands = Commands(output)
    try:
        given = json.dumps({"name": "Ada \0 é 😀", "deep": [[[1.5, None, True]]]})
        assert commands.run(store.home, "workflow", "run", "good", "--id", "good", "--input", given).status == 0
        assert commands.run(store.home, "workflow", "run", "bad", "--id", "bad").status == 1
        canceled = commands.start(store.home, "workflow", "run", "late", "--id", "canceled")
        _until_late(store, canceled, "canceled")
        canceled.send(signal.SIGINT)
        assert canceled.wait().status == 130
        server = start_server(commands, store.home)
        for run_id in ("cut", "waiting"):
            path = "/api/v0/workflows/late/executions"
            assert ask(server.port, "POST", path, {"execution_id": run_id}).status == 202
        _until_late(store, server.command, "cut")
        server.command.send(signal.SIGKILL)
        server.command.wait()
    finally:
        commands.end()


def _until_late(store: Store, command: Command, run_id: str) -> None:
    sql = f"SELECT status FROM task_states WHERE task_id = 'late' AND workflow_exec_id = '{run_id}'"
    command.until(lambda: store.query(sql) == [("RUNNING",)])
    # Its journal row is written a moment later.
    time.sleep(0.3)


def _dump(store: Store) -> str:
    # The name of the machine that created it is private.
    return _dump_all(store).replace(f"'{socket.gethostname()}'", "'elsewhere'")


def _dump_all(store: Store) -> str:
    if isinstance(store, PostgresStore):
        server = running_server()
        command = [str(find_program("pg_dump")), "--no-owner", "--no-privileges", "--inserts"]
        command += ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", store.section["dbname"]]
        done = subprocess.run(command, capture_output=True, check=True)
        lines = done.stdout.decode().split("\n")
        return "\n".join(line for line in lines if not _FOR_PSQL.match(line)) + "\n"
    with contextlib.closing(sqlite3.connect(store.home / "data/compozy.db")) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.umask(0o022)
    main()
