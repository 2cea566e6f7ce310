"""Measures the example postgres-comparison: `python -m tests.bench.databases [--workflows N]`.

`compozy bench` measures a server on each database. PostgreSQL waits for the disk, as it does in production.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.measured import measured_server
from tests.bench.report import add_json, write_rows
from tests.harness.postgres import database_on

EXAMPLE = Path(__file__).parents[2] / "examples/database/postgres-comparison"


def main() -> None:
    """Measure, and print the output of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflows", type=int, default=10, help="runs of the first phase")
    add_json(parser)
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
        results = [json.loads((folder / f"results-{driver}.json").read_text()) for driver in ("postgres", "sqlite")]
        write_rows(results, arguments.json)


if __name__ == "__main__":
    main()
