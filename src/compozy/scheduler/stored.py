"""Schedules of the files and of the database together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from compozy.database.executors import read_clock_ms
from compozy.database.facts import lock_facts
from compozy.database.schedules import (
    StoredSchedule,
    delete_schedules,
    insert_schedule,
    list_schedules,
    update_schedule,
)
from compozy.project.loaded import LoadedProject
from compozy.schedule.config import ScheduleConfig, schedules_of
from compozy.schedule.decide import Rule

# Keys of a schedule that can be changed until the file changes.
CHANGEABLE = ("enabled", "cron", "every", "timezone")
REASON = "reason"
REMOVED = "removed"


@dataclass(frozen=True, kw_only=True)
class FileSchedule:
    """A schedule as a workflow file has it."""

    schedule_id: str
    workflow_id: str
    config: ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class Effective:
    """A stored schedule as it applies: what the file says, with what was changed since."""

    stored: StoredSchedule

    @cached_property
    def config(self) -> ScheduleConfig:
        """The configuration with the changes."""
        return changed_config(self.stored.spec, self.stored.changes)

    @cached_property
    def rule(self) -> Rule:
        """The rule by which it is decided which ticks start runs."""
        return Rule.of(self.stored.schedule_id, self.config)


def changed_config(spec: Mapping[str, Any], changes: Mapping[str, Any] | None) -> ScheduleConfig:
    """Return the configuration of a schedule after changes; of `cron` and `every` the changed one counts."""
    values = {name: value for name, value in (changes or {}).items() if name in CHANGEABLE}
    dropped = {"cron": {"every"}, "every": {"cron", "timezone"}}
    without = {name for key in values for name in dropped.get(key, ())}
    return ScheduleConfig.model_validate({**{k: v for k, v in spec.items() if k not in without}, **values})


def file_schedules(project: LoadedProject) -> dict[str, FileSchedule]:
    """Return the schedules of the valid workflows of a project by ID."""
    return {
        schedule_id: FileSchedule(schedule_id=schedule_id, workflow_id=workflow_id, config=config)
        for workflow_id, workflow in project.workflows.items()
        for schedule_id, config in schedules_of(
            workflow_id, workflow.config.schedule, workflow.config.schedules
        ).items()
    }


def next_run(rule: Rule, after_ms: int) -> dict[str, int | None]:
    """Return the columns of the first tick after a moment."""
    tick_ms = rule.timetable.next_after(after_ms)
    return {"tick_ms": tick_ms, "next_ms": None if tick_ms is None else rule.due_ms(tick_ms)}


def no_run() -> dict[str, int | None]:
    """Return the columns of a schedule that starts no runs for now."""
    return {"tick_ms": None, "next_ms": None}


def store_schedules(
    connection: sa.Connection, project: LoadedProject, *, clock: Callable[[sa.Connection], int] = read_clock_ms
) -> None:
    """Store what the files say, as a server starts.

    A schedule that changed in the file loses what was changed besides, and starts with the next tick from now. One that
    did not change continues where it stood, so that what was missed meanwhile is caught up.
    """
    # Two processes with different files would each delete what the other one stores.
    lock_facts(connection)
    clock_ms = clock(connection)
    stored = {row.schedule_id: row for row in list_schedules(connection)}
    files = file_schedules(project)
    for schedule in files.values():
        store_schedule(connection, schedule, stored.get(schedule.schedule_id), clock_ms)
    unread = {invalid.id for invalid in project.invalid_workflows}
    gone = [row.schedule_id for row in stored.values() if row.schedule_id not in files]
    delete_schedules(connection, [each for each in gone if stored[each].workflow_id not in unread])


def store_schedule(
    connection: sa.Connection, schedule: FileSchedule, row: StoredSchedule | None, clock_ms: int
) -> None:
    """Store what the file says of one schedule, unless its row `row` says so already."""
    config = schedule.config
    if row is not None and row.spec_hash == config.digest:
        return
    rule = Rule.of(schedule.schedule_id, config)
    times = next_run(rule, clock_ms) if config.enabled else no_run()
    spec: dict[str, Any] = {"spec": config.to_json(), "spec_hash": config.digest}
    if row is None:
        insert_schedule(connection, schedule.schedule_id, workflow_id=schedule.workflow_id, **spec, **times)
    else:
        update_schedule(connection, schedule.schedule_id, **spec, **times, changes=None, buffered_ms=None)
