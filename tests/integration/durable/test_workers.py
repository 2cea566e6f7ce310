"""Several processes on one PostgreSQL: each run is executed once, and runs of a dead process are resumed."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.durable.lease import LEASE_S
from tests.harness.postgres import new_database
from tests.integration.durable.workers import (
    Workers,
    accept,
    executor_ids,
    outputs,
    ready_workers,
    recorded_steps,
    until,
    until_all_ended,
    until_in_second_step,
)

RUNS = 20


@pytest.fixture
def place() -> Iterator[DatabaseSettings]:
    """A database on the test server."""
    with new_database() as settings:
        yield settings


@pytest.fixture
def workers(place: DatabaseSettings, tmp_path: Path) -> Iterator[Workers]:
    """Yield workers on this database."""
    with ready_workers(place, tmp_path) as ready:
        yield ready


def test_workers_share_the_runs_and_do_each_step_once(place: DatabaseSettings, workers: Workers) -> None:
    for _ in range(2):
        workers.start(100, 100, places=5)
    ids = accept(place, 60)
    until_all_ended(place, len(ids))
    assert workers.all_steps() == Counter((run_id, step) for run_id in ids for step in ("first", "second"))
    assert all(workers.steps(number) for number in range(2))


def test_the_runs_of_a_killed_worker_are_resumed_by_another(
    place: DatabaseSettings, workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = workers.start(second_ms=600_000)
    ids = accept(place, RUNS)
    until_in_second_step(workers, ids)
    # Another worker is already running; none is started because of the kill.
    workers.start()
    assert len(workers.steps(1)) == 0
    killed_s = time.time()
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    until_all_ended(place, RUNS)
    done = workers.all_steps()
    # Steps that the dead worker had started and not recorded are executed once more; recorded steps are not.
    assert done == Counter({(run_id, step): times for run_id in ids for step, times in (("first", 1), ("second", 2))})
    after = min(step["at_s"] for step in workers.steps(1)) - killed_s
    with capsys.disabled():
        print(
            f"\nkilled with {RUNS} runs: next step after {after:.1f} s, all done after {time.time() - killed_s:.1f} s"
        )
    assert after < LEASE_S + 5


def test_a_stopped_worker_records_nothing_for_runs_that_it_lost(place: DatabaseSettings, workers: Workers) -> None:
    frozen = workers.start(second_ms=4000)
    ids = accept(place, 3)
    until_in_second_step(workers, ids)
    frozen.send_signal(signal.SIGSTOP)
    workers.start()
    until_all_ended(place, len(ids))
    done = outputs(place)
    frozen.send_signal(signal.SIGCONT)
    # It signs on again, and executes the runs that it gets from now on.
    until(lambda: len(executor_ids(place)) == 2)
    time.sleep(1.5)
    assert frozen.poll() is None
    assert outputs(place) == done
    assert {output["by"] for output in done.values()} == {workers.processes[1].pid}
    assert "Lease expired; other processes took over this process's runs" in workers.stderr_of(0)
    assert "Traceback" not in workers.stderr_of(0)


def test_workers_that_are_ended_in_turn_lose_nothing(place: DatabaseSettings, workers: Workers) -> None:
    """A rolling restart: each worker is shut down gracefully and replaced, while runs are accepted and executed."""
    for _ in range(2):
        workers.start(300, 300, places=10)
    ids = accept(place, 60)
    until(lambda: len(workers.all_steps()) > 10)
    for number in range(2):
        old = workers.processes[number]
        old.send_signal(signal.SIGTERM)
        assert old.wait() == 0
        workers.start(300, 300, places=10)
    until_all_ended(place, len(ids))
    done = workers.all_steps()
    # A step in progress when its worker was ended is repeated, twice at most; a recorded step is not.
    assert set(done) == {(run_id, step) for run_id in ids for step in ("first", "second")}
    assert set(done.values()) <= {1, 2, 3}
    assert sum(done.values()) <= len(done) + 2 * 10
    assert recorded_steps(place) == {(run_id, step) for run_id in ids for step in ("first", "second", "end")}
    for number in range(4):
        assert "Traceback" not in workers.stderr_of(number)
