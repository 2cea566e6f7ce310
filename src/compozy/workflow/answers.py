"""Answers that a task which waits with a form has consumed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from compozy.database.signals import count_consumed_signals
from compozy.database.tasks import TaskState


def count_answers(connection: sa.Connection, task: TaskState) -> tuple[int, bool]:
    """Return how many answers a waiting task has consumed, and whether the last one is neither declined nor refused."""
    asked: dict[str, Any] = task.output or {}
    consumed = count_consumed_signals(connection, task.task_exec_id)
    # An answer is consumed before the task ends. Tasks of an older version do not count what they declined.
    declined = asked.get("declined", consumed) + asked.get("refused_count", len(asked.get("refused", ())))
    return consumed, consumed > declined
