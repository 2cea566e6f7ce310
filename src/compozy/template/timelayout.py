"""Writes times in Go's layouts, which show how the reference time Mon Jan 2 15:04:05 MST 2006 would be written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip

_CHUNK = re.compile(
    r"""January | Jan(?![a-z]) | Monday | Mon(?![a-z]) | MST
    | 0[1-6] | 002 | 15 | 1 | 2006 | 2 | (?<=_)2006 | _2(?!006) | __2 | 3 | 4 | 5 | PM | pm
    | -07:00:00 | -070000 | -07:00 | -0700 | -07
    | Z07:00:00 | Z070000 | Z07:00 | Z0700 | Z07
    | [.,](?:0+|9+)(?![0-9])""",
    re.VERBOSE,
)


class Zone(Protocol):
    """A time zone."""

    def at(self, unix: int) -> tuple[str, int]:
        """Return the name and the offset in seconds that hold at a time."""
        ...


class Time(Protocol):
    """A point in time as a layout sees it."""

    @property
    def unix(self) -> int:
        """Seconds since 1970."""
        ...

    @property
    def nanos(self) -> int:
        """Nanoseconds within the second."""
        ...

    @property
    def zone(self) -> Zone:
        """The zone that it is shown in."""
        ...

    @property
    def date(self) -> tuple[int, int, int]:
        """Year, month and day."""
        ...

    @property
    def clock(self) -> tuple[int, int, int]:
        """Hour, minute and second."""
        ...

    @property
    def weekday(self) -> int:
        """The day of the week, 0 for Sunday."""
        ...

    @property
    def year_day(self) -> int:
        """The day of the year, from 1."""
        ...


def split_layout(layout: str) -> Iterator[tuple[str, str]]:
    """Yield the pieces of a layout: plain text and the chunk behind it, which is "" at the end."""
    start = 0
    for found in _CHUNK.finditer(layout):
        yield layout[start : found.start()], found.group()
        start = found.end()
    yield layout[start:], ""


def format_time(time: Time, layout: str) -> str:
    """Return the time in a layout."""
    parts: list[str] = []
    for text, chunk in split_layout(layout):
        parts.append(text)
        if chunk:
            parts.append(_format_chunk(time, chunk))
    return "".join(parts)


def _format_chunk(time: Time, chunk: str) -> str:
    formatter = _FORMATTERS.get(chunk)
    if formatter:
        return formatter(time)
    if chunk[0] in ".,":
        return _format_fraction(time, chunk)
    return _format_offset(time, chunk)


def _format_year(time: Time) -> str:
    year = time.date[0]
    return f"{'-' if year < 0 else ''}{abs(year):04}"


_FORMATTERS: dict[str, Callable[[Time], str]] = {
    "January": lambda time: MONTHS[time.date[1] - 1],
    "Jan": lambda time: MONTHS[time.date[1] - 1][:3],
    "1": lambda time: str(time.date[1]),
    "01": lambda time: f"{time.date[1]:02}",
    "Monday": lambda time: DAYS[time.weekday],
    "Mon": lambda time: DAYS[time.weekday][:3],
    "2": lambda time: str(time.date[2]),
    "_2": lambda time: f"{time.date[2]:2}",
    "02": lambda time: f"{time.date[2]:02}",
    "__2": lambda time: f"{time.year_day:3}",
    "002": lambda time: f"{time.year_day:03}",
    "15": lambda time: f"{time.clock[0]:02}",
    "3": lambda time: str((time.clock[0] - 1) % 12 + 1),
    "03": lambda time: f"{(time.clock[0] - 1) % 12 + 1:02}",
    "4": lambda time: str(time.clock[1]),
    "04": lambda time: f"{time.clock[1]:02}",
    "5": lambda time: str(time.clock[2]),
    "05": lambda time: f"{time.clock[2]:02}",
    "2006": _format_year,
    "06": lambda time: f"{time.date[0] % 100:02}",
    "PM": lambda time: "PM" if time.clock[0] >= 12 else "AM",
    "pm": lambda time: "pm" if time.clock[0] >= 12 else "am",
    "MST": lambda time: time.zone.at(time.unix)[0] or _format_offset(time, "-0700"),
}


def _format_fraction(time: Time, chunk: str) -> str:
    digits = f"{time.nanos:09}"[: len(chunk) - 1].ljust(min(len(chunk) - 1, 9), "0")
    if chunk[1] == "9":
        digits = digits.rstrip("0")
        return chunk[0] + digits if digits else ""
    return chunk[0] + digits


def _format_offset(time: Time, chunk: str) -> str:
    offset = time.zone.at(time.unix)[1]
    if chunk[0] == "Z" and offset == 0:
        return "Z"
    sign, offset = ("-", -offset) if offset < 0 else ("+", offset)
    hours, minutes, seconds = offset // 3600, offset // 60 % 60, offset % 60
    colon = ":" if ":" in chunk else ""
    count = 1 if len(chunk) == 3 else 3 if chunk[1:] in {"07:00:00", "070000"} else 2
    return sign + colon.join(f"{part:02}" for part in (hours, minutes, seconds)[:count])
