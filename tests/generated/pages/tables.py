"""Writes the tables of the page of benchmarks. A figure that was not measured is a dash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compozy.bench.result import BenchResult
from tests.generated.pages.latency import tasks_per_s

MISSING = "–"
"""The text of a figure that was not measured."""

_STORES = {"qdrant": "qdrant (a test server with its engine as a library)", "numpy": "numpy (in memory)"}

Rows = Sequence[dict[str, Any]]

DATABASES = {
    "file": "SQLite",
    "sqlite": "SQLite",
    "memory": "SQLite in memory",
    "postgres": "PostgreSQL",
    "postgres-2": "PostgreSQL, 2 processes",
}
"""Kind of database, or server of `bench.burst` -> its name on pages."""


def number(value: float | str | None, digits: int = 0, unit: str = "") -> str:
    """Return a figure with its unit, a word as it is, or a dash."""
    if isinstance(value, str):
        return value
    return MISSING if value is None else f"{value:,.{digits}f} {unit}".strip()


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace(" --- |", "---|").replace("| ---", "|---") for cells in lines)


def by_database(rows: Rows, *figures: tuple[str, str, int, str]) -> str:
    """Return a table with a column for each database.

    Args:
        rows: a row for each database.
        figures: label, name, digits and unit of each line. Names in braces in a label are values of the first row.
    """
    lines = [
        [label.format(**_counts(rows[0])), *(number(row.get(name), digits, unit) for row in rows)]
        for label, name, digits, unit in figures
    ]
    return table(["Figure", *(DATABASES[row["database"]] for row in rows)], lines)


def _counts(row: dict[str, Any]) -> dict[str, str]:
    """Return the values of a row as texts of a label: integers with their separators."""
    return {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in row.items()}


def latency_table(rows: Rows) -> str:
    """Return the table of both databases by concurrent runs."""
    results = [BenchResult.model_validate(row) for row in sorted(rows, key=lambda row: row["database"] != "sqlite")]
    counts = sorted({stage.at_once for result in results for stage in result.stages})
    lines = [[str(count), *(cell for result in results for cell in _latency_cells(result, count))] for count in counts]
    names = [DATABASES[result.database] for result in results]
    return table(
        [
            "Concurrent runs",
            *(f"{name}, {figure}" for name in names for figure in ("median (p95)", "tasks per second")),
        ],
        lines,
    )


def _latency_cells(result: BenchResult, count: int) -> tuple[str, str]:
    stage = next((stage for stage in result.stages if stage.at_once == count and stage.p50_ms), None)
    if stage is None:
        return number(None), number(None)
    return f"{stage.p50_ms:.0f} ms ({stage.p95_ms:.0f} ms)", f"{tasks_per_s(stage):.0f}"


def latency_meaning(rows: Rows) -> str:
    """Return the highest throughput, and the load up to which latency is stable."""
    results = {row["database"]: BenchResult.model_validate(row) for row in rows}
    best = {
        name: max(tasks_per_s(stage) for stage in result.stages if stage.p50_ms) for name, result in results.items()
    }
    within = {name: _stable_up_to(result) for name, result in results.items()}
    return (
        f"One server process and its database completed up to {best['sqlite']:.0f} tasks per second on SQLite and "
        f"{best['postgres']:.0f} on PostgreSQL, calculated from the median. The p95 latency stayed within five "
        f"times the median of a single run with up to {within['sqlite']} concurrent runs on SQLite and "
        f"{within['postgres']} on PostgreSQL. Runs that wait for a model, a time or a person cost almost nothing: "
        f"with a model that takes 2 seconds to answer, {best['sqlite']:.0f} tasks per second correspond to "
        f"{2 * best['sqlite']:.0f} concurrent runs. More than 100 concurrent runs on SQLite were not measured."
    )


def _stable_up_to(result: BenchResult) -> int:
    """Return the highest number of concurrent runs whose p95 is at most five times the median of a single run."""
    limit_ms = 5 * (result.stages[0].p50_ms or 0.0)
    return max((stage.at_once for stage in result.stages if stage.p95_ms and stage.p95_ms <= limit_ms), default=0)


def bare_table(rows: Rows) -> str:
    """Return the table of Compozy and bare DBOS."""
    return table(
        ["Database", "Concurrent runs", "Compozy, runs per second", "DBOS, runs per second", "Time relative to DBOS"],
        [
            [
                DATABASES[row["database"]],
                number(row["at_once"]),
                number(row.get("compozy_per_s"), 1),
                number(row.get("bare_per_s"), 1),
                number(row.get("ratio"), 2),
            ]
            for row in rows
        ],
    )


def workers_table(rows: Rows) -> str:
    """Return the table of runs per second by workers."""
    waits = sorted({row["wait_ms"] for row in rows}, reverse=True)
    headings = [
        f"{'tasks that do nothing' if not wait_ms else f'pauses of {wait_ms} ms'}, {figure}"
        for wait_ms in waits
        for figure in ("runs per second", "relative to one worker")
    ]
    lines: list[list[str]] = []
    for workers in sorted({row["workers"] for row in rows}):
        found = [row for wait_ms in waits for row in rows if (row["workers"], row["wait_ms"]) == (workers, wait_ms)]
        cells = [cell for row in found for cell in (number(row["runs_per_s"], 1), number(row["times_first"], 2))]
        lines.append([str(workers), *cells])
    return table(["Workers", *headings], lines)


def workers_meaning(rows: Rows) -> str:
    """Return what more workers change."""
    best = max((row for row in rows if row["wait_ms"]), key=lambda row: row["workers"])
    return (
        f"If runs wait, as runs with models do, {best['workers']} workers complete {best['times_first']:.2f} times "
        "as many as one. If they never wait, workers help until they use up the processors; more workers then "
        f"need more machines. Steps that were executed twice: {sum(row['twice'] for row in rows)}."
    )


def vectors_table(rows: Rows) -> str:
    """Return the table of vector stores."""
    return table(
        ["Store", "Vectors", "Median", "Its client, median", "recall@10"],
        [
            [
                str(_STORES.get(row["store"], row["store"])),
                number(row["vectors"]),
                number(row.get("p50_ms"), 1, "ms"),
                number(row["client_p50_ms"], 1, "ms") if "client_p50_ms" in row else "none",
                number(row.get("recall"), 3),
            ]
            for row in rows
        ],
    )


def ingestion_table(rows: Rows) -> str:
    """Return the table of ingestions."""
    return table(
        ["Store", "Documents", "Embedder alone, documents per second", "Ingestion, documents per second", "Share"],
        [
            [
                row["store"],
                number(row["documents"]),
                number(row["embedder_per_s"], 1),
                number(row["ingestion_per_s"], 1),
                number(row["share"], 2),
            ]
            for row in rows
        ],
    )


def moves_table(rows: Rows) -> str:
    """Return the table of the steps of moves."""
    lines = [
        [row["step"], number(row["seconds"], 0, "s"), number(row.get("resident_mib"), 0, "MiB")]
        for row in rows
        if row.get("document_mib")
    ]
    return table(["Step", "Time", "Memory of the process"], lines)


def moves_meaning(rows: Rows) -> str:
    """Return the size of the moved document."""
    runs, size = rows[-1]["runs"], rows[-1]["document_mib"]
    return (
        f"{number(runs)} runs of two tasks are a document of {number(size)} MiB. The memory is the largest "
        "resident size of the process that executes the step."
    )


def startup_table(rows: Rows) -> str:
    """Return the table of commands."""
    return table(
        ["Command", "Median", "Relative to a bare interpreter"],
        [[f"`{row['command']}`", number(row["p50_ms"], 0, "ms"), number(row["times_bare"], 1)] for row in rows],
    )
