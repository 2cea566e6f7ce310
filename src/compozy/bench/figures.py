"""Computes the compared figures from the times of runs; nothing here measures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from compozy.bench.load import RunTimes


def executed_s(times: Sequence[RunTimes]) -> float:
    """Return the seconds from the first acceptance to the last end."""
    return (max(run.finished_ms for run in times) - min(run.accepted_ms for run in times)) / 1000


def average_latency_ms(times: Sequence[RunTimes]) -> float:
    """Return the mean latency from acceptance to end, in ms."""
    return statistics.fmean(run.latency_ms for run in times)


def quantile_ms(times: Sequence[RunTimes], percent: int) -> float:
    """Return the latency percentile, linearly interpolated."""
    latencies = [float(run.latency_ms) for run in times]
    if len(latencies) == 1:
        return latencies[0]
    return statistics.quantiles(latencies, n=100, method="inclusive")[percent - 1]


def most_running(times: Sequence[RunTimes]) -> int:
    """Return the highest number of runs executed at the same moment.

    A run that ends in the millisecond in which another one starts is not counted together with it.
    """
    steps = sorted([(run.started_ms, 1) for run in times] + [(run.finished_ms, -1) for run in times])
    most = running = 0
    for _, change in steps:
        running += change
        most = max(most, running)
    return most
