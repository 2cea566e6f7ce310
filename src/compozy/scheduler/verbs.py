"""Operations on the schedules of a project: list, change, remove, start runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from compozy.database.database import Database
from compozy.database.executions import NewExecution
from compozy.database.executors import read_clock_ms
from compozy.database.schedules import StoredSchedule, list_schedules, lock_schedule, update_schedule
from compozy.durable.records import accept
from compozy.errors import ConflictError, UsageError
from compozy.ids import new_execution_id
from compozy.project.loaded import LoadedProject
from compozy.schedule.config import ScheduleConfig
from compozy.schedule.decide import Rule
from compozy.scheduler.documents import ScheduleView, find_view, next_document, schedule_document, views_of
from compozy.scheduler.prepare import PREFIX, Preparer, run_id_of, short_id
from compozy.scheduler.stored import (
    CHANGEABLE,
    REASON,
    REMOVED,
    FileSchedule,
    changed_config,
    next_run,
    no_run,
    store_schedule,
)
from compozy.schema.worker import validate_in_worker

MAX_BACKFILL = 1000
# Runs in one transaction.
_AT_ONCE = 50
Clock = Callable[[sa.Connection], int]
Document = dict[str, Any]


class ScheduleVerbs:
    """The operations, on an open database.

    Args:
        project: the project with the schedules.
        database: where their state is stored.
        wake: called after runs were stored.
        clock: the clock of the leases.
        traceparent: the W3C trace context of the request that asks for runs.
    """

    def __init__(
        self,
        project: LoadedProject,
        database: Database,
        *,
        wake: Callable[[], None] = lambda: None,
        clock: Clock = read_clock_ms,
        traceparent: str | None = None,
    ) -> None:
        self._project = project
        self._database = database
        self._wake = wake
        self._clock = clock
        self._traceparent = traceparent

    async def list(self) -> Document:
        """Return every schedule."""
        views = await self._views()
        return {"schedules": [schedule_document(view) for view in views.values()]}

    async def get(self, name: str) -> Document:
        """Return one schedule.

        Raises:
            NotFoundError: it does not exist.
        """
        return schedule_document(find_view(await self._views(), name))

    async def next(self, name: str, count: int) -> Document:
        """Return the next times of one schedule.

        Raises:
            NotFoundError: it does not exist.
        """
        return next_document(find_view(await self._views(), name), count)

    async def change(self, name: str, asked: Mapping[str, Any], *, reason: str | None = None) -> Document:
        """Change a schedule until its file changes, and return it.

        Args:
            name: its ID.
            asked: new values of `CHANGEABLE` keys.
            reason: why it is paused.

        Raises:
            NotFoundError: it does not exist.
            UsageError: a value is invalid.
        """
        view = find_view(await self._views(), name)
        return await self._apply(view.file, partial(_merge, asked=asked, reason=reason))

    async def remove(self, name: str) -> Document:
        """Let a schedule start no more runs until its file changes, and return it.

        Raises:
            NotFoundError: it does not exist.
        """
        view = find_view(await self._views(), name)
        return await self._apply(view.file, lambda row: {**(row.changes or {}), REMOVED: True})

    async def trigger(self, name: str, *, by: str | None = None) -> Document:
        """Start a run of a schedule now, besides its times, and return its ID; open runs do not matter.

        Raises:
            NotFoundError: the schedule does not exist.
            SchemaMismatchError: its input does not match the schema of the workflow.
        """
        view = find_view(await self._views(), name)
        run_id = f"{PREFIX}{short_id(view.file.schedule_id)}-{new_execution_id()}"
        started, _ = await self._start(view, {view.clock_ms // 1000 * 1000: run_id}, by=by)
        return {"schedule_id": view.file.schedule_id, "execution_id": started[0]}

    async def backfill(self, name: str, start_ms: int, end_ms: int, *, by: str | None = None) -> Document:
        """Start the runs of past times that have none, from `start_ms` to `end_ms`, and return their IDs.

        Raises:
            NotFoundError: the schedule does not exist.
            UsageError: the times are in the future, in the wrong order, or too many.
            SchemaMismatchError: the input does not match the schema of the workflow.
        """
        view = find_view(await self._views(), name)
        schedule_id = view.file.schedule_id
        if not start_ms <= end_ms <= view.clock_ms:
            raise UsageError("a backfill has a start, a later end, and no time in the future")
        timetable = view.config.timetable
        ticks = list(islice(timetable.ticks(start_ms - 1, end_ms), MAX_BACKFILL + 1))
        if len(ticks) > MAX_BACKFILL:
            raise UsageError(
                f"schedule {schedule_id!r} has more than {MAX_BACKFILL} times in this period",
                hint="choose a shorter period",
            )
        started: list[str] = []
        existing: list[str] = []
        for index in range(0, len(ticks), _AT_ONCE):
            batch = ticks[index : index + _AT_ONCE]
            ids = {tick_ms: run_id_of(schedule_id, tick_ms) for tick_ms in batch}
            new, old = await self._start(view, ids, by=by)
            started += new
            existing += old
        return {"schedule_id": schedule_id, "started": started, "existing": existing}

    async def _start(
        self, view: ScheduleView, ids: Mapping[int, str], *, by: str | None
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Store runs by their scheduled times; return the IDs of the new ones and of those that existed."""
        file, config = view.file, view.config
        preparer = Preparer(project=self._project)
        first = preparer.workflow(file.workflow_id).tasks[0]

        def prepare() -> list[NewExecution]:
            return [
                preparer.run(
                    file.workflow_id,
                    file.schedule_id,
                    config,
                    tick_ms,
                    execution_id=run_id,
                    by=by,
                    traceparent=self._traceparent,
                )
                for tick_ms, run_id in ids.items()
            ]

        prepared = await validate_in_worker(prepare)

        def store(connection: sa.Connection) -> tuple[list[str], list[str]]:
            found: tuple[list[str], list[str]] = ([], [])
            for new in prepared:
                is_new = accept(connection, new, first_task=first.id, kind=first.type, owner=None)
                found[0 if is_new else 1].append(new.workflow_exec_id)
            return found

        stored = await self._database.write_async(store)
        self._wake()
        return stored

    async def _views(self) -> dict[str, ScheduleView]:
        def read(connection: sa.Connection) -> dict[str, ScheduleView]:
            return views_of(self._project, list_schedules(connection), self._clock(connection))

        return await self._database.read_async(read)

    async def _apply(self, file: FileSchedule, merge: Callable[[StoredSchedule], Document]) -> Document:
        def write(connection: sa.Connection) -> None:
            clock_ms = self._clock(connection)
            # The file may have changed since a server read it, or no server has started yet.
            store_schedule(connection, file, lock_schedule(connection, file.schedule_id), clock_ms)
            row = lock_schedule(connection, file.schedule_id)
            if row is None:
                raise ConflictError(f"schedule {file.schedule_id!r} was deleted meanwhile", hint="list the schedules")
            _store_changes(connection, row, merge(row), clock_ms)

        await self._database.write_async(write)
        return await self.get(file.schedule_id)


