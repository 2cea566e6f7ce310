"""Measures `compozy --help` in multiples of the start of a bare interpreter: `python -m tests.bench.startup`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

_ROUNDS = 15
_COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "compozy --help": ["-c", "from compozy.cli.main import run; run(['--help'])"],
    "compozy version": ["-c", "from compozy.cli.main import run; run(['version'])"],
}


def main() -> None:
    """Print the median of each command, measured alternately, and its ratio to the first one."""
    taken: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(_ROUNDS):
        for name, arguments in _COMMANDS.items():
            began_s = time.perf_counter()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
            taken[name].append(time.perf_counter() - began_s)
    bare_s = statistics.median(taken["python -c pass"])
    for name, seconds in taken.items():
        median_s = statistics.median(seconds)
        print(f"{name:<16} {median_s * 1000:7.1f} ms  {median_s / bare_s:5.1f} times a bare interpreter")


if __name__ == "__main__":
    main()
