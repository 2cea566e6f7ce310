"""Progress reports of a run."""

from __future__ import annotations

from typing import Protocol

from compozy.database.tasks import TaskEnd


class Report(Protocol):
    """Receives the start and end of each task, after they were stored. It must not raise."""

    def task_began(self, execution_id: str, path: str) -> None:
        """A task began; `path` is its place in the run."""
        ...

    def task_waits(self, execution_id: str, path: str, signal: str | None) -> None:
        """A task waits for a signal; None for the answer to its form."""
        ...

    def budget_spent(self, execution_id: str, path: str, text: str, option: str) -> None:
        """The run waits until a person raises a budget; `path` is the question, `option` raises it."""
        ...

    def task_ended(self, execution_id: str, path: str, end: TaskEnd, *, replayed: bool, seconds: float) -> None:
        """A task ended; `replayed` when its result was recorded by an earlier process."""
        ...


class Silence:
    """A report that is discarded."""

    def task_began(self, execution_id: str, path: str) -> None:
        """Say nothing."""

    def task_waits(self, execution_id: str, path: str, signal: str | None) -> None:
        """Say nothing."""

    def budget_spent(self, execution_id: str, path: str, text: str, option: str) -> None:
        """Say nothing."""

    def task_ended(self, execution_id: str, path: str, end: TaskEnd, *, replayed: bool, seconds: float) -> None:
        """Say nothing."""