def _merge(row: StoredSchedule, *, asked: Mapping[str, Any], reason: str | None) -> Document:
    """Return the changes of a schedule after further ones."""
    changes = {name: value for name, value in (row.changes or {}).items() if name in CHANGEABLE}
    for name, other in (("cron", "every"), ("every", "cron")):
        if asked.get(name) is not None:
            changes.pop(other, None)
    changes |= {name: value for name, value in asked.items() if value is not None}
    in_file = ScheduleConfig.model_validate(row.spec)
    try:
        config = changed_config(row.spec, changes)
    except ValidationError as error:
        raise UsageError(_message(error)) from error
    changed = {name: value for name, value in changes.items() if getattr(config, name) != getattr(in_file, name)}
    if not config.enabled and reason is not None:
        changed[REASON] = reason
    return changed


def _store_changes(connection: sa.Connection, row: StoredSchedule, changes: Document, clock_ms: int) -> None:
    config = changed_config(row.spec, changes)
    is_on = config.enabled and not changes.get(REMOVED)
    times = next_run(Rule.of(row.schedule_id, config), clock_ms) if is_on else no_run()
    unchanged = (
        is_on and row.tick_ms is not None and config.timetable == changed_config(row.spec, row.changes).timetable
    )
    values: Document = {} if unchanged else {**times, "buffered_ms": None}
    update_schedule(connection, row.schedule_id, changes=changes or None, **values)


def _message(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
