"""Reads the results of `compozy bench` and the machines of measurements, for the pages that show them."""

from __future__ import annotations

import re
from typing import cast

from compozy.bench.result import BenchResult, Stage
from tests.bench.figures import FigureMissingError, Figures, Measurement

TASKS = 3
"""Tasks of each run."""
_MARKS = re.compile(r"\((?:R|TM)\)")


def result(figures: Figures, driver: str) -> BenchResult:
    """Return the result of one database."""
    return BenchResult.model_validate(figures.row("databases", database=driver))


def stage(figures: Figures, driver: str, count: int) -> Stage:
    """Return the stage with `count` concurrent runs.

    Raises:
        FigureMissingError: it was not measured, or no run succeeded.
    """
    for each in result(figures, driver).stages:
        if each.at_once == count and each.p50_ms is not None:
            return each
    raise FigureMissingError(
        f"docs/figures.json has no median of `databases` for {driver} with {count} concurrent runs: "
        "run `make figures BENCH=databases`"
    )


def tasks_per_s(each: Stage) -> float:
    """Return the tasks that end per second, from the median."""
    return TASKS * each.at_once * 1000 / cast("float", each.p50_ms)


def busiest(figures: Figures, driver: str) -> tuple[int, float]:
    """Return the number of concurrent runs with the most tasks per second, and these tasks."""
    measured = [each for each in result(figures, driver).stages if each.p50_ms is not None]
    best = max(measured, key=tasks_per_s)
    return best.at_once, tasks_per_s(best)


def most_on_both(figures: Figures) -> int:
    """Return the highest number of concurrent runs that was measured on both databases."""
    postgres, sqlite = (
        {each.at_once for each in result(figures, driver).stages if each.p50_ms is not None}
        for driver in ("postgres", "sqlite")
    )
    return max(postgres & sqlite)


def describe_machine(measurement: Measurement) -> str:
    """Return the machine in words, with the parts that were recorded."""
    machine = measurement.machine
    processor = " ".join(_MARKS.sub("", machine.processor).split()).removesuffix(" Processor")
    processors = f"{machine.processors} processors" + (f" ({processor})" if processor else "")
    system = re.match(r"\w+ \d+\.\d+", machine.system)
    versions = [
        *([system[0]] if system else []),
        f"Python {machine.python.rpartition('.')[0]}",
        *([f"SQLite {machine.sqlite}"] if machine.sqlite else []),
        *([f"PostgreSQL {machine.postgres}"] if machine.postgres else []),
    ]
    memory = f"{machine.memory_mb / 1024:.0f} GiB of memory"
    return f"{processors}, {memory}, {', '.join(versions[:-1])} and {versions[-1]}"
