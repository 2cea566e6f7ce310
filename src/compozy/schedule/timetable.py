"""The ticks of a schedule: the times at which it starts runs, in whole seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from cronsim import CronSim

SECOND_MS = 1000
_MINUTE = timedelta(minutes=1)
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# Clocks change by less than this, and not twice within that.
_LARGEST_CHANGE, _NO_CHANGE = timedelta(hours=3), timedelta(days=7)
_MINUTE_FIELDS, _SECOND_FIELDS = 5, 6
# Times to look back for the last ticks: each is four times as long as the one before.
_FIRST_LOOK_MS, _GROWTH = 60 * SECOND_MS, 4


@dataclass(frozen=True, kw_only=True)
class Cron:
    """A cron expression in a time zone.

    A time that clocks skip is moved to the next minute that exists, and a time that they repeat is used once, unless
    minute or hour start with `*`. The seconds of six fields do not change that.
    """

    text: str
    timezone: str = "UTC"
    _minutes: str = field(init=False, repr=False, compare=False)
    _seconds: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the expression.

        Raises:
            ValueError: it is not a cron expression, or the time zone is unknown.
        """
        minutes, seconds = _read(self.text)
        object.__setattr__(self, "_minutes", minutes)
        object.__setattr__(self, "_seconds", seconds)
        find_zone(self.timezone)

    def next_after(self, moment_ms: int) -> int | None:
        """Return the first tick after a moment, None if there is none within 50 years."""
        after = datetime.fromtimestamp(moment_ms // SECOND_MS, UTC)
        # The minute of the moment may have further seconds.
        minute = self._next_minute(after - _MINUTE)
        while minute is not None:
            for second in self._seconds:
                tick_ms = int((minute + timedelta(seconds=second)).timestamp()) * SECOND_MS
                if tick_ms > moment_ms:
                    return tick_ms
            minute = self._next_minute(minute)
        return None

    def _next_minute(self, after: datetime) -> datetime | None:
        """Return the first minute of the expression after a moment, in UTC."""
        zone = find_zone(self.timezone)
        minute, hour, *_ = self._minutes.split()
        if minute.startswith("*") or hour.startswith("*"):
            return _next_wall_minute(self._minutes, after, zone)
        for found in _simulate(self._minutes, after.astimezone(zone)):
            # In a repeated hour the expression names the first occurrence, which has passed.
            if (instant := found.astimezone(UTC)) > after:
                return instant
        return None

    def explain(self) -> str:
        """Return the expression in words, such as `At 09:00 on Monday through Friday`."""
        fields = self.text.split()
        return _simulate(_MACROS.get(self.text.lower(), " ".join(fields)), datetime.fromtimestamp(0, UTC)).explain()


@dataclass(frozen=True, kw_only=True)
class Every:
    """A fixed interval, counted from `anchor_ms`."""

    interval_ms: int
    anchor_ms: int = 0

    def next_after(self, moment_ms: int) -> int | None:
        """Return the first tick after a moment."""
        return self.anchor_ms + ((moment_ms - self.anchor_ms) // self.interval_ms + 1) * self.interval_ms


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """The ticks of a rule between a start and an end, both included."""

    rule: Cron | Every
    start_ms: int | None = None
    end_ms: int | None = None

    def next_after(self, moment_ms: int) -> int | None:
        """Return the first tick after a moment, None if there is none."""
        if self.start_ms is not None:
            moment_ms = max(moment_ms, self.start_ms - 1)
        tick_ms = self.rule.next_after(moment_ms)
        return tick_ms if tick_ms is None or self.end_ms is None or tick_ms <= self.end_ms else None

    def ticks(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """Yield the ticks after one moment and up to another."""
        tick_ms = self.next_after(after_ms)
        while tick_ms is not None and tick_ms <= until_ms:
            yield tick_ms
            tick_ms = self.next_after(tick_ms)

    def last_ticks(self, after_ms: int, until_ms: int, limit: int) -> tuple[list[int], bool]:
        """Return the last `limit` ticks after one moment and up to another, and whether these are all."""
        look_ms = _FIRST_LOOK_MS
        while True:
            from_ms = max(after_ms, until_ms - look_ms)
            last = deque(self.ticks(from_ms, until_ms), maxlen=limit + 1)
            if from_ms == after_ms or len(last) > limit:
                return list(last)[-limit:], len(last) <= limit
            look_ms *= _GROWTH


@lru_cache(maxsize=64)
def find_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name in the IANA database.

    Raises:
        ValueError: it is unknown.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}; write a name such as UTC or Europe/Berlin") from error


def _read(text: str) -> tuple[str, tuple[int, ...]]:
    """Return an expression of five fields, and the seconds of its minutes."""
    words = text.strip()
    if words.startswith("@"):
        if words.lower() not in _MACROS:
            raise ValueError(f"unknown schedule {text!r}; expected one of {', '.join(_MACROS)}, or `every: 15m`")
        return _MACROS[words.lower()], (0,)
    fields = words.split()
    if len(fields) not in {_MINUTE_FIELDS, _SECOND_FIELDS}:
        raise ValueError(
            f"a cron expression has 5 fields, or 6 with the seconds first; {text!r} has {len(fields)}",
        )
    if any(not part.isascii() for part in fields):
        raise ValueError(f"invalid cron expression {text!r}")
    parsed = _simulate(" ".join(fields), datetime.fromtimestamp(0, UTC))
    return " ".join(fields[-_MINUTE_FIELDS:]), tuple(sorted(parsed.seconds))


def _simulate(expression: str, moment: datetime) -> CronSim:
    # Imported here: projects without schedules do not need it.
    from cronsim import CronSim, CronSimError

    try:
        return CronSim(expression, moment)
    except CronSimError as error:
        raise ValueError(f"invalid cron expression {expression!r}: {str(error).lower()}") from error


def _next_wall_minute(expression: str, after: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first minute after a moment whose wall-clock time fits, also if clocks show that time twice.

    cronsim steps over half an hour where clocks change by half an hour, so it sees times without a zone here.
    """
    wall = after.astimezone(zone)
    found = next(_simulate(expression, wall.replace(tzinfo=None)), None)
    if found is None:
        return None
    instant = (found - (wall.utcoffset() or timedelta())).replace(tzinfo=UTC)
    if found - wall.replace(tzinfo=None) <= _NO_CHANGE and instant.astimezone(zone).utcoffset() == wall.utcoffset():
        return instant
    best: datetime | None = None
    for candidate in _simulate(expression, wall.replace(tzinfo=None) - _LARGEST_CHANGE):
        for instant in _instants(candidate, zone):
            if instant > after and (best is None or instant < best):
                best = instant
        if best is not None and candidate > best.astimezone(zone).replace(tzinfo=None) + _LARGEST_CHANGE:
            break
    return best


def _instants(wall: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the moments at which clocks show `wall`: none, one or two."""
    for fold in (0, 1):
        instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == wall:
            yield instant
