"""Runs continue after a restart of the server, cut connections, and changes of the clock.

Short forms. `COMPOZY_TROUBLE=long`, which `make chaos` sets, makes them longer: more restarts, more cuts, more jumps.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import open_database
from compozy.database.migrate import migrate_up
from compozy.durable.journal import migrate_journal
from tests.harness.databases import fresh
from tests.harness.postgres import database_on, new_database, restarting_server
from tests.harness.proxy import Proxy
from tests.integration.durable.workers import (
    Workers,
    accept,
    ready_workers,
    recorded_steps,
    until,
    until_all_ended,
)

_TIMES = 5 if os.environ.get("COMPOZY_TROUBLE") == "long" else 1
_STEPS = ("first", "second")


class Watch:
    """The recorded steps at one moment, and checks that none of them is lost or repeated."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._recorded: set[tuple[str, str]] = set()
        self._done: Counter[tuple[str, str]] = Counter()

    def look(self) -> None:
        """Note the recorded steps, then the executed ones."""
        self._recorded = recorded_steps(self._workers.place)
        self._done = self._workers.all_steps()

    def check(self, ids: list[str]) -> None:
        """Check that all runs ended, and that steps recorded at the last look were not repeated."""
        assert self._recorded, "trouble came before anything was recorded"
        recorded, done = recorded_steps(self._workers.place), self._workers.all_steps()
        expected = {(run_id, name) for run_id in ids for name in (*_STEPS, "end")}
        assert {key for key in recorded if not key[1].endswith(".wait")} == expected
        assert set(done) == {(run_id, name) for run_id in ids for name in _STEPS}
        assert {key: done[key] for key in self._recorded & done.keys() if done[key] != self._done[key]} == {}


def make_tables(place: DatabaseSettings) -> None:
    database = open_database(place)
    migrate_up(database)
    migrate_journal(database)
    database.close()


# The server.


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in order", "at once"])
@pytest.mark.timeout(600)
def test_a_server_that_is_restarted_during_200_runs(tmp_path: Path, how: signal.Signals) -> None:
    with (
        restarting_server() as postgres,
        database_on(postgres.server) as place,
        ready_workers(place, tmp_path) as workers,
    ):
        make_tables(place)
        for _ in range(2):
            workers.start(100, 100, places=50)
        ids, watch = accept(place, 200), Watch(workers)
        for number in range(1, _TIMES + 1):
            until(lambda number=number: len(recorded_steps(place)) > 80 * number / _TIMES)
            watch.look()
            postgres.restart(how, away_s=0.5)
        until_all_ended(place, len(ids))
        watch.check(ids)
        for number in range(2):
            assert workers.processes[number].poll() is None
            stderr_of = workers.stderr_of(number)
            assert "Traceback" not in stderr_of
            assert any(
                word in stderr_of for word in ("cannot connect to the database", "a step cannot be recorded for now")
            ), stderr_of


# The connection.


@pytest.mark.timeout(300)
def test_connections_that_are_cut(tmp_path: Path) -> None:
    with new_database() as place, Proxy(int(place.port or 0)) as front, ready_workers(place, tmp_path) as workers:
        workers.start(100, 100, places=10, place=place.model_copy(update={"port": front.port}))
        ids, watch = accept(place, 30), Watch(workers)
        for number in range(1, _TIMES + 1):
            until(lambda number=number: len(recorded_steps(place)) > 12 * number / _TIMES)
            watch.look()
            with front.closed():
                time.sleep(1.0)
        until_all_ended(place, len(ids))
        watch.check(ids)
        assert workers.processes[0].poll() is None
        stderr_of = workers.stderr_of(0)
        assert "Traceback" not in stderr_of
        assert any(
            word in stderr_of for word in ("cannot connect to the database", "a step cannot be recorded for now")
        ), stderr_of


# The clock.


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseSettings]:
    """A database with tables, on each of the drivers."""
    with fresh(request.param, tmp_path) as settings:
        make_tables(settings)
        yield settings


_ON, _BACK = signal.SIGUSR1, signal.SIGUSR2


@pytest.mark.parametrize("jumps", [(_ON, _BACK), (_BACK, _ON), (_BACK,)], ids=["on", "back", "back for good"])
@pytest.mark.timeout(60)
def test_a_clock_that_jumps_an_hour_and_back(
    place: DatabaseSettings, tmp_path: Path, jumps: tuple[signal.Signals, ...]
) -> None:
    """Steps and waits of a second are around each jump. None of them may take an hour because of it."""
    with ready_workers(place, tmp_path) as workers:
        ids, watch = accept(place, 6), Watch(workers)
        workers.start(200, 200, places=4, wait_ms=1000)
        until(lambda: len(recorded_steps(place)) > 0)
        for number in jumps * _TIMES:
            time.sleep(0.7)
            watch.look()
            workers.processes[0].send_signal(number)
        until_all_ended(place, len(ids))
        watch.check(ids)
        assert set(workers.all_steps().values()) == {1}
        assert "Traceback" not in workers.stderr_of(0)
        assert "Lease expired" not in workers.stderr_of(0)
