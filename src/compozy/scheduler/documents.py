"""Schedules as JSON documents: what `--format json` prints and what the server answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from compozy.clock import format_time
from compozy.database.schedules import StoredSchedule
from compozy.errors import NotFoundError
from compozy.nearest import suggest
from compozy.project.loaded import LoadedProject
from compozy.schedule.config import ScheduleConfig
from compozy.schedule.decide import Rule
from compozy.schedule.timetable import Cron, find_zone
from compozy.scheduler.stored import (
    CHANGEABLE,
    REASON,
    REMOVED,
    Effective,
    FileSchedule,
    file_schedules,
)

MAX_NEXT = 1000


@dataclass(frozen=True, kw_only=True)
class ScheduleView:
    """A schedule of the project; `stored` is None until a server or worker has read the file as it is now."""

    file: FileSchedule
    stored: StoredSchedule | None
    clock_ms: int

    @property
    def config(self) -> ScheduleConfig:
        """The configuration as it applies."""
        return self.file.config if self.stored is None else Effective(stored=self.stored).config

    @property
    def is_removed(self) -> bool:
        """Whether it was removed by a request."""
        return bool(self.stored and (self.stored.changes or {}).get(REMOVED))

    def next_ticks(self, count: int) -> list[int]:
        """Return the next times at which a run is scheduled, none for a schedule that starts no runs."""
        if not self.config.enabled or self.is_removed:
            return []
        return self.ticks_after(count)

    def ticks_after(self, count: int) -> list[int]:
        """Return the next times, as if the schedule were enabled."""
        stored, first = self.stored, self.clock_ms
        if stored and stored.tick_ms is not None and stored.next_ms is not None and stored.next_ms > self.clock_ms:
            # Its delay has not passed, though its time may have.
            first = stored.tick_ms - 1
        rule = Rule.of(self.file.schedule_id, self.config)
        return list(islice(rule.timetable.ticks(first, _FOREVER_MS), count))


# The end of year 9998, the last one in which every time has a next day.
_FOREVER_MS = 253_370_764_800_000


def views_of(project: LoadedProject, rows: list[StoredSchedule], clock_ms: int) -> dict[str, ScheduleView]:
    """Return the schedules of a project by ID, as they stand in the database."""
    stored = {row.schedule_id: row for row in rows}
    return {
        schedule_id: ScheduleView(file=file, stored=_current(file, stored.get(schedule_id)), clock_ms=clock_ms)
        for schedule_id, file in file_schedules(project).items()
    }


def find_view(views: dict[str, ScheduleView], name: str) -> ScheduleView:
    """Return the schedule of this ID, or the only one of the workflow of this ID.

    Raises:
        NotFoundError: there is none, or the workflow has several.
    """
    if name in views:
        return views[name]
    of_workflow = [view for view in views.values() if view.file.workflow_id == name]
    if len(of_workflow) == 1:
        return of_workflow[0]
    known = ", ".join(view.file.schedule_id for view in of_workflow or views.values()) or "none"
    hint = suggest(name, views) or f"this project has: {known}"
    raise NotFoundError(f"schedule {name!r} not found", hint=hint)


def schedule_document(view: ScheduleView) -> dict[str, Any]:
    """Return a schedule as JSON."""
    config, stored = view.config, view.stored
    changes = (stored.changes if stored else None) or {}
    next_ticks = view.next_ticks(1)
    return {
        "schedule_id": view.file.schedule_id,
        "workflow_id": view.file.workflow_id,
        "state": _state(view, next_ticks),
        "reason": changes.get(REASON),
        "cron": config.cron,
        "every": config.every,
        "timezone": None if config.cron is None else config.timezone,
        "description": describe(config),
        "next_at": format_time(next_ticks[0]) if next_ticks else None,
        "buffered_at": format_time(stored.buffered_ms) if stored else None,
        "last_at": format_time(stored.last_tick_ms) if stored else None,
        "last_execution_id": stored.last_execution_id if stored else None,
        "started": stored.fired if stored else 0,
        "skipped": stored.skipped if stored else {},
        "last_skip": _skip(stored),
        "overlap_policy": config.overlap_policy,
        "catch_up": config.catch_up,
        "differs_from_file": [name for name in (*CHANGEABLE, REMOVED) if name in changes],
    }


def next_document(view: ScheduleView, count: int) -> dict[str, Any]:
    """Return the next times of a schedule, in UTC and in its time zone."""
    config = view.config
    ticks = view.ticks_after(count)
    return {
        "schedule_id": view.file.schedule_id,
        "timezone": config.timezone,
        "state": _state(view, view.next_ticks(1)),
        "next": [{"at": format_time(tick_ms), "local": _local_time(tick_ms, config.timezone)} for tick_ms in ticks],
    }


def describe(config: ScheduleConfig) -> str:
    """Return when a schedule starts runs, in words."""
    if config.cron is not None:
        return Cron(text=config.cron, timezone=config.timezone).explain()
    seconds = int(config.every or 0)
    parts = (f"{value}{unit}" for value, unit in zip(_split(seconds), "dhms", strict=True) if value)
    return f"Every {''.join(parts)}"


def _local_time(tick_ms: int, timezone: str) -> str:
    return datetime.fromtimestamp(tick_ms / 1000, find_zone(timezone)).isoformat()


def _split(seconds: int) -> tuple[int, int, int, int]:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return (*divmod(hours, 24), minutes, seconds)


def _state(view: ScheduleView, next_ticks: list[int]) -> str:
    if view.is_removed:
        return "removed"
    if not view.config.enabled:
        return "paused"
    return "active" if next_ticks else "ended"


def _skip(stored: StoredSchedule | None) -> dict[str, Any] | None:
    last = stored.last_skip if stored else None
    if last is None:
        return None
    return {"at": format_time(last["tick_ms"]), "reason": last["reason"], "message": last["message"]}


def _current(file: FileSchedule, row: StoredSchedule | None) -> StoredSchedule | None:
    return row if row is not None and row.spec_hash == file.config.digest else None
