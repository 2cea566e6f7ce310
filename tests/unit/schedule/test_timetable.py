"""Times of schedules, compared with an oracle that checks every minute, and around changes of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.schedule.timetable import Cron, Every, Timetable, find_zone

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def local(tick_ms: int, zone: str) -> str:
    return datetime.fromtimestamp(tick_ms / 1000, find_zone(zone)).isoformat()


# Expression, zone, from, and the next times. Each row is a change of clocks.
DST = [
    # New York: 02:00 -> 03:00 on 2027-03-14, 02:00 -> 01:00 on 2027-11-07.
    ("30 2 * * *", "America/New_York", "2027-03-13T12:00Z", ["2027-03-14T03:00:00-04:00", "2027-03-15T02:30:00-04:00"]),
    ("30 1 * * *", "America/New_York", "2027-11-06T12:00Z", ["2027-11-07T01:30:00-04:00", "2027-11-08T01:30:00-05:00"]),
    (
        "0 */2 * * *",
        "America/New_York",
        "2027-03-14T05:30Z",
        ["2027-03-14T04:00:00-04:00", "2027-03-14T06:00:00-04:00"],
    ),
    (
        "*/30 * * * *",
        "America/New_York",
        "2027-11-07T05:00Z",
        ["2027-11-07T01:30:00-04:00", "2027-11-07T01:00:00-05:00", "2027-11-07T01:30:00-05:00"],
    ),
    # Berlin: 02:00 -> 03:00 on 2027-03-28, 03:00 -> 02:00 on 2027-10-31.
    ("15 2 * * *", "Europe/Berlin", "2027-03-27T12:00Z", ["2027-03-28T03:00:00+02:00", "2027-03-29T02:15:00+02:00"]),
    ("15 2 * * *", "Europe/Berlin", "2027-10-30T12:00Z", ["2027-10-31T02:15:00+02:00", "2027-11-01T02:15:00+01:00"]),
    (
        "0,30 15 2 * * *",
        "Europe/Berlin",
        "2027-10-30T12:00Z",
        ["2027-10-31T02:15:00+02:00", "2027-10-31T02:15:30+02:00", "2027-11-01T02:15:00+01:00"],
    ),
    # Lord Howe: 02:00 -> 02:30 on 2027-10-03, 02:00 -> 01:30 on 2027-04-04.
    (
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2027-10-02T00:00Z",
        ["2027-10-03T02:30:00+11:00", "2027-10-04T02:15:00+11:00"],
    ),
    (
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2027-04-03T00:00Z",
        ["2027-04-04T01:45:00+11:00", "2027-04-05T01:45:00+10:30"],
    ),
    # Cairo: 00:00 -> 01:00 on 2027-04-30, 00:00 -> 23:00 of the day before on 2027-10-29.
    ("30 0 * * *", "Africa/Cairo", "2027-04-29T12:00Z", ["2027-04-30T01:00:00+03:00", "2027-05-01T00:30:00+03:00"]),
    ("30 23 * * *", "Africa/Cairo", "2027-10-28T12:00Z", ["2027-10-28T23:30:00+03:00", "2027-10-29T23:30:00+02:00"]),
]


@pytest.mark.parametrize(("text", "zone", "start", "expected"), DST)
def test_changes_of_clocks(text: str, zone: str, start: str, expected: list[str]) -> None:
    ticks = Timetable(rule=Cron(text=text, timezone=zone)).ticks(ms(start), ms("2099-01-01T00:00Z"))
    assert [local(tick, zone) for tick in islice(ticks, len(expected))] == expected


def fields() -> st.SearchStrategy[tuple[str, str]]:
    """Minutes and hours of an expression."""
    minutes = st.sampled_from(["*", "*/7", "*/30", "0", "30", "15,45", "10-12", "59"])
    hours = st.sampled_from(["*", "*/2", "0", "1", "2", "3", "23", "1-3", "0,12"])
    return st.tuples(minutes, hours)


def matches(field: str, value: int, low: int, high: int) -> bool:
    values: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start, end = (low, high) if span == "*" else (int(first), int(last or first))
        values |= set(range(start, end + 1, int(step or 1)))
    return value in values


def oracle(minutes: str, hours: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Check every minute of UTC. A repeated time counts once, a skipped one at the next minute."""
    tz, found, seen = find_zone(zone), set[datetime](), set[str]()
    is_wild = minutes.startswith("*") or hours.startswith("*")
    # A day earlier, so that it knows the times of that day.
    moment = start - timedelta(days=1)
    before = None
    while moment <= end:
        wall = moment.astimezone(tz).replace(tzinfo=None)
        walls = [wall]
        if not is_wild and before is not None and wall - before > timedelta(minutes=1):
            skipped = int((wall - before) / timedelta(minutes=1))
            walls = [before + timedelta(minutes=each) for each in range(1, skipped + 1)]
        for each in walls:
            is_match = matches(minutes, each.minute, 0, 59) and matches(hours, each.hour, 0, 23)
            if is_match and (is_wild or each.isoformat() not in seen):
                seen.add(each.isoformat())
                found.add(moment)
        before = wall
        moment += timedelta(minutes=1)
    return sorted(moment for moment in found if start < moment <= end)


