"""Go's time.Time and time.Duration: points in time with a zone, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from compozy.template.literals import MAX_INT, MIN_INT, to_bytes
from compozy.template.timelayout import DAYS, MONTHS, format_time
from compozy.template.values import GoError, GoValue, wrap_int

SECOND = 1_000_000_000
DAY_S = 86_400
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_FIRST_SECOND = -(292_277_022_400 * 3_652_425 // 10_000 + 306) * DAY_S - 62_135_596_800
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone: one of the IANA data base, or a fixed offset in seconds with a name that may be ""."""

    name: str = "UTC"
    offset: int = 0
    rules: tzinfo | None = None

    def at(self, unix: int) -> tuple[str, int]:
        """Return the zone's short name and offset at a time in seconds since 1970."""
        if self.rules is None:
            return self.name, self.offset
        moment = datetime.fromtimestamp(min(max(unix, -62_000_000_000), 253_000_000_000), UTC).astimezone(self.rules)
        offset = moment.utcoffset()
        return moment.tzname() or "", int(offset.total_seconds()) if offset else 0


UTC_ZONE = Zone()


def load_zone(name: str) -> Zone:
    """Return the zone of a name, UTC when there is none. The local zone is UTC, for results not to depend on it."""
    if name in {"", "UTC", "Local"} or len(name) > 64:
        return UTC_ZONE
    try:
        return Zone(name, 0, ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return UTC_ZONE


def days_of(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the Gregorian calendar, for any year."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day for the days since 1970-01-01."""
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return year + era * 400 + (month <= 2), month, day


@dataclass(frozen=True, slots=True)
class Time(GoValue):
    """A point in time: seconds since 1970, nanoseconds, and its zone."""

    unix: int
    nanos: int = 0
    zone: Zone = UTC_ZONE

    go_type = "time.Time"

    @classmethod
    def of(cls, date: tuple[int, int, int], clock: tuple[int, int, int, int], zone: Zone) -> Time:
        """Return the time of a date and a clock of a zone."""
        hour, minute, second, nanos = clock
        seconds = days_of(*date) * DAY_S + hour * 3600 + minute * 60 + second
        _, offset = zone.at(seconds - zone.at(seconds)[1])
        return cls(seconds - offset, nanos, zone)

    @property
    def local(self) -> int:
        """The seconds since 1970 of the clock that the zone shows; Go's calendar wraps around after 2^64 seconds."""
        return (self.unix + self.zone.at(self.unix)[1] - _FIRST_SECOND) % (1 << 64) + _FIRST_SECOND

    @property
    def date(self) -> tuple[int, int, int]:
        """Year, month and day."""
        return date_of(self.local // DAY_S)

    @property
    def clock(self) -> tuple[int, int, int]:
        """Hour, minute and second."""
        seconds = self.local % DAY_S
        return seconds // 3600, seconds // 60 % 60, seconds % 60

    @property
    def weekday(self) -> int:
        """The day of the week, 0 for Sunday."""
        return (self.local // DAY_S + 4) % 7

    @property
    def year_day(self) -> int:
        """The day of the year, from 1."""
        return self.local // DAY_S - days_of(self.date[0], 1, 1) + 1

    def move(self, nanos: int) -> Time:
        """Return the time some nanoseconds later."""
        seconds, rest = divmod(self.nanos + nanos, SECOND)
        return replace(self, unix=self.unix + seconds, nanos=rest)

    def show(self) -> str:
        """Return the time as Go prints it."""
        return format_time(self, "2006-01-02 15:04:05.999999999 -0700 MST")

    def to_json(self) -> str:
        """Return the time as RFC 3339."""
        return format_time(self, "2006-01-02T15:04:05.999999999Z07:00")

    def call_method(self, name: str, args: tuple[Any, ...]) -> Any:
        """Return what a method of Go's time.Time gives."""
        if name in _PLAIN and not args:
            return _PLAIN[name](self)
        if name == "Format" and len(args) == 1 and isinstance(args[0], str):
            return format_time(self, args[0])
        if name in _ORDERS and len(args) == 1 and isinstance(args[0], Time):
            return _ORDERS[name](self.instant(), args[0].instant())
        if name == "AddDate" and len(args) == 3 and all(type(arg) is int and abs(arg) < 100_000 for arg in args):
            return self._add_date(*args)
        raise LookupError(name)

    def instant(self) -> tuple[int, int]:
        """Return what two times compare by."""
        return self.unix, self.nanos

    def _add_date(self, years: int, months: int, days: int) -> Time:
        year, month, day = self.date
        more, month = divmod(month - 1 + months, 12)
        seconds = days_of(year + years + more, month + 1, 1) * DAY_S + (day - 1 + days) * DAY_S + self.local % DAY_S
        _, offset = self.zone.at(seconds - self.zone.at(seconds)[1])
        return replace(self, unix=seconds - offset)


_PLAIN: dict[str, Callable[[Time], Any]] = {
    "Year": lambda time: time.date[0],
    "Day": lambda time: time.date[2],
    "Hour": lambda time: time.clock[0],
    "Minute": lambda time: time.clock[1],
    "Second": lambda time: time.clock[2],
    "Nanosecond": lambda time: time.nanos,
    "Unix": lambda time: wrap_int(time.unix),
    "UnixMilli": lambda time: wrap_int(time.unix * 1000 + time.nanos // 1_000_000),
    "UnixNano": lambda time: wrap_int(time.unix * SECOND + time.nanos),
    "YearDay": lambda time: time.year_day,
    "Month": lambda time: Named(MONTHS[time.date[1] - 1], time.date[1]),
    "Weekday": lambda time: Named(DAYS[time.weekday], time.weekday, "time.Weekday"),
    "UTC": lambda time: replace(time, zone=UTC_ZONE),
    "Local": lambda time: replace(time, zone=UTC_ZONE),
    "IsZero": lambda time: time.instant() == ZERO.instant(),
    "String": lambda time: time.show(),
}
_ORDERS: dict[str, Callable[[tuple[int, int], tuple[int, int]], Any]] = {
    "Before": lambda left, right: left < right,
    "After": lambda left, right: left > right,
    "Equal": lambda left, right: left == right,
    "Compare": lambda left, right: (left > right) - (left < right),
}
ZERO = Time(days_of(1, 1, 1) * DAY_S)


@dataclass(frozen=True, slots=True)
class Named(GoValue):
    """A whole number with a name: a month or a day of the week."""

    name: str
    number: int
    go_type: str = "time.Month"  # pyrefly: ignore[bad-override]

    go_kind = "int"

    def show(self) -> str:
        """Return the name."""
        return self.name

    def call_method(self, name: str, args: tuple[Any, ...]) -> Any:
        """Return the name for `String`."""
        if name == "String" and not args:
            return self.name
        raise LookupError(name)


def show_duration(nanos: int) -> str:
    """Return a duration as Go writes it: `1h2m3.5s`."""
    if nanos == 0:
        return "0s"
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    if nanos < SECOND:
        unit, name = next((unit, name) for unit, name in _SMALL if nanos >= unit)
        return f"{sign}{_show_fraction(nanos, unit)}{name}"
    minutes, rest = divmod(nanos, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{lead}{_show_fraction(rest, SECOND)}s"


_SMALL = ((1_000_000, "ms"), (1_000, "\u00b5s"), (1, "ns"))


def _show_fraction(nanos: int, unit: int) -> str:
    whole, rest = divmod(nanos, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def quote_time(text: str) -> str:
    """Return the text as the messages about times quote it: every byte beyond ASCII is escaped."""
    shown = [f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 32 <= byte < 128 else f"\\x{byte:02x}"
             for byte in to_bytes(text)]  # fmt: skip
    return f'"{"".join(shown)}"'


def read_duration(text: str) -> int:
    """Return the nanoseconds of a duration such as `-1.5h` or `300ms`; raises GoError."""
    fault = GoError(f"time: invalid duration {quote_time(text)}")
    sign = -1 if text[:1] == "-" else 1
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    if not rest or len(rest) > 200:
        raise fault
    total = 0
    while rest:
        found = _PART.match(rest)
        if found is None or not (found.group(1) or (found.group(2) or "")[1:]):
            raise fault
        total += _part_nanos(text, *found.groups())
        rest = rest[found.end() :]
    if not MIN_INT <= sign * total <= MAX_INT:
        raise fault
    return sign * total


def _part_nanos(text: str, whole: str, fraction: str | None, unit: str) -> int:
    if not unit:
        raise GoError(f"time: missing unit in duration {quote_time(text)}")
    scale = _UNITS.get(unit)
    if scale is None:
        raise GoError(f"time: unknown unit {quote_time(unit)} in duration {quote_time(text)}")
    digits = (fraction or "")[1:]
    return int(whole or "0") * scale + (int(digits) * scale // 10 ** len(digits) if digits else 0)
