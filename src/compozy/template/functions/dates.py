"""Sprig's functions on dates and durations. Layouts are Go's; the local zone is UTC."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from compozy.template.functions.conversions import parse_int
from compozy.template.functions.registry import function
from compozy.template.functions.sources import SOURCES
from compozy.template.gotime import DAY_S, SECOND, ZERO, Time, load_zone, read_duration, show_duration
from compozy.template.timelayout import format_time
from compozy.template.timeparse import parse_time
from compozy.template.values import GoError, Int64, wrap_int

_DATE = "2006-01-02"
_ROUNDS = (
    (365 * DAY_S, "y"),
    (30 * DAY_S, "mo"),
    (DAY_S, "d"),
    (3600, "h"),
    (60, "m"),
    (1, "s"),
)


@function("now")
def now() -> Time:
    """Return the time now."""
    seconds, nanos = divmod(SOURCES.now_ns(), SECOND)
    return Time(seconds, nanos)


def _as_time(value: Any) -> Time:
    """Return the time of a value: a number counts seconds since 1970, anything but a time is now."""
    if isinstance(value, Time):
        return value
    return Time(int(value)) if type(value) in (int, Int64) else now()


def _format(layout: str, value: Any, zone: str) -> str:
    return format_time(replace(_as_time(value), zone=load_zone(zone)), layout)


@function("date", "string any")
def date(layout: str, value: Any) -> str:
    """Return the time in a layout."""
    return _format(layout, value, "UTC")


@function("dateInZone date_in_zone", "string any string")
def date_in_zone(layout: str, value: Any, zone: str) -> str:
    """Return the time in a layout and a zone such as `Europe/Berlin`."""
    return _format(layout, value, zone)


@function("htmlDate", "any")
def html_date(value: Any) -> str:
    """Return the day of a time as `2006-01-02`."""
    return _format(_DATE, value, "UTC")


@function("htmlDateInZone", "any string")
def html_date_in_zone(value: Any, zone: str) -> str:
    """Return the day of a time in a zone as `2006-01-02`."""
    return _format(_DATE, value, zone)


@function("mustDateModify must_date_modify", "string time")
def must_modify(change: str, value: Time) -> Time:
    """Return the time moved by a duration such as `-1.5h`."""
    return value.move(read_duration(change))


@function("dateModify date_modify", "string time")
def modify(change: str, value: Time) -> Time:
    """Return the time moved by a duration; the same time for a wrong duration."""
    try:
        return must_modify(change, value)
    except GoError:
        return value


@function("mustToDate", "string string")
def must_read(layout: str, text: str) -> Time:
    """Parse a time in a layout."""
    return parse_time(layout, text)


@function("toDate", "string string")
def read(layout: str, text: str) -> Time:
    """Parse a time in a layout; the year 1 for an invalid text."""
    try:
        return parse_time(layout, text)
    except GoError:
        return ZERO


@function("unixEpoch", "time")
def unix_epoch(value: Time) -> str:
    """Return the seconds since 1970 as text."""
    return str(value.unix)


@function("ago", "any")
def ago(value: Any) -> str:
    """Return how long ago the time was, to the second."""
    then, current = _as_time(value), now()
    nanos = (current.unix - then.unix) * SECOND + current.nanos - then.nanos
    return show_duration((abs(nanos) + SECOND // 2) // SECOND * SECOND * (1 if nanos >= 0 else -1))


@function("duration", "any")
def duration(seconds: Any) -> str:
    """Return seconds, given as text or int64, as a duration such as `1h2m3s`."""
    if isinstance(seconds, str):
        return show_duration(wrap_int(parse_int(seconds) * SECOND))
    return show_duration(wrap_int(int(seconds) * SECOND)) if type(seconds) is Int64 else "0s"


@function("durationRound", "any")
def round_duration(value: Any) -> str:
    """Return a duration cut to its largest unit: `3d`. It may be text, nanoseconds, or a time in the past."""
    nanos = 0
    if isinstance(value, str):
        try:
            nanos = read_duration(value)
        except GoError:
            nanos = 0
    elif type(value) is Int64:
        nanos = int(value)
    elif isinstance(value, Time):
        current = now()
        nanos = (current.unix - value.unix) * SECOND + current.nanos - value.nanos
    for unit, name in _ROUNDS:
        if abs(nanos) > unit * SECOND:
            return f"{abs(nanos) // (unit * SECOND)}{name}"
    return "0s"
