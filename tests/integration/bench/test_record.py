"""`make figures`: each benchmark writes what its section of the page shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench import record
from tests.bench.figures import read_figures
from tests.generated.pages.benchmarks import write_benchmarks
from tests.generated.pages.sections import SECTIONS
from tests.generated.pages.tables import MISSING

SMALL = {
    "runs": "--runs 4 --rounds 1 --at-once 2 --driver memory",
    "tasks": "--rounds 1 --driver memory",
    "workers": "--runs 4 --workers 1",
    "burst": "--posts 20 --clients 2 --rounds 1",
    "lists": "--kinds file --stored 5 10 --lists 5 --posters 1",
    "claims": "--kinds file --waiting 20 60 --claims 2",
    "watchers": "--kinds file --tasks 2 --watchers 3 --rounds 1",
    "memories": "--kinds file --times 2",
    "vectors": "--counts 50 --dimension 8 --kinds filesystem",
    "ingestion": "--documents 2 --rounds 1 --kinds filesystem",
    "moves": "--runs 10",
    "startup": "--rounds 1",
}
"""Benchmark -> options that make it short. `databases` and `day` have no short form."""


def test_every_benchmark_is_tested() -> None:
    assert SMALL.keys() == record.BENCHMARKS.keys() - {"databases", "day"}


@pytest.mark.parametrize("name", SMALL)
def test_a_section_shows_every_figure(name: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert record.record(name, SMALL[name].split(), file, load=3.25)
    figures = read_figures(file)
    measurement = figures.measurements[name]
    assert measurement.command == f"python -m tests.bench.{name} {SMALL[name]}"
    assert measurement.load_average == 3.25
    assert measurement.machine.postgres
    [section] = [each for each in SECTIONS if each.benchmark == name]
    assert MISSING not in section.table(measurement.rows)
    assert f"`python -m tests.bench.{name} " in " ".join(write_benchmarks(figures).split())


def test_a_benchmark_that_fails_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert not record.record("startup", ["--rounds", "none"], file, load=0.0)
    assert not file.exists()


def test_a_busy_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["record", "startup"])
    monkeypatch.setattr(os, "getloadavg", lambda: (2.5, 1.0, 1.0))
    with pytest.raises(SystemExit, match=r"The machine is busy: its load average is 2\.5, .* set FORCE=1"):
        record.main()


def test_an_unknown_benchmark_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["record", "walks"])
    with pytest.raises(SystemExit):
        record.main()
    assert "'walks' is not one of databases, runs, tasks" in capsys.readouterr().err
