"""Measures the example postgres-comparison: `python -m tests.bench.databases [--workflows N] [--keep FOLDER]`.

`compozy bench` measures a server on each database. PostgreSQL waits for the disk, as it does in production. With
`--keep`, the results and the chart are written to a folder in the form that the example's README shows.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.measured import measured_server
from tests.harness.postgres import database_on

EXAMPLE = Path(__file__).parents[2] / "examples/database/postgres-comparison"


def main() -> None:
    """Measure, and print the output of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflows", type=int, default=10, help="runs of the first phase")
    parser.add_argument("--keep", type=Path, help="folder for the results and the chart")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, measured_server(["postgres"]) as server:
        assert server is not None
        folder = Path(scratch) / "example"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data"))
        with database_on(server) as settings:
            variables = {"DB_HOST": "127.0.0.1", "DB_PORT": str(settings.port), "DB_NAME": str(settings.dbname)}
            environ = {**os.environ, **variables, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            command = ["./benchmark.sh", f"--workflows={arguments.workflows}"]
            subprocess.run(command, cwd=folder, env=environ, check=True)
        if arguments.keep is not None:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            for driver in ("postgres", "sqlite"):
                shutil.copy(folder / f"results-{driver}.json", arguments.keep / f"{driver}.json")
            shutil.copy(folder / "results.svg", arguments.keep / "chart.svg")


if __name__ == "__main__":
    main()
