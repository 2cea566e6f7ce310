"""The metrics of a process, declared once and recorded anywhere: `TASK_RETRIES.add(1)`.

Recording costs a comparison while nobody collects. `collect` in `telemetry/prometheus.py` starts collecting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

PREFIX = "compozy_"
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)


class Meter(Protocol):
    """Collects what metrics record."""

    def add(self, metric: Metric, amount: float, labels: dict[str, str]) -> None:
        """Add to a counter or gauge."""
        ...

    def set(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Set a gauge."""
        ...

    def observe(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Count a value in a histogram."""
        ...

    def clear(self, metric: Metric) -> None:
        """Forget all values of a common gauge."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Metric:
    """One metric. `name` is without the prefix `compozy_`; times are in seconds.

    The values of `labels` must come from a small set: never an execution ID, a user or a text of a request.
    `is_common` marks a gauge that all processes of a server show alike; others are added up over them.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    is_common: bool = False

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter or gauge."""
        if _meters:
            _meters[-1].add(self, amount, labels)

    def set(self, value: float, **labels: str) -> None:
        """Set a gauge."""
        if _meters:
            _meters[-1].set(self, value, labels)

    def observe(self, value: float, **labels: str) -> None:
        """Count a value in a histogram."""
        if _meters:
            _meters[-1].observe(self, value, labels)

    def clear(self) -> None:
        """Forget all values of a common gauge."""
        if _meters:
            _meters[-1].clear(self)


# The last one collects. A list, so that a test can collect while a server of its process does.
_meters: list[Meter] = []
METRICS: dict[str, Metric] = {}
"""Every metric by its full name."""


def is_collecting() -> bool:
    """Return whether this process collects metrics."""
    return bool(_meters)


def start_collecting(meter: Meter) -> None:
    """Send what is recorded to `meter` from now on."""
    _meters.append(meter)


def stop_collecting(meter: Meter) -> None:
    """Undo `start_collecting`."""
    _meters.remove(meter)


def counter(name: str, description: str, *labels: str) -> Metric:
    """Declare a number that only grows; its name ends in `_total`."""
    return _declare(Metric(kind="counter", name=name, help=description, labels=labels))


def gauge(name: str, description: str, *labels: str, is_common: bool = False) -> Metric:
    """Declare a number that grows and falls."""
    return _declare(Metric(kind="gauge", name=name, help=description, labels=labels, is_common=is_common))


def histogram(name: str, description: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    """Declare the distribution of a time."""
    return _declare(Metric(kind="histogram", name=name, help=description, labels=labels, buckets=buckets))


def _declare(metric: Metric) -> Metric:
    return METRICS.setdefault(f"{PREFIX}{metric.name}", metric)


BUILD_INFO = gauge(
    "build_info", "Always 1, with the version of Compozy and of Python.", "version", "python", is_common=True
)
UPTIME = gauge("uptime_seconds", "Time since the server or worker started.", is_common=True)

HTTP_REQUESTS = counter("http_requests_total", "Answered HTTP requests.", "method", "path", "status")
HTTP_DURATION = histogram(
    "http_request_duration_seconds", "Time until a request was answered.", "method", "path", buckets=_REQUEST
)
HTTP_IN_FLIGHT = gauge("http_requests_in_flight", "HTTP requests that are being answered.")
SSE_CLIENTS = gauge("sse_clients", "Clients that follow runs as server-sent events.")
AUTH_FAILURES = counter("auth_failures_total", "Requests that were refused for a missing or wrong credential.")

EXECUTIONS_STARTED = counter("executions_started_total", "Accepted runs.", "workflow", "trigger")
EXECUTIONS_ENDED = counter("executions_ended_total", "Runs that ended, by their state.", "workflow", "status")
EXECUTION_DURATION = histogram(
    "execution_duration_seconds", "Time from the acceptance of a run to its end.", "workflow", buckets=_LONG
)
EXECUTION_QUEUE = histogram(
    "execution_queue_seconds", "Time from the acceptance of a run to its start, counted at its end.", buckets=_LONG
)
TASK_DURATION = histogram("task_duration_seconds", "Time of tasks with all their attempts.", "type", buckets=_LONG)
TASK_RETRIES = counter("task_retries_total", "Further attempts of tasks that failed.")

LLM_REQUESTS = counter("llm_requests_total", "Requests to models.", "provider", "model", "outcome")
LLM_TOKENS = counter("llm_tokens_total", "Tokens of requests to models.", "provider", "model", "kind")
LLM_COST = counter(
    "llm_cost_dollars_total", "Price of requests to models whose price is known, in US dollars.", "provider", "model"
)

SCHEDULE_FIRED = counter("schedule_fired_total", "Runs that schedules started.", "schedule")
SCHEDULE_SKIPPED = counter(
    "schedule_skipped_total", "Scheduled times at which no run started, by the reason.", "schedule", "reason"
)
SCHEDULE_LAG = histogram(
    "schedule_lag_seconds", "Time from the scheduled time of a run, with its jitter, to its start.", buckets=_LONG
)

RETENTION_DELETED = counter("retention_deleted_total", "Runs and event logs that `retention` deleted.", "kind")

WEBHOOK_RECEIVED = counter("webhook_received_total", "Requests to webhooks of the project.", "webhook")
WEBHOOK_VERIFIED = counter("webhook_verified_total", "Requests whose sender was verified.", "webhook")
WEBHOOK_DISPATCHED = counter(
    "webhook_dispatched_total", "Verified requests that started a run or sent a signal.", "webhook", "event"
)
WEBHOOK_DUPLICATE = counter("webhook_duplicate_total", "Verified requests that were received before.", "webhook")
WEBHOOK_NO_MATCH = counter("webhook_no_match_total", "Verified requests that match no event.", "webhook")
WEBHOOK_FAILED = counter(
    "webhook_failed_total", "Requests that were refused, by the code of the error.", "webhook", "reason"
)

DATABASE_QUERIES = histogram(
    "database_query_duration_seconds", "Time of statements in the database.", "driver", buckets=_FAST
)
DATABASE_CONNECTIONS = gauge("database_pool_in_use", "Database connections in use by this server or worker.")
EXECUTIONS_OPEN = gauge("executions_open", "Unfinished runs in the database, by their state.", "status", is_common=True)
EXECUTORS_ALIVE = gauge("executors_alive", "Processes that execute runs on the database.", is_common=True)
OLDEST_PENDING = gauge(
    "oldest_pending_seconds", "Age of the run that has waited longest for a free slot.", is_common=True
)
