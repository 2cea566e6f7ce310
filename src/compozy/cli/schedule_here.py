"""`compozy schedule` without a server: the files of the project, and its database if it exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from compozy.cli.verbs import Document
from compozy.clock import now_ms
from compozy.database.executors import read_clock_ms
from compozy.database.schedules import list_schedules
from compozy.errors import ConflictError, UsageError
from compozy.project.loaded import LoadedProject
from compozy.schedule.config import read_moment
from compozy.scheduler.documents import ScheduleView, find_view, next_document, schedule_document, views_of
from compozy.scheduler.verbs import ScheduleVerbs
from compozy.storage import close_storage, open_control, open_reading


class SchedulesHere:
    """The schedules of a project of this folder."""

    def __init__(self, project: LoadedProject) -> None:
        self._project = project

    def list(self) -> Document:
        """Return every schedule."""
        return {"schedules": [schedule_document(view) for view in self._views().values()]}

    def next(self, schedule_id: str, count: int) -> Document:
        """Return the next times of a schedule."""
        return next_document(find_view(self._views(), schedule_id), count)

    def change(self, schedule_id: str, asked: dict[str, Any]) -> Document:
        """Change a schedule and return it.

        Raises:
            NotFoundError: it does not exist.
            ConflictError: the database does not exist yet.
        """
        return self._apply(schedule_id, lambda verbs: verbs.change(schedule_id, asked, reason="paused by a command"))

    def trigger(self, schedule_id: str) -> Document:
        """Store a run for the next server or worker and return its ID; raises like `change`."""
        return self._apply(schedule_id, lambda verbs: verbs.trigger(schedule_id))

    def backfill(self, schedule_id: str, start: str, end: str) -> Document:
        """Store the runs of a past period for the next server or worker; raises like `change`."""
        start_ms, end_ms = (_read_ms(text) for text in (start, end))
        return self._apply(schedule_id, lambda verbs: verbs.backfill(schedule_id, start_ms, end_ms))

    def _apply(self, schedule_id: str, operate: Callable[[ScheduleVerbs], Coroutine[Any, Any, Document]]) -> Document:
        find_view(self._views(), schedule_id)
        with open_control(self._project) as database:
            if database is None:
                raise ConflictError(
                    "the project does not have a database yet, so its schedules have not started",
                    hint="run `compozy start`; `enabled: false` in the file of the workflow pauses a schedule",
                )
            return asyncio.run(operate(ScheduleVerbs(self._project, database)))

    def _views(self) -> dict[str, ScheduleView]:
        database = open_reading(self._project)
        if database is None:
            return views_of(self._project, [], now_ms())
        try:
            with database.read() as connection:
                return views_of(self._project, list_schedules(connection), read_clock_ms(connection))
        finally:
            close_storage(database)


def _read_ms(text: str) -> int:
    try:
        return int(read_moment(text).timestamp() * 1000)
    except ValueError as error:
        raise UsageError(str(error)) from error
