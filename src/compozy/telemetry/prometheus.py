"""Collects metrics in a Prometheus registry, and writes them in its text format."""

from __future__ import annotations

import platform
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from compozy import __version__
from compozy.clock import monotonic_s
from compozy.telemetry.metrics import BUILD_INFO, METRICS, PREFIX, UPTIME, Metric, start_collecting, stop_collecting

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# Combinations of label values that a metric has at most; further ones are counted as `other`.
MAX_SERIES = 500
OTHER = "other"
# A label value is shortened to so many characters.
_MAX_VALUE = 128


class PrometheusMeter:
    """The metrics of this process, in a registry that holds nothing else."""

    def __init__(self) -> None:
        # Each series would get a second one with the time at which it was created.
        prometheus_client.disable_created_metrics()
        self._registry = CollectorRegistry()
        self._families: dict[str, Any] = {name: self._make(metric) for name, metric in METRICS.items()}
        self._series: dict[str, set[tuple[str, ...]]] = {name: set() for name in METRICS}
        self._lock = Lock()
        self._began_s = monotonic_s()
        self.set(BUILD_INFO, 1, {"version": __version__, "python": platform.python_version()})

    def add(self, metric: Metric, amount: float, labels: dict[str, str]) -> None:
        """Add to a counter or gauge."""
        self._child(metric, labels).inc(amount)

    def set(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Set a gauge."""
        self._child(metric, labels).set(value)

    def observe(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Count a value in a histogram."""
        self._child(metric, labels).observe(value)

    def clear(self, metric: Metric) -> None:
        """Forget all values of a metric; one without labels becomes NaN, which means unknown."""
        family = self._family(metric)
        if metric.labels:
            family.clear()
            self._series[f"{PREFIX}{metric.name}"].clear()
        else:
            family.set(float("nan"))

    def render(self) -> bytes:
        """Return all metrics in the text format."""
        self.set(UPTIME, monotonic_s() - self._began_s, {})
        return generate_latest(self._registry)

    def _family(self, metric: Metric) -> Any:
        return self._families[f"{PREFIX}{metric.name}"]

    def _child(self, metric: Metric, labels: dict[str, str]) -> Any:
        family = self._family(metric)
        if not metric.labels:
            return family
        values = tuple(labels[name][:_MAX_VALUE] for name in metric.labels)
        series = self._series[f"{PREFIX}{metric.name}"]
        if values not in series:
            with self._lock:
                if len(series) >= MAX_SERIES:
                    values = tuple(OTHER for _ in values)
                else:
                    series.add(values)
        return family.labels(*values)

    def _make(self, metric: Metric) -> Any:
        name = f"{PREFIX}{metric.name}"
        if metric.kind == "histogram":
            return Histogram(name, metric.help, metric.labels, registry=self._registry, buckets=metric.buckets)
        family = Counter if metric.kind == "counter" else Gauge
        return family(name, metric.help, metric.labels, registry=self._registry)


@contextmanager
def collecting() -> Generator[PrometheusMeter, None, None]:
    """Collect the metrics of this process until the block ends."""
    meter = PrometheusMeter()
    start_collecting(meter)
    try:
        yield meter
    finally:
        stop_collecting(meter)
