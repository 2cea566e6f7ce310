"""Metrics: nothing is collected unless enabled, and the number of series is limited."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from compozy.config.settings import MonitoringSettings
from compozy.telemetry.metrics import (
    EXECUTIONS_OPEN,
    EXECUTIONS_STARTED,
    OLDEST_PENDING,
    TASK_DURATION,
    TASK_RETRIES,
    is_collecting,
)
from compozy.telemetry.prometheus import MAX_SERIES, OTHER, PrometheusMeter, collecting


def _value(meter: PrometheusMeter, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(meter.render().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def test_nothing_is_collected_unless_enabled() -> None:
    assert not is_collecting()
    TASK_RETRIES.add(5)
    with collecting() as meter:
        assert is_collecting()
        TASK_RETRIES.add(2)
        assert _value(meter, "compozy_task_retries_total") == 2
    assert not is_collecting()
    TASK_RETRIES.add(3)
    assert _value(meter, "compozy_task_retries_total") == 2


def test_each_start_collects_from_zero() -> None:
    for _ in range(2):
        with collecting() as meter:
            EXECUTIONS_STARTED.add(workflow="a", trigger="api")
            assert _value(meter, "compozy_executions_started_total", workflow="a", trigger="api") == 1


def test_a_thousand_label_values_do_not_become_a_thousand_series() -> None:
    with collecting() as meter:
        for number in range(1000):
            TASK_DURATION.observe(0.5, type=f"t{number}")
        text = meter.render().decode()
        assert text.count("compozy_task_duration_seconds_count{") == MAX_SERIES + 1
        assert _value(meter, "compozy_task_duration_seconds_count", type=OTHER) == 1000 - MAX_SERIES
        # The first series still count.
        TASK_DURATION.observe(0.5, type="t0")
        assert _value(meter, "compozy_task_duration_seconds_count", type="t0") == 2
        assert _value(meter, "compozy_task_duration_seconds_bucket", type="t0", le="0.5") == 2


def test_long_label_values_are_shortened() -> None:
    with collecting() as meter:
        TASK_DURATION.observe(1, type="x" * 1000)
        assert _value(meter, "compozy_task_duration_seconds_count", type="x" * 128) == 1


def test_unknown_figures_are_not_zero() -> None:
    with collecting() as meter:
        EXECUTIONS_OPEN.set(3, status="RUNNING")
        OLDEST_PENDING.set(3)
        EXECUTIONS_OPEN.clear()
        OLDEST_PENDING.clear()
        assert _value(meter, "compozy_executions_open", status="RUNNING") is None
        age = _value(meter, "compozy_oldest_pending_seconds")
        assert age != age


@pytest.mark.parametrize("path", ["/metrics", "/internal/prometheus", "/m"])
def test_a_path_of_metrics(path: str) -> None:
    assert MonitoringSettings(path=path).path == path


@pytest.mark.parametrize("path", ["metrics", "/", "/a b", "/a/../b", "//m", "/healthz", "/api/v0/metrics", "/m?x=1"])
def test_a_path_that_no_scrape_could_use_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        MonitoringSettings(path=path)
