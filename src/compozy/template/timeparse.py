"""Reads times in Go's layouts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from compozy.template.gotime import UTC_ZONE, Time, Zone, date_of, days_of, quote_time
from compozy.template.timelayout import DAYS, MONTHS, split_layout
from compozy.template.values import GoError

_ZONE_NAME = re.compile(r"GMT(?:[+-][0-9]{1,2})?|ChST|MeST|WITA|[+-][0-9]{2}(?![0-9])|[A-Z]{3}(?:[A-Z]?T|[A-Z])?")
_OFFSETS = {
    "07": re.compile(r"([+-])([0-9]{2})"),
    "0700": re.compile(r"([+-])([0-9]{2})([0-9]{2})"),
    "07:00": re.compile(r"([+-])([0-9]{2}):([0-9]{2})"),
    "070000": re.compile(r"([+-])([0-9]{2})([0-9]{2})([0-9]{2})"),
    "07:00:00": re.compile(r"([+-])([0-9]{2}):([0-9]{2}):([0-9]{2})"),
}
MAX_TEXT = 1000


class _Bad(Exception):
    """The text does not fit the chunk of the layout; the argument is the range that it is out of, or ""."""


@dataclass(slots=True)
class _Parts:
    """The values read so far; -1 if nothing was read."""

    rest: str
    year: int = 0
    month: int = -1
    day: int = -1
    year_day: int = -1
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanos: int = 0
    half: str = ""
    utc: bool = False
    offset: int | None = None
    zone_name: str = ""


def parse_time(layout: str, text: str) -> Time:
    """Parse a time in a layout, in UTC if it has no zone; raises GoError with Go's message."""
    if len(text) > MAX_TEXT or len(layout) > MAX_TEXT:
        raise GoError("parsing time: text or layout is too long")
    parts = _Parts(text)
    shown = f"parsing time {quote_time(text)}"
    pieces = list(split_layout(layout))
    for index, (plain, chunk) in enumerate(pieces):
        _skip(parts, plain, f"{shown} as {quote_time(layout)}")
        if chunk:
            following = pieces[index + 1] if index + 1 < len(pieces) else ("", "")
            _read(parts, chunk, following, shown, layout)
    if parts.rest:
        raise GoError(f"{shown}: extra text: {quote_time(parts.rest)}")
    return _finish(parts, shown)


def _skip(parts: _Parts, plain: str, shown: str) -> None:
    """Skip the plain text of a layout; a space there stands for any number of spaces."""
    rest = plain
    while rest:
        if rest[0] == " ":
            if parts.rest and parts.rest[0] != " ":
                break
            rest = rest.lstrip(" ")
            parts.rest = parts.rest.lstrip(" ")
        elif not parts.rest.startswith(rest[0]):
            break
        else:
            rest, parts.rest = rest[1:], parts.rest[1:]
    if rest:
        raise GoError(f"{shown}: cannot parse {quote_time(parts.rest)} as {quote_time(plain)}")


def _read(parts: _Parts, chunk: str, following: tuple[str, str], shown: str, layout: str) -> None:
    """Read what one chunk of the layout stands for."""
    held = parts.rest
    try:
        if chunk in _READERS:
            _READERS[chunk](parts)
        elif chunk[0] in ".,":
            _read_fraction(parts, chunk)
        else:
            _read_offset(parts, chunk)
        if chunk in {"5", "05"} and not (following[0] == "" and following[1][:1] in {".", ","}):
            _read_extra_fraction(parts)
    except _Bad as error:
        if str(error):
            raise GoError(f"{shown}: {error} out of range") from error
        raise GoError(
            f"{shown} as {quote_time(layout)}: cannot parse {quote_time(held)} as {quote_time(chunk)}"
        ) from error


def _take_number(parts: _Parts, *, fixed: bool, digits: int = 2) -> int:
    """Read a number of one or two digits, of exactly `digits` when fixed."""
    found = re.match(r"[0-9]+", parts.rest[:digits])
    if found is None or (fixed and found.end() < digits):
        raise _Bad
    parts.rest = parts.rest[found.end() :]
    return int(found.group())


