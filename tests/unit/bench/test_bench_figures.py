"""Figures from times, and the chart from figures; nothing is measured here."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.bench.chart import draw_chart
from compozy.bench.figures import average_latency_ms, executed_s, most_running, quantile_ms
from compozy.bench.load import RunTimes
from compozy.bench.result import BenchResult, bench_schema

EXAMPLE = Path(__file__).parents[3] / "examples/database/postgres-comparison"
PAGES = Path(__file__).parents[3] / "docs/content/docs"
RESULTS = [
    BenchResult.model_validate_json((EXAMPLE / f"measured/{driver}.json").read_text(encoding="utf-8"))
    for driver in ("postgres", "sqlite")
]


def times(*each: tuple[int, int, int]) -> list[RunTimes]:
    return [RunTimes(accepted_ms=first, started_ms=second, finished_ms=third) for first, second, third in each]


def test_figures() -> None:
    runs = times((1000, 1010, 1100), (1005, 1020, 1300), (1010, 1100, 1200))
    assert executed_s(runs) == 0.3
    assert average_latency_ms(runs) == pytest.approx((100 + 295 + 190) / 3)
    assert quantile_ms(runs, 50) == 190
    assert quantile_ms(runs[:1], 95) == 100
    # The third starts in the millisecond in which the first ends.
    assert most_running(runs) == 2
    assert most_running([]) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=12))
def test_the_maximum_of_concurrent_runs_equals_a_count_at_every_moment(spans: list[tuple[int, int]]) -> None:
    runs = times(*((start, start, start + length) for start, length in spans))
    counted = max(sum(run.started_ms <= moment < run.finished_ms for run in runs) for moment in range(101))
    assert most_running(runs) == counted


def test_the_chart_of_the_readme_is_that_of_its_results() -> None:
    chart = (EXAMPLE / "measured/chart.svg").read_text(encoding="utf-8")
    assert draw_chart(RESULTS) == chart
    assert ET.fromstring(chart).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_table_of_the_readme_is_that_of_its_results() -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    rows = {
        "10 workflows executed in": [f"{result.executed_s:.1f}s" for result in RESULTS],
        "average latency": [f"{result.average_latency_ms:.0f}ms" for result in RESULTS],
        "p95 latency": [f"{result.p95_ms:.0f}ms" for result in RESULTS],
        "peak concurrency": [str(result.peak_concurrency) for result in RESULTS],
    }
    for name, cells in rows.items():
        assert f"| {name} | {' | '.join(cells)} |" in readme


def test_the_start_page_has_the_same_figures() -> None:
    """The README of the repository and of the example: the medians at 1, 16 and 32 concurrent runs."""
    root, example = Path(__file__).parents[3] / "README.md", EXAMPLE / "README.md"
    medians = {
        at_once: [f"{stage.p50_ms:.0f}" for result in RESULTS for stage in result.stages if stage.at_once == at_once]
        for at_once in (1, 16, 32)
    }
    for at_once, words in {1: "1 concurrent run", 16: "16 concurrent runs", 32: "32 concurrent runs"}.items():
        postgres, sqlite = medians[at_once]
        assert f"| median, {words} | {postgres}ms | {sqlite}ms |" in example.read_text(encoding="utf-8")
    for at_once, words in {1: "Median latency, 1 concurrent run", 16: "Median latency, 16 concurrent runs"}.items():
        postgres, sqlite = medians[at_once]
        assert f"| {words} | {sqlite} ms | {postgres} ms |" in root.read_text(encoding="utf-8")


def test_the_page_of_benchmarks_has_the_same_figures() -> None:
    postgres, sqlite = ({stage.at_once: stage.p50_ms or 0.0 for stage in result.stages} for result in RESULTS)
    late = {stage.at_once: stage.p95_ms or 0.0 for stage in RESULTS[1].stages}
    page = (PAGES / "project/benchmarks.mdx").read_text(encoding="utf-8")
    for at_once in (1, 4, 8, 16, 32):
        rate = 3 * at_once * 1000 / sqlite[at_once]
        median = f"{postgres[at_once]:.0f} ms " if at_once != 4 else ""
        assert f"| {at_once} | {sqlite[at_once]:.0f} ms | {late[at_once]:.0f} ms | {rate:.0f} | {median}|" in page
    assert f"and {3 * 32 * 1000 / postgres[32]:.0f} on PostgreSQL with 32 concurrent runs" in page


def test_results_match_the_published_schema() -> None:
    for result in RESULTS:
        jsonschema.validate(result.model_dump(mode="json"), bench_schema())


def test_a_single_result_can_be_drawn() -> None:
    alone = RESULTS[0].model_copy(update={"stages": RESULTS[0].stages[:1]})
    assert "NaN" not in draw_chart([alone])
    assert ET.fromstring(draw_chart([alone])) is not None
