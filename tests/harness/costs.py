"""The processor time of tests: measured for each test, and added up for each folder.

    pytest -n0 --costs=FILE tests/unit
    python -m tests.harness.costs FILE [--by folder|file|function|driver] [--top NUMBER]

The time includes the processes that a test waits for, those of the fork server, and PostgreSQL. Use one process of
pytest: with several, a test is charged with what PostgreSQL does for the others.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness.postgres import server_cpu_s
from tests.harness.processes import forked_cpu_s

_PHASES = ("setup", "call", "teardown")
_PROPERTY = "cpu_s"


class Costs:
    """A plugin of pytest: measures each phase of each test, and writes the times to a file, one line for each test."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._costs: dict[str, dict[str, float]] = defaultdict(dict)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measure the fixtures of a test."""
        return (yield from self._measure(item, "setup"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measure a test without its fixtures."""
        return (yield from self._measure(item, "call"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measure the end of the fixtures of a test."""
        return (yield from self._measure(item, "teardown"))

    def _measure(self, item: pytest.Item, phase: str) -> Generator[None, object, object]:
        if self._path is None:
            return (yield)
        before_s = cpu_s() + server_cpu_s()
        try:
            return (yield)
        finally:
            item.user_properties.append((f"{_PROPERTY}:{phase}", cpu_s() + server_cpu_s() - before_s))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the time of a phase. With several workers, only their controller writes the file."""
        for name, value in report.user_properties:
            phase, _, which = name.partition(":")
            if phase == _PROPERTY and isinstance(value, float):
                self._costs[report.nodeid][which] = value

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        if self._path is None or "PYTEST_XDIST_WORKER" in os.environ:
            return
        lines = [json.dumps({"test": test, **times}) for test, times in sorted(self._costs.items())]
        self._path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def cpu_s() -> float:
    """Return the processor time of this process, of the children that it waited for, and of the fork server."""
    return sum(os.times()[:4]) + forked_cpu_s()


def main() -> None:
    """Print a table of the most expensive folders, files or tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--by", choices=sorted(_KEYS), default="folder")
    parser.add_argument("--top", type=int, default=50)
    given = parser.parse_args()
    rows = [json.loads(line) for file in given.files for line in file.read_text(encoding="utf-8").splitlines()]
    print(f"{'TESTS':>6}{'SETUP':>9}{'CALL':>9}{'TEARDOWN':>10}{'TOTAL':>9}")
    for key, times in _add_up(rows, _KEYS[given.by])[: given.top]:
        print(_line(times, key))
    print(_line(_add_up(rows, lambda _: "total")[0][1], "total"))


def _add_up(rows: list[dict[str, Any]], key: Callable[[str], str]) -> list[tuple[str, Mapping[str, float]]]:
    sums: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(("tests", *_PHASES), 0.0))
    for row in rows:
        total = sums[key(row["test"])]
        total["tests"] += 1
        for phase in _PHASES:
            total[phase] += row.get(phase, 0.0)
    return sorted(sums.items(), key=lambda pair: -sum(pair[1][phase] for phase in _PHASES))


def _line(times: Mapping[str, float], key: str) -> str:
    setup, call, teardown = (times[phase] for phase in _PHASES)
    return f"{times['tests']:>6.0f}{setup:>9.1f}{call:>9.1f}{teardown:>10.1f}{setup + call + teardown:>9.1f}  {key}"


def _folder(test: str) -> str:
    return test.partition("::")[0].rpartition("/")[0]


def _file(test: str) -> str:
    return test.partition("::")[0]


def _function(test: str) -> str:
    return test.partition("[")[0]


def _driver(test: str) -> str:
    return next((driver for driver in ("postgres", "sqlite") if driver in test.partition("[")[2]), "none")


_KEYS: Mapping[str, Callable[[str], str]] = {
    "folder": _folder,
    "file": _file,
    "function": _function,
    "driver": _driver,
    "test": str,
}

if __name__ == "__main__":
    main()
