"""Decides which times start a run: overlap, catch-up, delays, as pure functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.schedule.decide import MAX_CATCH_UP, MAX_TICKS, ON_TIME_MS, Decision, Rule, Skip, SkipReason, State, decide
from compozy.schedule.timetable import Every, Timetable

MINUTE = 60_000


def rule(interval_ms: int = MINUTE, **values: Any) -> Rule:
    return Rule(schedule_id="s", timetable=Timetable(rule=Every(interval_ms=interval_ms)), **values)


def counts(decision: Decision) -> dict[str, int]:
    found: dict[str, int] = {}
    for skip in decision.skips:
        found[skip.reason.value] = found.get(skip.reason.value, 0) + skip.count
    return found


def test_nothing_is_due() -> None:
    assert decide(rule(), State(tick_ms=MINUTE), MINUTE - 1) == Decision(tick_ms=MINUTE)
    assert decide(rule(), State(tick_ms=None), MINUTE) == Decision(tick_ms=None)


def test_a_time_starts_a_run_and_the_next_one_follows() -> None:
    assert decide(rule(), State(tick_ms=MINUTE), MINUTE) == Decision(tick_ms=2 * MINUTE, starts=(MINUTE,))


@pytest.mark.parametrize(
    ("overlap", "buffered", "expected"),
    [
        ("allow", None, Decision(tick_ms=2 * MINUTE, starts=(MINUTE,))),
        ("skip", None, Decision(tick_ms=2 * MINUTE, skips=(Skip(tick_ms=MINUTE, reason=SkipReason.OVERLAP),))),
        ("buffer_one", None, Decision(tick_ms=2 * MINUTE, buffered_ms=MINUTE)),
        (
            "buffer_one",
            5,
            Decision(tick_ms=2 * MINUTE, buffered_ms=5, skips=(Skip(tick_ms=MINUTE, reason=SkipReason.OVERLAP),)),
        ),
        ("cancel_other", None, Decision(tick_ms=2 * MINUTE, starts=(MINUTE,), cancels=True)),
    ],
)
def test_the_previous_run_is_open(overlap: Any, buffered: int | None, expected: Decision) -> None:
    state = State(tick_ms=MINUTE, buffered_ms=buffered, open_runs=1)
    assert decide(rule(overlap=overlap), state, MINUTE) == expected


def test_a_waiting_time_starts_when_the_run_has_ended() -> None:
    state = State(tick_ms=3 * MINUTE, buffered_ms=2 * MINUTE)
    assert decide(rule(overlap="buffer_one"), state, 2 * MINUTE + 5) == Decision(
        tick_ms=3 * MINUTE, starts=(2 * MINUTE,)
    )
    # The next one is due as well, and waits for it.
    assert decide(rule(overlap="buffer_one"), state, 3 * MINUTE) == Decision(
        tick_ms=4 * MINUTE, starts=(2 * MINUTE,), buffered_ms=3 * MINUTE
    )


def test_of_times_that_are_due_together_each_cancels_the_one_before() -> None:
    decision = decide(rule(1000, overlap="cancel_other"), State(tick_ms=1000, open_runs=1), 3000)
    assert (decision.starts, decision.cancels, counts(decision)) == ((3000,), True, {"overlap": 2})
    decision = decide(rule(1000, overlap="cancel_other"), State(tick_ms=1000), 3000)
    assert (decision.starts, decision.cancels, counts(decision)) == ((3000,), False, {"overlap": 2})


HOUR_LATE = 61 * MINUTE


@pytest.mark.parametrize(
    ("catch_up", "window_ms", "starts", "missed"),
    [
        ("none", None, (), 1),
        ("latest", None, (MINUTE,), 0),
        ("latest", 30 * MINUTE, (), 1),
        ("latest", 60 * MINUTE, (MINUTE,), 0),
    ],
)
def test_one_missed_time(catch_up: Any, window_ms: int | None, starts: tuple[int, ...], missed: int) -> None:
    hourly = Rule(
        schedule_id="s",
        timetable=Timetable(rule=Every(interval_ms=60 * MINUTE, anchor_ms=MINUTE)),
        catch_up=catch_up,
        window_ms=window_ms,
    )
    # An hour later the next one is due as well, but a minute earlier it is not.
    decision = decide(hourly, State(tick_ms=MINUTE), HOUR_LATE - 1)
    assert (decision.starts, counts(decision).get("missed", 0)) == (starts, missed)
    assert decision.tick_ms == HOUR_LATE
    decision = decide(hourly, State(tick_ms=MINUTE), HOUR_LATE)
    assert (decision.starts, counts(decision)) == ((HOUR_LATE,), {"missed": 1})


def test_all_missed_times_start_up_to_the_limit() -> None:
    # Half a minute after the last one, which is on time.
    now = 1200 * MINUTE + MINUTE // 2
    caught: list[int] = []
    missed = 0
    state = State(tick_ms=MINUTE)
    for _ in range(100):
        decision = decide(rule(overlap="allow", catch_up="all"), state, now)
        assert len(decision.starts) <= MAX_TICKS
        caught += decision.starts
        missed += counts(decision).get("missed", 0)
        state = State(tick_ms=decision.tick_ms)
        if not decision.starts:
            break
    assert state.tick_ms == 1201 * MINUTE
    assert caught == [tick * MINUTE for tick in range(1200 - len(caught) + 1, 1201)]
    assert MAX_CATCH_UP <= len(caught) <= MAX_CATCH_UP + 1
    assert missed > 0


def test_years_of_missed_times_are_decided_immediately() -> None:
    decision = decide(rule(1000), State(tick_ms=1000), 10**12)
    # Those of the last minute are on time, and overlap.
    assert decision.starts == (10**12 - ON_TIME_MS,)
    assert counts(decision)["missed"] > 900


@given(
    interval_ms=st.integers(1, 5000).map(lambda value: value * 1000),
    jitter_ms=st.integers(0, 10_000),
    looks=st.lists(st.integers(0, 30_000), min_size=1, max_size=60),
)
def test_each_time_starts_once_however_often_it_is_checked(interval_ms: int, jitter_ms: int, looks: list[int]) -> None:
    allowed = rule(interval_ms, jitter_ms=jitter_ms, overlap="allow", catch_up="all")
    state, now, started = State(tick_ms=interval_ms), 0, list[int]()
    for look in looks:
        now += look
        decision = decide(allowed, state, now)
        assert all(allowed.due_ms(tick) <= now for tick in decision.starts)
        assert decision.skips == ()
        started += decision.starts
        state = State(tick_ms=decision.tick_ms)
    assert started == [interval_ms * (number + 1) for number in range(len(started))]
    assert state.tick_ms == interval_ms * (len(started) + 1)


def test_the_delay_is_that_of_the_schedule_and_the_time() -> None:
    delayed = rule(jitter_ms=30_000)
    delays = {delayed.due_ms(tick * MINUTE) - tick * MINUTE for tick in range(200)}
    assert min(delays) >= 0
    assert max(delays) <= 30_000
    assert len(delays) > 150
    assert delayed.due_ms(MINUTE) == rule(jitter_ms=30_000).due_ms(MINUTE)
    assert Rule(schedule_id="t", timetable=delayed.timetable, jitter_ms=30_000).due_ms(MINUTE) != delayed.due_ms(MINUTE)