CHANGES = (
    "2027-03-13",
    "2027-03-27",
    "2027-04-03",
    "2027-04-29",
    "2027-10-02",
    "2027-10-28",
    "2027-10-30",
    "2027-11-06",
)


@given(when=fields(), zone=st.sampled_from(ZONES), day=st.sampled_from(CHANGES), offset=st.integers(0, 1440))
def test_against_every_minute(when: tuple[str, str], zone: str, day: str, offset: int) -> None:
    minutes, hours = when
    start = datetime.fromisoformat(f"{day}T00:00Z") + timedelta(minutes=offset)
    end = start + timedelta(days=2)
    timetable = Timetable(rule=Cron(text=f"{minutes} {hours} * * *", timezone=zone))
    ticks = timetable.ticks(int(start.timestamp() * 1000), int(end.timestamp() * 1000))
    found = [datetime.fromtimestamp(tick / 1000, UTC) for tick in ticks]
    assert found == oracle(minutes, hours, zone, start, end)


@given(
    when=fields(),
    seconds=st.sampled_from(["0", "0,30", "59", "*/20"]),
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(CHANGES),
    offset_ms=st.integers(0, 86_400_000),
)
def test_seconds_do_not_change_the_minutes(
    when: tuple[str, str], seconds: str, zone: str, day: str, offset_ms: int
) -> None:
    start = ms(f"{day}T00:00Z") + offset_ms
    ticks = list(
        islice(Timetable(rule=Cron(text=f"{seconds} {when[0]} {when[1]} * * *", timezone=zone)).ticks(start, 2**50), 20)
    )
    assert ticks == sorted(set(ticks))
    assert all(tick > start for tick in ticks)
    plain = Timetable(rule=Cron(text=f"{when[0]} {when[1]} * * *", timezone=zone))
    for tick in ticks:
        minute = tick - tick % 60_000
        assert plain.next_after(minute - 1) == minute
        assert matches(seconds, tick % 60_000 // 1000, 0, 59)
    # The sequence does not depend on its start.
    assert [
        Timetable(rule=Cron(text=f"{seconds} {when[0]} {when[1]} * * *", timezone=zone)).next_after(tick)
        for tick in ticks[:-1]
    ] == ticks[1:]


@given(interval=st.integers(1, 10**6), anchor=st.integers(0, 10**12), moment=st.integers(0, 10**13))
def test_intervals_count_from_their_anchor(interval: int, anchor: int, moment: int) -> None:
    tick = Every(interval_ms=interval, anchor_ms=anchor).next_after(moment)
    assert tick is not None
    assert moment < tick <= moment + interval
    assert (tick - anchor) % interval == 0


def test_start_and_end_are_included() -> None:
    bounds = {"start_ms": ms("2027-01-01T09:00Z"), "end_ms": ms("2027-01-03T09:00Z")}
    timetable = Timetable(rule=Cron(text="0 9 * * *"), **bounds)
    assert [local(tick, "UTC")[:10] for tick in timetable.ticks(0, 2**50)] == ["2027-01-01", "2027-01-02", "2027-01-03"]


def test_the_last_times_of_a_long_pause_are_found_without_counting_all() -> None:
    timetable = Timetable(rule=Cron(text="* * * * *"))
    until = ms("2030-01-01T00:00:30Z")
    last, are_all = timetable.last_ticks(ms("2027-01-01T00:00Z"), until, 3)
    assert [local(tick, "UTC")[:16] for tick in last] == ["2029-12-31T23:58", "2029-12-31T23:59", "2030-01-01T00:00"]
    assert not are_all
    assert timetable.last_ticks(until - 90_000, until, 3) == ([until - 90_000, until - 30_000][1:], True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("* * *", "a cron expression has 5 fields, or 6 with the seconds first; '* * *' has 3"),
        ("* * * * * * *", "a cron expression has 5 fields, or 6 with the seconds first; '* * * * * * *' has 7"),
        ("60 * * * *", "invalid cron expression '60 * * * *': bad minute"),
        ("1-0 * * * *", "invalid cron expression '1-0 * * * *': bad minute"),
        ("٣ * * * *", "invalid cron expression '٣ * * * *'"),
        ("@every 5m", "unknown schedule '@every 5m'; expected one of @yearly"),
    ],
)
def test_invalid_expressions(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"cron|schedule") as refused:
        Cron(text=text)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("name", ["Mars/Base", "../../etc/passwd", "", "/etc/localtime", "Europe"])
def test_unknown_time_zones(name: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        Cron(text="@daily", timezone=name)
