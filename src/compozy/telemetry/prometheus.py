"""Collects metrics in a Prometheus registry, and writes them in its text format.

Several processes of one server share their counters, histograms and gauges through files that each of them maps into
its memory, so that each shows the sums of all, also of those that ended (`folder`).
"""

from __future__ import annotations

import platform
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, cast

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from compozy import __version__
from compozy.clock import monotonic_s
from compozy.telemetry.metrics import BUILD_INFO, METRICS, PREFIX, UPTIME, Metric, start_collecting, stop_collecting

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# Combinations of label values that a metric has at most; further ones are counted as `other`.
MAX_SERIES = 500
OTHER = "other"
# A label value is shortened to so many characters.
_MAX_VALUE = 128


class _CommonGauges(Collector):
    """Gauges that all processes of a server show alike; they are kept in the memory of each."""

    def __init__(self) -> None:
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {}

    def set(self, metric: Metric, labels: dict[str, str], value: float) -> None:
        """Set a gauge."""
        self._values.setdefault(metric, {})[tuple(labels[name] for name in metric.labels)] = value

    def clear(self, metric: Metric) -> None:
        """Forget all values of a gauge; one without labels becomes NaN, which means unknown."""
        self._values[metric] = {} if metric.labels else {(): float("nan")}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        for metric, values in self._values.items():
            family = GaugeMetricFamily(f"{PREFIX}{metric.name}", metric.help, labels=metric.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family


class PrometheusMeter:
    """The metrics of this process, in a registry that holds nothing else.

    Args:
        folder: of the files of the processes that share their metrics; None if this process shares none.
        began_s: when the server started; by default now.
    """

    def __init__(self, folder: str | None = None, began_s: float | None = None) -> None:
        # Each series would get a second one with the time at which it was created.
        prometheus_client.disable_created_metrics()
        self._registry = CollectorRegistry()
        self._common = _CommonGauges()
        self._registry.register(self._common)
        if folder is not None:
            MultiProcessCollector(self._registry, path=folder)
        own = self._registry if folder is None else None
        self._families: dict[str, Any] = {
            name: _make(metric, own) for name, metric in METRICS.items() if not metric.is_common
        }
        self._series: dict[str, set[tuple[str, ...]]] = {name: set() for name in METRICS}
        self._lock = Lock()
        self._began_s = monotonic_s() if began_s is None else began_s
        self.set(BUILD_INFO, 1, {"version": __version__, "python": platform.python_version()})

    def add(self, metric: Metric, amount: float, labels: dict[str, str]) -> None:
        """Add to a counter or gauge."""
        self._child(metric, labels).inc(amount)

    def set(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Set a gauge."""
        if metric.is_common:
            self._common.set(metric, labels, value)
        else:
            self._child(metric, labels).set(value)

    def observe(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Count a value in a histogram."""
        self._child(metric, labels).observe(value)

    def clear(self, metric: Metric) -> None:
        """Forget all values of a common gauge."""
        self._common.clear(metric)

    def render(self) -> bytes:
        """Return all metrics in the text format."""
        self.set(UPTIME, monotonic_s() - self._began_s, {})
        return generate_latest(self._registry)

    def _child(self, metric: Metric, labels: dict[str, str]) -> Any:
        family = self._families[f"{PREFIX}{metric.name}"]
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


def _make(metric: Metric, registry: CollectorRegistry | None) -> Any:
    name = f"{PREFIX}{metric.name}"
    if metric.kind == "histogram":
        return Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
    if metric.kind == "counter":
        return Counter(name, metric.help, metric.labels, registry=registry)
    return Gauge(name, metric.help, metric.labels, registry=registry, multiprocess_mode="livesum")


def forget_process(folder: str, pid: int) -> None:
    """Forget the gauges of a process that ended; what it counted stays."""
    cast("Any", multiprocess).mark_process_dead(pid, path=folder)


@contextmanager
def collecting(folder: str | None = None, began_s: float | None = None) -> Generator[PrometheusMeter, None, None]:
    """Collect the metrics of this process until the block ends; the arguments are those of `PrometheusMeter`."""
    meter = PrometheusMeter(folder, began_s)
    start_collecting(meter)
    try:
        yield meter
    finally:
        stop_collecting(meter)
