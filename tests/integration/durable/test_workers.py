"""Several processes on one PostgreSQL: each run is executed once, and those of a dead process go on elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import open_database
from compozy.database.executions import count_by_status, insert_execution, list_executions
from compozy.database.status import Status
from compozy.database.tasks import NewTask, insert_task
from compozy.durable.lease import LEASE_S
from tests.harness.postgres import new_database
from tests.integration.durable.runs import new_run

RUNS = 20


@pytest.fixture
def place() -> Iterator[DatabaseSettings]:
    with new_database() as settings:
        yield settings


class Workers:
    """Processes that execute runs of two steps and an end, and write each step into a file of their own."""

    def __init__(self, place: DatabaseSettings, folder: Path) -> None:
        self._place = place
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, first_ms: int = 1, second_ms: int = 1, *, places: int = 50) -> subprocess.Popen[bytes]:
        """Start one and wait until it looks for runs; its steps take that long."""
        number = len(self.processes)
        root = Path(__file__).parents[3]
        arguments = [str(self._place.port), str(self._place.dbname), str(self.log(number))]
        arguments += [str(first_ms), str(second_ms), str(places)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
        errors = (self._folder / f"err-{number}").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.durable.worker", *arguments], env=environ, stderr=errors
        )
        errors.close()
        self.processes.append(process)
        while not self.log(number).exists():
            assert process.poll() is None, (self._folder / f"err-{number}").read_text()
            time.sleep(0.02)
        return process

    def log(self, number: int) -> Path:
        """Where the process `number` writes its steps."""
        return self._folder / f"steps-{number}"

    def steps(self, number: int) -> list[dict[str, Any]]:
        """What it did: `run`, `step`, `at_s`."""
        return [json.loads(line) for line in self.log(number).read_text().splitlines()]

    def all_steps(self) -> Counter[tuple[str, str]]:
        """How often each step of each run was done, by any."""
        steps = [step for number in range(len(self.processes)) for step in self.steps(number)]
        return Counter((step["run"], step["step"]) for step in steps)


@pytest.fixture
def workers(place: DatabaseSettings, tmp_path: Path) -> Iterator[Workers]:
    started = Workers(place, tmp_path)
    yield started
    for process in started.processes:
        process.kill()
        process.wait()


def accept(place: DatabaseSettings, count: int) -> list[str]:
    """Store runs that wait for a process."""
    database = open_database(place)
    ids = [f"run-{number:03}" for number in range(count)]
    with database.write() as connection:
        for run_id in ids:
            insert_execution(connection, new_run(run_id), owner=None)
            insert_task(
                connection,
                NewTask(workflow_exec_id=run_id, workflow_id="w", path="t"),
                Status.PENDING,
            )
    database.close()
    return ids


def until_in_second_step(workers: Workers, ids: list[str]) -> None:
    """Wait until the first worker has recorded the first step of every run and begun the second."""
    while {step["run"] for step in workers.steps(0) if step["step"] == "second"} != set(ids):
        time.sleep(0.01)


def until_all_ended(place: DatabaseSettings, count: int) -> None:
    database = open_database(place)
    while True:
        with database.read() as connection:
            found = count_by_status(connection)
        if found == {Status.SUCCESS: count}:
            break
        assert set(found) <= {Status.PENDING, Status.RUNNING, Status.SUCCESS}, found
        time.sleep(0.05)
    database.close()


def test_workers_share_the_runs_and_do_each_step_once(place: DatabaseSettings, workers: Workers) -> None:
    for _ in range(2):
        workers.start(5, 5, places=5)
    ids = accept(place, 60)
    until_all_ended(place, len(ids))
    assert workers.all_steps() == Counter((run_id, step) for run_id in ids for step in ("first", "second"))
    assert all(workers.steps(number) for number in range(2))


def test_the_runs_of_a_killed_worker_go_on_in_another(
    place: DatabaseSettings, workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = workers.start(second_ms=600_000)
    ids = accept(place, RUNS)
    until_in_second_step(workers, ids)
    # Another one lives already when it happens; nobody is started because of it.
    workers.start()
    assert len(workers.steps(1)) == 0
    killed_s = time.time()
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    until_all_ended(place, RUNS)
    done = workers.all_steps()
    # What the dead one had begun and not yet recorded is done once more; nothing that was recorded is.
    assert done == Counter({(run_id, step): times for run_id in ids for step, times in (("first", 1), ("second", 2))})
    after = min(step["at_s"] for step in workers.steps(1)) - killed_s
    with capsys.disabled():
        print(
            f"\nkilled with {RUNS} runs: next step after {after:.1f} s, all done after {time.time() - killed_s:.1f} s"
        )
    assert after < LEASE_S + 5


def test_a_worker_that_stood_still_records_nothing_for_runs_that_it_lost(
    place: DatabaseSettings, workers: Workers
) -> None:
    frozen = workers.start(second_ms=4000)
    ids = accept(place, 3)
    until_in_second_step(workers, ids)
    frozen.send_signal(signal.SIGSTOP)
    workers.start()
    until_all_ended(place, len(ids))
    outputs = _outputs(place)
    frozen.send_signal(signal.SIGCONT)
    # It signs on again, and does what it is given from here on.
    while len(_executors(place)) < 2:
        time.sleep(0.05)
    time.sleep(1.5)
    assert frozen.poll() is None
    assert _outputs(place) == outputs
    assert {output["by"] for output in outputs.values()} == {workers.processes[1].pid}


def _outputs(place: DatabaseSettings) -> dict[str, Any]:
    database = open_database(place)
    with database.read() as connection:
        found = {run.workflow_exec_id: run.output for run in list_executions(connection, limit=100)}
    database.close()
    return found


def _executors(place: DatabaseSettings) -> list[Any]:
    database = open_database(place)
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT executor_id FROM executors").all()
    database.close()
    return list(found)
