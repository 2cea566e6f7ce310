"""Processes that execute runs of two steps on one database, and their logs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.executions import count_by_status, get_status, insert_execution
from compozy.database.executors import list_executor_ids
from compozy.database.lists import list_executions
from compozy.database.status import Status
from compozy.database.tasks import NewTask, insert_task
from tests.harness.databases import journal_table
from tests.integration.durable.runs import new_run

_ROOT = Path(__file__).parents[3]
_LOOK_S = 0.02


class Workers:
    """Processes that execute runs of two steps and an end, each with a log of its steps.

    Args:
        place: their database.
        folder: the folder of their files.
    """

    def __init__(self, place: DatabaseSettings, folder: Path) -> None:
        self.place = place
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        first_ms: int = 1,
        second_ms: int = 1,
        *,
        places: int = 50,
        wait_ms: int = 0,
        stop_at_commit: int = 0,
        place: DatabaseSettings | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start one and wait until it looks for runs. Its steps take `pauses_s`, and it waits after each.

        With `stop_at_commit` it sends itself SIGSTOP before that commit, counted from when it looks for runs.
        """
        number = len(self.processes)
        orders = {
            "database": (place or self.place).model_dump(mode="json", exclude_unset=True),
            "log": str(self.log(number)),
            "pauses_s": {"first": first_ms / 1000, "second": second_ms / 1000},
            "wait_s": wait_ms / 1000,
            "places": places,
            "stop_at_commit": stop_at_commit,
        }
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT / "src"), str(_ROOT)])}
        with (self._folder / f"err-{number}").open("wb") as errors:
            command = [sys.executable, "-m", "tests.integration.durable.worker", json.dumps(orders)]
            process = subprocess.Popen(command, env=environ, stderr=errors)
        self.processes.append(process)
        until(lambda: self.log(number).exists() or process.poll() is not None)
        assert process.poll() is None, self.stderr_of(number)
        return process

    def log(self, number: int) -> Path:
        """Return the path of the log of the process `number`."""
        return self._folder / f"steps-{number}"

    def stderr_of(self, number: int) -> str:
        """Return its output on stderr."""
        return (self._folder / f"err-{number}").read_text()

    def steps(self, number: int) -> list[dict[str, Any]]:
        """Return its steps: `run`, `step`, `at_s`."""
        return [json.loads(line) for line in self.log(number).read_text().splitlines()]

    def all_steps(self) -> Counter[tuple[str, str]]:
        """Return how often each step of each run was executed, by any process."""
        steps = [step for number in range(len(self.processes)) for step in self.steps(number)]
        return Counter((step["run"], step["step"]) for step in steps)


@contextlib.contextmanager
def ready_workers(place: DatabaseSettings, folder: Path) -> Generator[Workers, None, None]:
    """Yield workers on a database with tables. Those that still run at the end are killed."""
    workers = Workers(place, folder)
    try:
        yield workers
    finally:
        for process in workers.processes:
            process.kill()
            process.wait()


def accept(
    place: DatabaseSettings, count: int, *, prefix: str = "run", workflow_id: str = "w", **values: Any
) -> list[str]:
    """Store runs that wait for a process."""
    ids = [f"{prefix}-{number:03}" for number in range(count)]
    with _opened(place) as database, database.write() as connection:
        for run_id in ids:
            new = replace(new_run(run_id, **values), workflow_id=workflow_id)
            insert_execution(connection, new, owner=None)
            task = NewTask(workflow_exec_id=run_id, workflow_id=workflow_id, path="t")
            insert_task(connection, task, Status.PENDING)
    return ids


def until_in_second_step(workers: Workers, ids: list[str]) -> None:
    """Wait until the first worker has recorded the first step of every run and started the second."""
    until(lambda: {step["run"] for step in workers.steps(0) if step["step"] == "second"} == set(ids))


def until_all_ended(place: DatabaseSettings, count: int) -> None:
    """Wait until so many runs have succeeded. None may have another result."""
    with _opened(place) as database:
        until(lambda: _count(database) == {Status.SUCCESS: count})


def until_ended(place: DatabaseSettings, ids: list[str]) -> None:
    """Wait until these runs have succeeded."""
    with _opened(place) as database, database.read() as connection:
        until(lambda: {get_status(connection, run_id) for run_id in ids} == {Status.SUCCESS})


def recorded_steps(place: DatabaseSettings) -> set[tuple[str, str]]:
    """Return run and name of each step in the journal."""
    with _opened(place) as database, database.read() as connection:
        query = f"SELECT workflow_uuid, function_name FROM {journal_table(database, 'operation_outputs')}"
        rows = [(str(run), str(name)) for run, name in connection.execute(sa.text(query))]
    assert len(set(rows)) == len(rows), [row for row, count in Counter(rows).items() if count > 1]
    return set(rows)


def outputs(place: DatabaseSettings) -> dict[str, Any]:
    """Return the output of each run."""
    with _opened(place) as database, database.read() as connection:
        return {run.workflow_exec_id: run.output for run in list_executions(connection, limit=1000)}


def executor_ids(place: DatabaseSettings) -> list[str]:
    """Return the registered processes."""
    with _opened(place) as database, database.read() as connection:
        return list_executor_ids(connection)


def until(seen: Callable[[], bool]) -> None:
    """Wait until `seen` is true, at most until the time limit of the test."""
    while not seen():
        time.sleep(_LOOK_S)


def _count(database: Database) -> dict[Status, int]:
    with database.read() as connection:
        found = count_by_status(connection)
    assert set(found) <= {Status.PENDING, Status.RUNNING, Status.WAITING, Status.SUCCESS}, found
    return found


@contextlib.contextmanager
def _opened(place: DatabaseSettings) -> Generator[Database, None, None]:
    database = open_database(place)
    try:
        yield database
    finally:
        database.close()
