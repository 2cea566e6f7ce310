"""Which task follows; pure, so that a replay comes to the same answer."""

from __future__ import annotations

from compozy.database.status import Status
from compozy.workflow.config import WorkflowConfig


def next_index(workflow: WorkflowConfig, index: int, status: Status) -> int | None:
    """Return the place of the task that follows the one at `index`, None when the run ends there."""
    following = index + 1
    return following if status is Status.SUCCESS and following < len(workflow.tasks) else None