def _in_range(number: int, bound: int, name: str) -> int:
    if number >= bound:
        raise _Bad(name)
    return number


def _read_name(parts: _Parts, names: tuple[str, ...], width: int | None) -> int:
    for index, name in enumerate(names):
        short = name[:width]
        if parts.rest[: len(short)].lower() == short.lower():
            parts.rest = parts.rest[len(short) :]
            return index
    raise _Bad


def _read_year(parts: _Parts) -> None:
    found = re.match(r"[0-9]{4}", parts.rest)
    if found is None:
        raise _Bad
    parts.year, parts.rest = int(found.group()), parts.rest[4:]


def _read_short_year(parts: _Parts) -> None:
    year = _take_number(parts, fixed=True)
    parts.year = year + (1900 if year >= 69 else 2000)


def _month_reader(width: int | None) -> Callable[[_Parts], None]:
    def read(parts: _Parts) -> None:
        parts.month = _read_name(parts, MONTHS, width) + 1

    return read


def _day_name_reader(width: int | None) -> Callable[[_Parts], None]:
    def read(parts: _Parts) -> None:
        _read_name(parts, DAYS, width)

    return read


def _number_reader(name: str, bound: int, *, fixed: bool) -> Callable[[_Parts], None]:
    def read(parts: _Parts) -> None:
        setattr(parts, name, _in_range(_take_number(parts, fixed=fixed), bound, name))

    return read


def _number_month_reader(*, fixed: bool) -> Callable[[_Parts], None]:
    def read(parts: _Parts) -> None:
        parts.month = _take_number(parts, fixed=fixed)
        if not 1 <= parts.month <= 12:
            raise _Bad("month")

    return read


def _day_reader(*, fixed: bool, padded: bool = False) -> Callable[[_Parts], None]:
    def read(parts: _Parts) -> None:
        if padded:
            parts.rest = parts.rest.removeprefix(" ")
        parts.day = _take_number(parts, fixed=fixed)

    return read


def _year_day_reader(*, fixed: bool) -> Callable[[_Parts], None]:
    def read(parts: _Parts) -> None:
        if not fixed:
            parts.rest = parts.rest.removeprefix(" ").removeprefix(" ")
        parts.year_day = _take_number(parts, fixed=fixed, digits=3)

    return read


def _half_reader(first: str, second: str) -> Callable[[_Parts], None]:
    def read(parts: _Parts) -> None:
        if parts.rest[:2] not in (first, second):
            raise _Bad
        parts.half, parts.rest = parts.rest[:2].upper(), parts.rest[2:]

    return read


def _read_zone(parts: _Parts) -> None:
    if parts.rest.startswith("UTC"):
        parts.utc, parts.rest = True, parts.rest[3:]
        return
    found = _ZONE_NAME.match(parts.rest)
    if found is None:
        raise _Bad
    parts.zone_name, parts.rest = found.group(), parts.rest[found.end() :]


_READERS: dict[str, Callable[[_Parts], None]] = {
    "2006": _read_year,
    "06": _read_short_year,
    "January": _month_reader(None),
    "Jan": _month_reader(3),
    "1": _number_month_reader(fixed=False),
    "01": _number_month_reader(fixed=True),
    "Monday": _day_name_reader(None),
    "Mon": _day_name_reader(3),
    "2": _day_reader(fixed=False),
    "_2": _day_reader(fixed=False, padded=True),
    "02": _day_reader(fixed=True),
    "__2": _year_day_reader(fixed=False),
    "002": _year_day_reader(fixed=True),
    "15": _number_reader("hour", 24, fixed=False),
    "3": _number_reader("hour", 13, fixed=False),
    "03": _number_reader("hour", 13, fixed=True),
    "4": _number_reader("minute", 60, fixed=False),
    "04": _number_reader("minute", 60, fixed=True),
    "5": _number_reader("second", 60, fixed=False),
    "05": _number_reader("second", 60, fixed=True),
    "PM": _half_reader("PM", "AM"),
    "pm": _half_reader("pm", "am"),
    "MST": _read_zone,
}


