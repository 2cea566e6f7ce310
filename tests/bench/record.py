"""Measures the figures that pages show: `make figures`, or `python -m tests.bench.record [NAME...] [--force]`.

Each benchmark runs with the sizes in `BENCHMARKS`, and its figures replace those in `docs/figures.json` as soon as it
has ended. `make pages` then writes them into the pages. Without names, all benchmarks run except those that take longer
than all others together. Other load falsifies figures, so a busy machine is refused without `--force`.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from compozy.bench.machine import describe_machine
from tests.bench.figures import FIGURES, MeasuredOn, Measurement, write_figure
from tests.harness.postgres import find_program

MAX_LOAD = 0.5
_ROWS = TypeAdapter(tuple[dict[str, Any], ...])


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark with the options of its page; `is_long` ones run only if they are named."""

    options: tuple[str, ...] = ()
    is_long: bool = False


BENCHMARKS: Mapping[str, Benchmark] = {
    "databases": Benchmark(),
    "runs": Benchmark(),
    "tasks": Benchmark(),
    "workers": Benchmark(options=("--runs", "200")),
    "burst": Benchmark(),
    "lists": Benchmark(options=("--lists", "100")),
    "claims": Benchmark(),
    "watchers": Benchmark(options=("--rounds", "2")),
    "memories": Benchmark(),
    "vectors": Benchmark(options=("--counts", "1000,10000", "--kinds", "filesystem,qdrant,redis,pgvector")),
    "ingestion": Benchmark(options=("--documents", "20", "--kinds", "filesystem")),
    "moves": Benchmark(options=("--runs", "20000")),
    "startup": Benchmark(),
    "day": Benchmark(is_long=True),
}
"""All benchmarks of the pages, in the order in which they run."""


def main() -> None:
    """Measure, and exit with 1 if the machine is busy or a benchmark failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(BENCHMARKS)}")
    parser.add_argument("--force", action="store_true", help="measure although the machine is busy")
    parser.add_argument("--file", type=Path, default=FIGURES, help="file of the figures")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in BENCHMARKS]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(BENCHMARKS)}")
    load = round(os.getloadavg()[0], 2)
    if load > MAX_LOAD and not arguments.force:
        sys.exit(
            f"The machine is busy: its load average is {load}, and figures need at most {MAX_LOAD}. "
            "Wait until other programs have ended, or set FORCE=1; the figures then name the load."
        )
    names = arguments.names or [name for name, benchmark in BENCHMARKS.items() if not benchmark.is_long]
    failed = [name for name in names if not record(name, BENCHMARKS[name].options, arguments.file, load)]
    if failed:
        sys.exit(f"Failed, and not recorded: {', '.join(failed)}. The other figures are: run `make pages`.")


def record(name: str, options: Sequence[str], file: Path, load: float) -> bool:
    """Run a benchmark and store its figures, unless it fails; return whether it succeeded.

    Args:
        name: a module of `tests.bench`.
        options: its options.
        file: the file of the figures.
        load: load average before the first benchmark, which the benchmarks before this one did not cause.
    """
    command = ["python", "-m", f"tests.bench.{name}", *options]
    print(f"\n{' '.join(command)}", flush=True)
    at = datetime.now(UTC)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        status = subprocess.run([sys.executable, *command[1:], "--json", str(rows)], check=False).returncode
        took_s = time.monotonic() - began_s
        if status:
            print(f"{name} failed with exit code {status}", flush=True)
            return False
        measurement = Measurement(
            command=" ".join(command),
            date=at.date().isoformat(),
            load_average=load,
            seconds=round(took_s, 1),
            machine=_machine(),
            rows=_ROWS.validate_json(rows.read_bytes()),
        )
    write_figure(file, name, measurement)
    print(f"{name} took {took_s:.0f} s", flush=True)
    return True


def _machine() -> MeasuredOn:
    described = describe_machine().model_dump(exclude={"load_average"})
    printed = subprocess.run([find_program("postgres"), "--version"], capture_output=True, text=True, check=True).stdout
    # Such as `postgres (PostgreSQL) 18.1`.
    return MeasuredOn(**described, sqlite=sqlite3.sqlite_version, postgres=printed.split()[2])


if __name__ == "__main__":
    main()
