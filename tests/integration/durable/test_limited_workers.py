"""Limits over several processes on one PostgreSQL that are killed: they are never exceeded, and no run is lost."""

from __future__ import annotations

import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.admission import Admission
from compozy.database.database import open_database
from compozy.database.tables import workflow_states
from tests.harness.postgres import new_database
from tests.integration.durable.workers import accept, ready_workers, recorded_steps, until_all_ended

GROUPS = {
    "one": Admission(group="w/one", concurrency=1),
    "three": Admission(group="w/three", concurrency=3),
    "rate": Admission(group="x/", rate=10, rate_period_ms=4000),
}
RUNS = 30
KILLS = 6
SEED = 23


@pytest.fixture
def place() -> Iterator[DatabaseSettings]:
    """A database on the test server."""
    with new_database() as settings:
        yield settings


def test_limits_hold_over_four_workers_that_are_killed(place: DatabaseSettings, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with ready_workers(place, tmp_path) as workers:
        for _ in range(4):
            workers.start(40, 40, places=10)
        ids = [
            run_id
            for name, limits in GROUPS.items()
            for run_id in accept(place, RUNS, prefix=name, workflow_id=limits.group[0], admission=limits)
        ]
        for number in range(KILLS):
            time.sleep(chance.uniform(0.2, 1.0))
            victim = workers.processes[number]
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            workers.start(40, 40, places=10)
        until_all_ended(place, len(ids))
        assert recorded_steps(place) == {(run_id, step) for run_id in ids for step in ("first", "second", "end")}
        for number in range(len(workers.processes)):
            assert "Traceback" not in workers.stderr_of(number)
    times = _times(place)
    assert {group: len(found) for group, found in times.items()} == {"w/one": RUNS, "w/three": RUNS, "x/": RUNS}
    assert _most_together(times["w/one"]) == 1
    assert _most_together(times["w/three"]) == 3
    admitted = sorted(start for start, _ in times["x/"])
    assert min(later - earlier for earlier, later in zip(admitted, admitted[10:], strict=False)) >= 4000


def _times(place: DatabaseSettings) -> dict[str, list[tuple[int, int]]]:
    """Return by group from when to when each run had its place."""
    times: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    columns = workflow_states.c
    query = sa.select(columns.admission_group, columns.admitted_ms, columns.finished_ms)
    database = open_database(place)
    with database.read() as connection:
        for row in connection.execute(query):
            times[row.admission_group].append((row.admitted_ms, row.finished_ms))
    database.close()
    return times


def _most_together(times: list[tuple[int, int]]) -> int:
    """Return how many places were taken at the same time, at most."""
    # An end before a start in the same millisecond.
    changes = sorted([(start, 1) for start, _ in times] + [(end, -1) for _, end in times])
    most = open_now = 0
    for _, change in changes:
        open_now += change
        most = max(most, open_now)
    return most


def test_runs_at_the_same_time_are_counted() -> None:
    assert _most_together([(1, 5), (5, 7), (6, 9)]) == 2
