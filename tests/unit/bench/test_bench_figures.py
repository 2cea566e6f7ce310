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


def test_the_chart_of_the_readme_is_an_image() -> None:
    chart = (EXAMPLE / "measured/chart.svg").read_text(encoding="utf-8")
    assert ET.fromstring(chart).tag == "{http://www.w3.org/2000/svg}svg"


def test_results_match_the_published_schema() -> None:
    for result in RESULTS:
        jsonschema.validate(result.model_dump(mode="json"), bench_schema())


def test_a_single_result_can_be_drawn() -> None:
    alone = RESULTS[0].model_copy(update={"stages": RESULTS[0].stages[:1]})
    assert "NaN" not in draw_chart([alone])
    assert ET.fromstring(draw_chart([alone])) is not None
