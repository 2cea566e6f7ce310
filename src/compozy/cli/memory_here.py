"""`compozy memory` without a server: the database of the project, next to the process that executes its runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from compozy.client import Document
from compozy.memory.verbs import MemoryVerbs
from compozy.project.loaded import LoadedProject
from compozy.project.memories import memories_of
from compozy.storage import close_storage, open_beside, open_reading


class MemoriesHere:
    """The conversations of a project of this folder."""

    def __init__(self, project: LoadedProject) -> None:
        self._project = project
        self._resources = memories_of(project)

    def list(self, memory_id: str | None, *, limit: int, cursor: str | None) -> Document:
        """Return a page of conversations."""
        return self._read(lambda verbs: verbs.list(memory_id, limit=limit, cursor=cursor))

    def read(self, memory_id: str, key: str, *, limit: int, before: int | None) -> Document:
        """Return the latest messages of a conversation."""
        return self._read(lambda verbs: verbs.read(memory_id, key, limit=limit, before=before))

    def append(self, memory_id: str, key: str, message: Document) -> Document:
        """Add a message to a conversation; the database is created if it does not exist."""
        with open_beside(self._project, "conversations") as database:
            return asyncio.run(MemoryVerbs(self._resources, database).append(memory_id, key, message))

    def clear(self, memory_id: str, key: str) -> Document:
        """Remove everything that a conversation holds."""
        # Nothing is created for a conversation that does not exist.
        self.read(memory_id, key, limit=1, before=None)
        with open_beside(self._project, "conversations") as database:
            return asyncio.run(MemoryVerbs(self._resources, database).clear(memory_id, key))

    def _read(self, call: Callable[[MemoryVerbs], Coroutine[Any, Any, Document]]) -> Document:
        database = open_reading(self._project)
        try:
            return asyncio.run(call(MemoryVerbs(self._resources, database)))
        finally:
            if database is not None:
                close_storage(database)
