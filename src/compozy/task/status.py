"""When a container has ended, and how; pure."""

from __future__ import annotations

from collections.abc import Sequence

from compozy.database.status import Status
from compozy.task.config import Strategy

_FAILURES = frozenset({Status.FAILED, Status.TIMED_OUT})


def container_status(strategy: Strategy, children: Sequence[Status]) -> Status | None:
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
    if all(status is Status.SUCCESS for status in children):
        return Status.SUCCESS
    any_success = Status.SUCCESS in children
    any_failure = not _FAILURES.isdisjoint(children)
    if strategy == "race" and any_success:
        return Status.SUCCESS
    if strategy == "fail_fast" and any_failure:
        return Status.FAILED
    if not all(status.is_final for status in children):
        return None
    if strategy == "best_effort" and any_success:
        return Status.SUCCESS
    return Status.FAILED if any_failure else Status.CANCELED
