"""Which ticks of a schedule start a run, and which are skipped, as a function of its rule, its state and the time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum

from compozy.schedule.config import CatchUp, OverlapPolicy, ScheduleConfig
from compozy.schedule.timetable import Timetable

# A tick that is later than this was missed: no process was running, or the database was away.
ON_TIME_MS = 60_000
# Missed runs that are started at most.
MAX_CATCH_UP = 1000
# Ticks of one transaction; the rest follow in the next one.
MAX_TICKS = 50


class SkipReason(StrEnum):
    """Why a tick did not start a run."""

    OVERLAP = "overlap"
    MISSED = "missed"
    INVALID_INPUT = "invalid_input"
    EXISTS = "exists"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A schedule as it applies: the file with what was changed since."""

    schedule_id: str
    timetable: Timetable
    jitter_ms: int = 0
    overlap: OverlapPolicy = "skip"
    catch_up: CatchUp = "latest"
    window_ms: int | None = None

    @classmethod
    def of(cls, schedule_id: str, config: ScheduleConfig) -> Rule:
        """Return the rule of a schedule in a file."""
        return cls(
            schedule_id=schedule_id,
            timetable=config.timetable,
            jitter_ms=int(config.jitter * 1000),
            overlap=config.overlap_policy,
            catch_up=config.catch_up,
            window_ms=None if config.catch_up_window is None else int(config.catch_up_window * 1000),
        )

    def due_ms(self, tick_ms: int) -> int:
        """Return when the run of a tick starts: every process computes the same delay."""
        if self.jitter_ms == 0:
            return tick_ms
        digest = hashlib.sha256(f"{self.schedule_id}@{tick_ms}".encode()).digest()
        return tick_ms + int.from_bytes(digest[:8], "big") % (self.jitter_ms + 1)


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a schedule stands: its next tick, the tick that waits for the end of a run, and how many runs are open."""

    tick_ms: int | None
    buffered_ms: int | None = None
    open_runs: int = 0


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Ticks that start no run; `count` is the least number of them, and `tick_ms` the last."""

    tick_ms: int
    reason: SkipReason
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The ticks whose runs start now, the skipped ones, and the state afterwards.

    `cancels` is set if the runs that are open are canceled first.
    """

    tick_ms: int | None
    buffered_ms: int | None = None
    starts: tuple[int, ...] = ()
    skips: tuple[Skip, ...] = ()
    cancels: bool = False


@dataclass(kw_only=True)
class _Course:
    """The decisions about one tick after another."""

    rule: Rule
    open_runs: int
    buffered_ms: int | None
    starts: list[int] = field(default_factory=list[int])
    skips: list[Skip] = field(default_factory=list[Skip])
    cancels: bool = False

    def start(self, tick_ms: int) -> None:
        self.starts.append(tick_ms)
        self.open_runs += 1

    def skip(self, tick_ms: int, reason: SkipReason, count: int = 1) -> None:
        if self.skips and self.skips[-1].reason is reason:
            last = self.skips[-1]
            self.skips[-1] = replace(last, tick_ms=max(last.tick_ms, tick_ms), count=last.count + count)
        else:
            self.skips.append(Skip(tick_ms=tick_ms, reason=reason, count=count))

    def take(self, tick_ms: int) -> None:
        """Apply the overlap policy to a tick that is due."""
        if self.open_runs == 0 or self.rule.overlap == "allow":
            self.start(tick_ms)
        elif self.rule.overlap == "buffer_one" and self.buffered_ms is None:
            self.buffered_ms = tick_ms
        elif self.rule.overlap == "cancel_other":
            self._replace(tick_ms)
        else:
            self.skip(tick_ms, SkipReason.OVERLAP)

    def _replace(self, tick_ms: int) -> None:
        # A run that this same decision would start is not started for a moment only.
        for replaced_ms in self.starts:
            self.skip(replaced_ms, SkipReason.OVERLAP)
        self.cancels = self.cancels or self.open_runs > len(self.starts)
        self.starts = [tick_ms]


def decide(rule: Rule, state: State, now_ms: int) -> Decision:
    """Return what happens at `now_ms`; at most `MAX_TICKS` runs start, and the next call continues."""
    course = _Course(rule=rule, open_runs=state.open_runs, buffered_ms=state.buffered_ms)
    if course.buffered_ms is not None and (course.open_runs == 0 or rule.overlap == "allow"):
        course.start(course.buffered_ms)
        course.buffered_ms = None
    next_ms = state.tick_ms
    if state.tick_ms is not None and rule.due_ms(state.tick_ms) <= now_ms:
        due, next_ms = _due_ticks(rule, state.tick_ms, now_ms)
        chosen = _choose(rule, due, now_ms, course)
        for tick_ms in chosen[:MAX_TICKS]:
            course.take(tick_ms)
        if len(chosen) > MAX_TICKS:
            next_ms = chosen[MAX_TICKS]
    return Decision(
        tick_ms=next_ms,
        buffered_ms=course.buffered_ms,
        starts=tuple(course.starts),
        skips=tuple(course.skips),
        cancels=course.cancels,
    )


@dataclass(frozen=True, kw_only=True)
class _Due:
    """Ticks whose time has come. `are_all` is False if there were earlier ones that are too many to list."""

    ticks: list[int]
    first_ms: int
    are_all: bool


def _due_ticks(rule: Rule, tick_ms: int, now_ms: int) -> tuple[_Due, int | None]:
    """Return the ticks from `tick_ms` whose time has come, and the first one whose time has not."""
    found, are_all = rule.timetable.last_ticks(tick_ms - 1, now_ms, MAX_CATCH_UP + MAX_TICKS)
    due: list[int] = []
    for each_ms in found:
        # In order: a tick waits for the delay of the one before it.
        if rule.due_ms(each_ms) > now_ms:
            return _Due(ticks=due, first_ms=tick_ms, are_all=are_all), each_ms
        due.append(each_ms)
    last_ms = due[-1] if due else tick_ms
    return _Due(ticks=due, first_ms=tick_ms, are_all=are_all), rule.timetable.next_after(last_ms)


def _choose(rule: Rule, due: _Due, now_ms: int, course: _Course) -> list[int]:
    """Return the ticks that are not left out because they are late, and record the others."""
    late = [tick_ms for tick_ms in due.ticks if now_ms - rule.due_ms(tick_ms) > ON_TIME_MS]
    on_time = due.ticks[len(late) :]
    caught_up = _catch_up(rule, late, now_ms, has_newer=bool(on_time))
    missed = len(late) - len(caught_up)
    if not due.are_all:
        course.skip(due.first_ms, SkipReason.MISSED)
    if missed:
        course.skip(late[missed - 1], SkipReason.MISSED, missed)
    return [*caught_up, *on_time]


def _catch_up(rule: Rule, late: list[int], now_ms: int, *, has_newer: bool) -> list[int]:
    """Return the late ticks that start a run after all."""
    if rule.window_ms is not None:
        late = [tick_ms for tick_ms in late if now_ms - tick_ms <= rule.window_ms]
    match rule.catch_up:
        case "all":
            return late[-MAX_CATCH_UP:]
        case "latest" if not has_newer:
            return late[-1:]
        case _:
            return []
