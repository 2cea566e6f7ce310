"""When a container has ended, and how; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from compozy.database.status import Status
from compozy.task.options import Strategy


def container_status(strategy: Strategy, children: Iterable[Status]) -> Status | None:
    """Return how a container ends whose tasks are in these states, None while that is open.

    | strategy | SUCCESS | FAILED |
    |---|---|---|
    | wait_all | all succeeded | all ended, one failed |
    | fail_fast | all succeeded | one failed |
    | best_effort | all ended, one succeeded | all ended, none succeeded |
    | race | one succeeded | all ended, none succeeded |

    A task that timed out has failed. One that was canceled has ended, and is no failure: where nothing but canceled
    tasks keep the container from success, it is CANCELED. A container without tasks has succeeded.
    """
    return status_of_counts(strategy, Counter(children))


def status_of_counts(strategy: Strategy, counts: Mapping[Status, int]) -> Status | None:
    """Return the same of tasks that are counted by their states."""
    total = sum(counts.values())
    succeeded = counts.get(Status.SUCCESS, 0)
    failed = counts.get(Status.FAILED, 0) + counts.get(Status.TIMED_OUT, 0)
    ended = succeeded + failed + counts.get(Status.CANCELED, 0)
    if succeeded == total:
        return Status.SUCCESS
    if strategy == "race" and succeeded:
        return Status.SUCCESS
    if strategy == "fail_fast" and failed:
        return Status.FAILED
    if ended < total:
        return None
    if strategy == "best_effort" and succeeded:
        return Status.SUCCESS
    return Status.FAILED if failed else Status.CANCELED


def progress_of(children: Iterable[Status]) -> dict[str, Any]:
    """Return `.progress` of a container whose tasks have ended: how many there were, and how they ended.

    Returns:
        The counts; `completion_rate` and `failure_rate`, the shares from 0 to 1 of those that succeeded and of those
        that failed or timed out; `overall_status`, `completed`, `partial_failure` or `failed`.
    """
    counts = Counter(children)
    total, succeeded = counts.total(), counts[Status.SUCCESS]
    failed, timed_out = counts[Status.FAILED], counts[Status.TIMED_OUT]
    mixed = "partial_failure" if succeeded else "failed"
    return {
        "total_children": total,
        "success_count": succeeded,
        "failed_count": failed,
        "canceled_count": counts[Status.CANCELED],
        "timed_out_count": timed_out,
        "terminal_count": total,
        "completion_rate": succeeded / total if total else 1.0,
        "failure_rate": (failed + timed_out) / total if total else 0.0,
        "overall_status": mixed if failed + timed_out else "completed",
    }
