"""`compozy bench` and the example postgres-comparison with real servers, real runs and both databases."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from compozy.bench.result import BenchResult, bench_schema
from tests.conftest import RunCli
from tests.harness.postgres import new_database
from tests.harness.projects import write_project

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples/database/postgres-comparison"
MODEL = {"only": {"text": "yes", "delay_ms": 5}}
BENCHMARK = {"benchmark": {"tasks": [{"id": "only", "prompt": "Well?"}]}}
SMALL = ("--workflows=3", "--max-load=2")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("data", "results*")))


def run_script(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    foreign = ("DB_", "SERVER_", "COMPOZY_BASE", "COMPOZY_CONFIG")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environ |= {"PATH": f"{Path(sys.executable).parent}:{environ['PATH']}", "NO_COLOR": "1", **variables}
    return subprocess.run(
        ["./benchmark.sh", *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def servers_of(folder: Path) -> list[str]:
    """Return the servers that still run for a project in `folder`."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "start" in words and any(str(folder) in word for word in words):
            found.append(entry.name)
    return found


def read_result(path: Path) -> Any:
    document = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(document, bench_schema())
    return document


@pytest.mark.timeout(600)
def test_the_script_measures_both_and_compares(example: Path) -> None:
    with new_database(migrated=False) as made:
        variables = {"DB_HOST": str(made.host), "DB_PORT": str(made.port), "DB_NAME": str(made.dbname)}
        done = run_script(example, "--workflows=4", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for name in ("PostgreSQL", "SQLite"):
        at = lines.index(f"Running benchmark with {name}...")
        executed, latency, peak = lines[at + 1 : at + 4]
        assert executed.startswith("4 workflows executed in ")
        assert latency.startswith("Average latency: ")
        assert latency.endswith("ms")
        assert peak.startswith("Peak concurrency: ")
    assert any(line.split() == ["PostgreSQL", "SQLite"] for line in lines)
    assert (example / "results.svg").read_text(encoding="utf-8").startswith("<svg ")
    for driver in ("postgres", "sqlite"):
        result = read_result(example / f"results-{driver}.json")
        assert (result["database"], result["workflows"]) == (driver, 4)
        # The model takes three times 20 ms.
        assert result["average_latency_ms"] >= 60
        assert result["executed_s"] >= 0.06
        loads = [stage["at_once"] for stage in result["stages"]]
        assert loads == [2**step for step in range(len(loads))]
        assert result["peak_concurrency"] == max(stage["running"] for stage in result["stages"]) > 1
        assert all(stage["failed"] == 0 for stage in result["stages"])
    assert servers_of(example) == []


@pytest.mark.timeout(600)
def test_the_script_takes_its_arguments_in_both_ways(example: Path) -> None:
    done = run_script(example, "compozy-sqlite.yaml", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_result(example / "results-sqlite.json")["workflows"] == 2
    assert not (example / "results-postgres.json").exists()
    assert run_script(example, "--frobnicate").returncode == 2
    assert run_script(example, "a", "b", "c").returncode == 2


def test_a_users_own_project(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, BENCHMARK, responses=MODEL)
    done = cli("bench", *SMALL, "--format=json", "--output=result.json", "--chart=chart.svg")
    assert done.status == 0, done.err
    (result,) = json.loads(done.out)["results"]
    assert result == read_result(tmp_path / "result.json")
    parsed = BenchResult.model_validate(result)
    assert (parsed.ended_by, parsed.peak_concurrency) in {
        (how, peak) for how in ("limit", "latency") for peak in (1, 2)
    }
    assert (tmp_path / "chart.svg").is_file()
    assert servers_of(tmp_path) == []


def test_a_run_that_fails_ends_the_measurement(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, BENCHMARK, responses={"only": {"error": "boom"}})
    done = cli("bench", *SMALL, "--output=result.json")
    assert done.status == 1
    assert "benchmark failed: " in done.err
    assert "boom" in done.err
    assert not (tmp_path / "result.json").exists()
    assert servers_of(tmp_path) == []


def test_a_server_that_does_not_start(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, BENCHMARK, responses=MODEL, database={"driver": "sqlite", "path": "compozy.yaml"})
    done = cli("bench", *SMALL)
    assert done.status == 4
    assert "exited with code 4 before it was ready" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workflow=other",), "no workflow 'other'"),
        (("--output=nowhere/result.json",), "its folder does not exist"),
        (("--config=.", "--config=.", "--output=result.json"), "two results would be written to 'result.json'"),
        (("--workflows=0",), "--workflows"),
    ],
)
def test_invalid_requests_are_reported_before_anything_is_measured(
    cli: RunCli, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_project(tmp_path, BENCHMARK, responses=MODEL)
    done = cli("bench", *arguments)
    assert done.status == 2
    assert said in done.err
    assert not (tmp_path / "data").exists()


def test_only_results_are_replaced(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, BENCHMARK)
    before = (tmp_path / "compozy.yaml").read_text()
    done = cli("bench", *SMALL, "-o", "compozy.yaml")
    assert done.status == 2
    assert "'compozy.yaml' exists and is not a benchmark result" in done.err
    assert (tmp_path / "compozy.yaml").read_text() == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=["term", "kill"])
def test_its_server_does_not_outlive_it(tmp_path: Path, number: int, status: int) -> None:
    write_project(tmp_path, BENCHMARK, responses={"only": {"text": "late", "delay_ms": 60_000}})
    command = [sys.executable, "-m", "compozy", "bench", *SMALL]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not servers_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert servers_of(tmp_path)
    process.send_signal(number)
    assert process.wait(60) == status
    deadline = time.monotonic() + 60
    # A killed process cannot wait for its server to end.
    while number == signal.SIGKILL and servers_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert servers_of(tmp_path) == []
