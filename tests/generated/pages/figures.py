"""Figures in pages: sentences and table rows of hand-written pages, and files that contain nothing else.

Each quote is a text of a page with placeholders. The figures of `docs/figures.json` replace what the page has in the
position of the placeholders, so a page is written by hand and its figures are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from compozy.bench.chart import draw_chart
from tests.bench.figures import Figures
from tests.generated.pages.benchmarks import write_benchmarks
from tests.generated.pages.latency import busiest, describe_machine, most_on_both, result, stage

ROOT = Path(__file__).parents[3]
_EXAMPLE = "examples/database/postgres-comparison"
_PLACEHOLDER = re.compile(r"\{([a-z_]+(?:\.[a-z0-9_]+)*)\}")
_FIGURE, _MACHINE = r"([0-9][0-9.,-]*?)", r"([^|`]+?)"
# A model delay of 20 ms in each of three tasks.
_MODEL_MS = 60


def _latencies(driver: str) -> dict[str, Callable[[Figures], str]]:
    return {
        f"{driver}.1": lambda figures: _median(figures, driver, 1),
        f"{driver}.8": lambda figures: _median(figures, driver, 8),
        f"{driver}.most": lambda figures: _median(figures, driver, most_on_both(figures)),
        f"{driver}.executed": lambda figures: f"{result(figures, driver).executed_s:.1f}",
        f"{driver}.average": lambda figures: f"{result(figures, driver).average_latency_ms:.0f}",
        f"{driver}.p95": lambda figures: f"{result(figures, driver).p95_ms:.0f}",
        f"{driver}.peak": lambda figures: str(result(figures, driver).peak_concurrency),
        f"{driver}.rate": lambda figures: f"{busiest(figures, driver)[1]:.0f}",
        f"{driver}.busiest": lambda figures: str(busiest(figures, driver)[0]),
    }


def _median(figures: Figures, driver: str, count: int) -> str:
    return f"{stage(figures, driver, count).p50_ms:.0f}"


def _move(step: str) -> Callable[[Figures], str]:
    return lambda figures: f"{figures.value('moves', 'seconds', step=step):.0f}"


_VALUES: Mapping[str, Callable[[Figures], str]] = {
    **_latencies("sqlite"),
    **_latencies("postgres"),
    "latency.most": lambda figures: str(most_on_both(figures)),
    "latency.over_model": lambda figures: f"{(stage(figures, 'postgres', 1).p50_ms or 0) - _MODEL_MS:.0f}",
    "latency.processors": lambda figures: str(figures.measurements["databases"].machine.processors),
    "latency.machine": lambda figures: describe_machine(figures.measurements["databases"]),
    "latency.date": lambda figures: figures.measurements["databases"].date,
    "latency.load": lambda figures: f"{figures.measurements['databases'].load_average or 0:.1f}",
    "workers.four": lambda figures: f"{figures.value('workers', 'times_first', workers=4, wait_ms=200):.2f}",
    "moves.runs": lambda figures: f"{figures.value('moves', 'runs', step='SQLite to document'):,}",
    "moves.mib": lambda figures: str(figures.value("moves", "document_mib", step="SQLite to document")),
    "moves.from_sqlite": _move("SQLite to document"),
    "moves.to_postgres": _move("document to PostgreSQL"),
    "moves.from_postgres": _move("PostgreSQL to document"),
    "moves.to_sqlite": _move("document to SQLite"),
    "moves.date": lambda figures: figures.measurements["moves"].date,
}
"""Placeholder -> its text."""

_PAGES = "docs/content/docs"
QUOTES: Mapping[str, tuple[str, ...]] = {
    "README.md": (
        "| Median latency, 1 concurrent run | {sqlite.1} ms | {postgres.1} ms |",
        "| Median latency, {latency.most} concurrent runs | {sqlite.most} ms | {postgres.most} ms |",
        "on a machine with {latency.processors} processors;",
    ),
    f"{_EXAMPLE}/README.md": (
        "Measured on {latency.date} with `make figures BENCH=databases`, on a machine with {latency.machine}. The load",
        "The load average at the start was {latency.load}. PostgreSQL ran",
        "| 10 workflows executed in | {postgres.executed}s | {sqlite.executed}s |",
        "| average latency | {postgres.average}ms | {sqlite.average}ms |",
        "| p95 latency | {postgres.p95}ms | {sqlite.p95}ms |",
        "| peak concurrency | {postgres.peak} | {sqlite.peak} |",
        "| median, 1 concurrent run | {postgres.1}ms | {sqlite.1}ms |",
        "| median, 8 concurrent runs | {postgres.8}ms | {sqlite.8}ms |",
        "| median, {latency.most} concurrent runs, the most on both | {postgres.most}ms | {sqlite.most}ms |",
    ),
    f"{_PAGES}/database/overview.mdx": (
        "(/docs/project/benchmarks#workers) complete {workers.four} times as many runs that wait for models as one",
        "| **Performance** | {postgres.1} ms for a single run, {postgres.most} ms with [{latency.most} concurrent",
        "#runs) | {sqlite.1} ms for a single run, {sqlite.most} ms with [{latency.most} concurrent",
    ),
    f"{_PAGES}/database/sqlite.mdx": (
        "a median of [{sqlite.1} ms](/docs/project/benchmarks#runs), and {postgres.1} ms on PostgreSQL |",
        "[Measured](/docs/project/benchmarks#runs) on {latency.processors} processors,",
        "completed up to {sqlite.rate} tasks per second, with {sqlite.busiest} concurrent runs.",
    ),
    f"{_PAGES}/database/move-and-backup.mdx": (
        "Moving {moves.runs} runs of two tasks, a document of {moves.mib} MiB,",
        "took {moves.from_sqlite} seconds to export from SQLite, {moves.to_postgres} seconds to import",
        "into PostgreSQL, {moves.from_postgres} to export again, and {moves.to_sqlite} to import into another",
        "Measured with `make figures BENCH=moves` on {moves.date};",
    ),
    f"{_PAGES}/deployment/scaling.mdx": (
        "four workers complete [{workers.four} times as much](/docs/project/benchmarks#workers) as one.",
        "database complete up to [{sqlite.rate} tasks per second](/docs/project/benchmarks#runs) on SQLite and",
        "on SQLite and {postgres.rate} on PostgreSQL, with {latency.processors} processors.",
    ),
    f"{_PAGES}/troubleshooting/database.mdx": (
        "on our machine, {latency.over_model} of {postgres.1} ms for a run of three tasks were not model time",
    ),
}
"""Page -> its texts with figures."""


def write_documents(figures: Figures) -> dict[str, str]:
    """Return all files that show figures, by their paths in the repository.

    Raises:
        FigureMissingError: a text shows a figure that was not measured.
        ValueError: a page lacks one of its quotes.
    """
    results = [result(figures, driver) for driver in ("postgres", "sqlite")]
    return {
        f"{_PAGES}/project/benchmarks.mdx": write_benchmarks(figures),
        **{f"{_EXAMPLE}/measured/{each.database}.json": f"{each.model_dump_json(indent=2)}\n" for each in results},
        f"{_EXAMPLE}/measured/chart.svg": draw_chart(results),
        **{
            page: fill_quotes((ROOT / page).read_text(encoding="utf-8"), quotes, figures, page)
            for page, quotes in QUOTES.items()
        },
    }


def fill_quotes(text: str, quotes: tuple[str, ...], figures: Figures, page: str) -> str:
    """Return the text of a page with the figures in its quotes.

    Raises:
        ValueError: a quote is not exactly once in the text.
    """
    for quote in quotes:
        names = _PLACEHOLDER.findall(quote)
        found = list(_pattern(quote).finditer(text))
        if len(found) != 1:
            raise ValueError(
                f"{page} must contain this text once, with figures in place of the names in braces: {quote!r}. "
                "Correct the page, or QUOTES in tests/generated/pages/figures.py."
            )
        for number, name in reversed(list(enumerate(names, start=1))):
            start, end = found[0].span(number)
            text = text[:start] + _VALUES[name](figures) + text[end:]
    return text


def _pattern(quote: str) -> re.Pattern[str]:
    """Return what matches the quote with any figures, and with other line breaks."""
    parts = _PLACEHOLDER.split(quote)
    parts[::2] = [r"\s+".join(map(re.escape, re.split(r"\s+", part))) for part in parts[::2]]
    parts[1::2] = [_MACHINE if name == "latency.machine" else _FIGURE for name in parts[1::2]]
    return re.compile("".join(parts))
