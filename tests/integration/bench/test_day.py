"""The kinds of run of a day have the output that the day expects, and only that."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from tests.bench.daywork import WORKS, Clients, list_wrong, run_site, write_day
from tests.bench.fleet import Fleet
from tests.bench.stored import Stored

RUNS = 4


@pytest.mark.parametrize("name", WORKS)
def test_a_day_accepts_the_output_of_each_run(name: str, tmp_path: Path) -> None:
    settings = DatabaseSettings(driver="sqlite", path=str(tmp_path / "compozy.db"))
    with run_site() as site:
        write_day(tmp_path, settings.model_dump(mode="json", exclude_unset=True), WORKS[name], site)
        fleet = Fleet(tmp_path, ("start",))
        try:
            clients = Clients(lambda: fleet.ports)
            clients.start_runs(RUNS, 0.01)
            stored = Stored(settings)
            while stored.count_unfinished():
                time.sleep(0.05)
        finally:
            fleet.kill()
        rows = [(run.run_id, run.status, run.output) for run in stored.runs()]
        assert list_wrong(rows, clients.accepted, WORKS[name]) == []
        assert len(clients.accepted) == len(rows) == RUNS
        first, *others = rows
        assert list_wrong(others, clients.accepted, WORKS[name]) == [first[0]]
        assert list_wrong([(*first[:2], {"text": "other"}), *others], clients.accepted, WORKS[name]) == [first[0]]
        assert site.asked_again() == set()
        assert bool(site.seen) == (name == "mixed")
