"""The tests of the examples replay offline, in parallel, again, and on both databases with equal event logs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from compozy.project.load import load_project
from compozy.replay import collect
from compozy.replay.driver import run_test
from compozy.replay.guard import closed_network
from compozy.replay.player import Mode
from compozy.replay.secrets import Secrets
from tests.conftest import RunCli
from tests.harness.databases import fresh
from tests.harness.processes import Commands

EXAMPLES = Path(__file__).parents[3] / "examples"
# Their tools, servers and models are not there: a replay needs only what describes them.
LEFT_OUT = shutil.ignore_patterns("data", ".env", "services", "notes")
SUITES = ["agents", "tools"]


@pytest.fixture(name="folder", params=SUITES)
def _folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of an example without what its runs need."""
    return shutil.copytree(EXAMPLES / request.param, tmp_path / request.param, ignore=LEFT_OUT)


def test_an_example_passes_offline_in_parallel_and_again(folder: Path, cli: RunCli, commands: Commands) -> None:
    first = cli("test", "--config", str(folder), str(folder / "tests"))
    assert (first.status, first.err) == (0, "")
    parallel = commands.run(folder, "test", "--jobs", "2")
    assert (parallel.status, parallel.err) == (0, "")
    assert sorted(line.rpartition("tests/")[2] for line in parallel.out.splitlines()) == sorted(
        line.rpartition("tests/")[2] for line in first.out.splitlines()
    )
    # Nothing was started, and no database was made.
    assert not {path.name for path in folder.iterdir()} & {"data", "services", "notes"}


def test_event_logs_are_equal_on_both_databases(folder: Path, tmp_path: Path, clean_environ: None) -> None:
    project = load_project(folder / "compozy.yaml", cwd=folder, environ={})
    secrets = Secrets.of_project(project)
    files = collect.find_test_files(project, [], cwd=folder)
    collected = collect.read_tests(project, files, cwd=folder, secrets=secrets)
    assert collected.faults == []

    def logs(driver: str) -> list[Sequence[Any]]:
        return [log(driver, number, test) for number, test in enumerate(collected.tests)]

    def log(driver: str, number: int, test: collect.Test) -> Sequence[Any]:
        below = tmp_path / f"{driver}-{number}"
        below.mkdir()
        with fresh(driver, below, migrated=False) as database, closed_network(is_closed=driver == "sqlite"):
            result = run_test(project, test, mode=Mode.REPLAY, secrets=secrets, database=database)
        assert result.problems == (), test.case.name
        assert result.events
        return result.events

    assert logs("sqlite") == logs("postgres")
