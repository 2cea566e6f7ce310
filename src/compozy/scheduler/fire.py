"""Starts the runs of one schedule that are due: prepared before, and stored in one transaction with the next tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.database.executions import NewExecution
from compozy.database.schedules import StoredSchedule, lock_schedule, read_statuses, update_schedule
from compozy.database.status import Status
from compozy.database.transitions import request_cancel
from compozy.durable.records import accept
from compozy.errors import CompozyError, InternalError, RunCanceledError
from compozy.schedule.decide import Decision, Skip, SkipReason, State, decide
from compozy.scheduler.stored import REASON, Effective, no_run

# Runs whose end is waited for; of more, the latest.
_MAX_OPEN = 1000
_FAILURES = (Status.FAILED, Status.TIMED_OUT)


@dataclass(frozen=True, kw_only=True)
class Fired:
    """The outcome of one transaction.

    Attributes:
        started: the runs that it started.
        lags_ms: how much later than its time each of them was stored.
        skips: the ticks that it skipped.
        paused: why the schedule was paused, None if it was not.
        has_more: whether more ticks are due.
    """

    started: tuple[str, ...] = ()
    lags_ms: tuple[int, ...] = ()
    skips: tuple[Skip, ...] = ()
    paused: str | None = None
    has_more: bool = False


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A schedule as it was read before its transaction, with the states of its runs."""

    effective: Effective
    statuses: Mapping[str, Status]
    clock_ms: int

    @property
    def open_runs(self) -> list[str]:
        """The runs that have not ended."""
        return [run_id for run_id in self.effective.stored.open_runs if not _has_ended(self.statuses.get(run_id))]

    @property
    def failed_run(self) -> str | None:
        """A run whose failure pauses the schedule."""
        if not self.effective.config.pause_on_failure:
            return None
        failed = (run for run in self.effective.stored.open_runs if self.statuses.get(run) in _FAILURES)
        return next(failed, None)

    @property
    def is_due(self) -> bool:
        """Whether there is anything to do."""
        row = self.effective.stored
        if row.next_ms is not None and row.next_ms <= self.clock_ms:
            return True
        return (row.buffered_ms is not None and not self.open_runs) or self.failed_run is not None

    def decide(self) -> Decision:
        """Return what happens now."""
        row = self.effective.stored
        state = State(tick_ms=row.tick_ms, buffered_ms=row.buffered_ms, open_runs=len(self.open_runs))
        return decide(self.effective.rule, state, self.clock_ms)


Prepared = Mapping[int, NewExecution | CompozyError]


def fire(connection: sa.Connection, candidate: Candidate, prepared: Prepared, *, first: tuple[str, str]) -> Fired:
    """Start the runs of a schedule that are due, unless another process does or something has changed meanwhile.

    Args:
        connection: a connection in a transaction.
        candidate: the schedule as it was read.
        prepared: the run of each tick that it starts, or why there is none.
        first: ID and type of the first task of the workflow.
    """
    row = candidate.effective.stored
    if lock_schedule(connection, row.schedule_id, skip_locked=True) != row:
        return Fired()
    now = Candidate(
        effective=candidate.effective,
        statuses=read_statuses(connection, row.open_runs),
        clock_ms=candidate.clock_ms,
    )
    if (failed := now.failed_run) is not None:
        return _pause(connection, now, failed)
    decision = now.decide()
    if any(tick_ms not in prepared for tick_ms in decision.starts):
        # A run ended meanwhile. The next round decides again.
        return Fired(has_more=True)
    if decision.cancels:
        _cancel(connection, row, now.open_runs)
    started, refused = _start(connection, decision, prepared, first)
    _store(connection, now, decision, started, refused)
    rule = candidate.effective.rule
    has_more = decision.tick_ms is not None and rule.due_ms(decision.tick_ms) <= candidate.clock_ms
    skips = (*decision.skips, *(skip for skip, _ in refused))
    return Fired(
        started=tuple(run_id for _, run_id in started),
        lags_ms=tuple(max(0, candidate.clock_ms - rule.due_ms(tick_ms)) for tick_ms, _ in started),
        skips=skips,
        has_more=has_more,
    )


def _start(
    connection: sa.Connection, decision: Decision, prepared: Prepared, first: tuple[str, str]
) -> tuple[list[tuple[int, str]], list[tuple[Skip, str]]]:
    """Store the runs; return them by tick, and the ticks without a run with the reason."""
    started: list[tuple[int, str]] = []
    refused: list[tuple[Skip, str]] = []
    for tick_ms in decision.starts:
        new = prepared[tick_ms]
        if isinstance(new, CompozyError):
            is_bug = isinstance(new, InternalError)
            reason = SkipReason.INTERNAL_ERROR if is_bug else SkipReason.INVALID_INPUT
            refused.append((Skip(tick_ms=tick_ms, reason=reason), new.message))
        elif accept(connection, new, first_task=first[0], kind=first[1], owner=None):
            started.append((tick_ms, new.workflow_exec_id))
        else:
            message = f"execution {new.workflow_exec_id} exists already"
            refused.append((Skip(tick_ms=tick_ms, reason=SkipReason.EXISTS), message))
    return started, refused


def _store(
    connection: sa.Connection,
    now: Candidate,
    decision: Decision,
    started: Sequence[tuple[int, str]],
    refused: Sequence[tuple[Skip, str]],
) -> None:
    row = now.effective.stored
    rule = now.effective.rule
    skips = [*((skip, "") for skip in decision.skips), *refused]
    skipped = dict(row.skipped)
    for skip, _ in skips:
        skipped[skip.reason.value] = skipped.get(skip.reason.value, 0) + skip.count
    values: dict[str, Any] = {
        "tick_ms": decision.tick_ms,
        "next_ms": None if decision.tick_ms is None else rule.due_ms(decision.tick_ms),
        "buffered_ms": decision.buffered_ms,
        "open_runs": [*now.open_runs, *(run_id for _, run_id in started)][-_MAX_OPEN:],
        "fired": row.fired + len(started),
        "skipped": skipped,
    }
    if started:
        values |= {"last_tick_ms": started[-1][0], "last_execution_id": started[-1][1]}
    if skips:
        skip, message = max(skips, key=lambda each: each[0].tick_ms)
        values["last_skip"] = {"tick_ms": skip.tick_ms, "reason": skip.reason.value, "message": message}
    update_schedule(connection, row.schedule_id, **values)


def _pause(connection: sa.Connection, now: Candidate, failed: str) -> Fired:
    row = now.effective.stored
    reason = f"execution {failed} failed"
    changes = {**(row.changes or {}), "enabled": False, REASON: reason}
    values = {**no_run(), "buffered_ms": None, "open_runs": now.open_runs}
    update_schedule(connection, row.schedule_id, changes=changes, **values)
    return Fired(paused=reason)


def _cancel(connection: sa.Connection, row: StoredSchedule, open_runs: Sequence[str]) -> None:
    error = RunCanceledError(f"replaced by the next run of schedule {row.schedule_id}").to_json()
    # In one order: two transactions that cancel the same runs do not wait for each other.
    for run_id in sorted(open_runs):
        request_cancel(connection, run_id, error)


def _has_ended(status: Status | None) -> bool:
    return status is None or status.is_final
