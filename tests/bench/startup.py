"""Measures `compozy --help` in multiples of the start of a bare interpreter: `python -m tests.bench.startup`."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from tests.bench.report import add_json, report

_COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "compozy --help": ["-c", "from compozy.cli.main import run; run(['--help'])"],
    "compozy version": ["-c", "from compozy.cli.main import run; run(['version'])"],
}


def main() -> None:
    """Print the median of each command, measured alternately, and its ratio to the first one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    add_json(parser)
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(arguments.rounds):
        for name, command in _COMMANDS.items():
            began_s = time.perf_counter()
            subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
            taken[name].append(time.perf_counter() - began_s)
    bare_s = statistics.median(taken["python -c pass"])
    rows = [
        {"command": name, "p50_ms": round(median_s * 1000, 1), "times_bare": round(median_s / bare_s, 1)}
        for name, median_s in ((name, statistics.median(seconds)) for name, seconds in taken.items())
    ]
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