def _read_fraction(parts: _Parts, chunk: str) -> None:
    """Read the fraction of a second: as many digits as the zeros of the chunk, any number for nines."""
    found = re.match(r"[.,]([0-9]+)", parts.rest)
    if chunk[1] == "9":
        if found is None:
            return
        digits = found.group(1)
    else:
        digits = parts.rest[1 : len(chunk)]
        if parts.rest[:1] not in {".", ","} or len(digits) != len(chunk) - 1 or not re.fullmatch("[0-9]+", digits):
            raise _Bad
    parts.nanos = int(digits[:9].ljust(9, "0"))
    parts.rest = parts.rest[1 + len(digits) :]


def _read_extra_fraction(parts: _Parts) -> None:
    """Read a fraction after the seconds that the layout does not contain."""
    if re.match(r"[.,][0-9]", parts.rest):
        _read_fraction(parts, ".9")


def _read_offset(parts: _Parts, chunk: str) -> None:
    if chunk[0] == "Z" and parts.rest.startswith("Z"):
        parts.utc, parts.rest = True, parts.rest[1:]
        return
    found = _OFFSETS[chunk[1:]].match(parts.rest)
    if found is None:
        raise _Bad
    sign, *numbers = found.groups()
    hours, minutes, seconds = (int(numbers[index]) if index < len(numbers) else 0 for index in range(3))
    if hours > 24:
        raise _Bad("time zone offset hour")
    if minutes > 60:
        raise _Bad("time zone offset minute")
    offset = (hours * 60 + minutes) * 60 + seconds
    parts.offset = -offset if sign == "-" else offset
    parts.rest = parts.rest[found.end() :]


def _finish(parts: _Parts, shown: str) -> Time:
    """Return the time of what was read."""
    if parts.half == "PM" and parts.hour < 12:
        parts.hour += 12
    elif parts.half == "AM" and parts.hour == 12:
        parts.hour = 0
    if parts.year_day >= 0:
        _set_year_day(parts, shown)
    month, day = max(parts.month, 1) if parts.month >= 0 else 1, parts.day if parts.day >= 0 else 1
    next_month = days_of(parts.year + month // 12, month % 12 + 1, 1)
    if not 1 <= day <= next_month - days_of(parts.year, month, 1):
        raise GoError(f"{shown}: day out of range")
    date, clock = (parts.year, month, day), (parts.hour, parts.minute, parts.second, parts.nanos)
    return Time.of(date, clock, _zone_of(parts))


def _zone_of(parts: _Parts) -> Zone:
    if parts.utc:
        return UTC_ZONE
    if parts.offset is not None:
        return UTC_ZONE if parts.offset == 0 and parts.zone_name in {"", "UTC"} else Zone(parts.zone_name, parts.offset)
    if not parts.zone_name:
        return UTC_ZONE
    hours = int(parts.zone_name[3:]) if parts.zone_name[:3] == "GMT" and len(parts.zone_name) > 3 else 0
    return Zone(parts.zone_name, hours * 3600)


def _set_year_day(parts: _Parts, shown: str) -> None:
    start = days_of(parts.year, 1, 1)
    if not 1 <= parts.year_day <= days_of(parts.year + 1, 1, 1) - start:
        raise GoError(f"{shown}: day-of-year out of range")
    _, month, day = date_of(start + parts.year_day - 1)
    if parts.month >= 0 and parts.month != month:
        raise GoError(f"{shown}: day-of-year does not match month")
    if parts.day >= 0 and parts.day != day:
        raise GoError(f"{shown}: day-of-year does not match day")
    parts.month, parts.day = month, day
