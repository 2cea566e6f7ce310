"""`compozy schedule` without a server: the files of the project, and its database if it exists."""

from __future__ import annotations

import asyncio
from typing import Any

from compozy.cli.verbs import Document
from compozy.clock import now_ms
from compozy.database.executors import read_clock_ms
from compozy.database.schedules import list_schedules
from compozy.errors import ConflictError
from compozy.project.loaded import LoadedProject
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
            ConflictError: there is no database yet.
        """
        find_view(self._views(), schedule_id)
        with open_control(self._project) as database:
            if database is None:
                raise ConflictError(
                    "the project does not have a database yet, so its schedules have not started",
                    hint="write `enabled: false` in the file of the workflow",
                )
            verbs = ScheduleVerbs(self._project, database)
            return asyncio.run(verbs.change(schedule_id, asked, reason="paused by a command"))

    def _views(self) -> dict[str, ScheduleView]:
        database = open_reading(self._project)
        if database is None:
            return views_of(self._project, [], now_ms())
        try:
            with database.read() as connection:
                return views_of(self._project, list_schedules(connection), read_clock_ms(connection))
        finally:
            close_storage(database)
