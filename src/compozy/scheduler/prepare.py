"""The run of a tick: its ID, and its input from the templates of the schedule."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from compozy.clock import format_time
from compozy.database.executions import NewExecution
from compozy.database.trigger import Trigger, TriggerType
from compozy.project.definition import snapshot
from compozy.project.loaded import LoadedProject
from compozy.schedule.config import ScheduleConfig
from compozy.task.template_context import TemplateContext, render_value
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.start import prepare_run

PREFIX = "sched-"
# An execution ID has 128 characters; longer schedule IDs are shortened and get a hash.
_LONGEST_ID = 90


@dataclass(frozen=True, kw_only=True)
class Preparer:
    """Prepares the runs of the schedules of one project."""

    project: LoadedProject
    _definitions: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def workflow(self, workflow_id: str) -> WorkflowConfig:
        """Return a workflow of the project.

        Raises:
            NotFoundError: there is none of this id.
        """
        return self.project.workflow(workflow_id).config

    def run(
        self,
        workflow_id: str,
        schedule_id: str,
        config: ScheduleConfig,
        tick_ms: int,
        *,
        execution_id: str,
        by: str | None = None,
        traceparent: str | None = None,
    ) -> NewExecution:
        """Return the run of a tick.

        `by` and `traceparent` are of the request that asks for it, if it is not its time that starts it.

        Raises:
            TemplateError: a template of the input failed.
            SchemaMismatchError: the input does not match the schema of the workflow.
        """
        if workflow_id not in self._definitions:
            self._definitions[workflow_id] = snapshot(self.project, workflow_id)
        context = TemplateContext(
            workflow={"id": workflow_id},
            project={"id": self.project.name, "name": self.project.name},
            input={},
            extra={"trigger": trigger_values(schedule_id, tick_ms)},
        )
        given = render_value(config.input or {}, ("schedule", "input"), context)
        definition = self._definitions[workflow_id]
        trigger = Trigger(type=TriggerType.SCHEDULE, id=schedule_id, by=by)
        workflow = self.workflow(workflow_id)
        return prepare_run(
            workflow, definition, given, execution_id=execution_id, trigger=trigger, traceparent=traceparent
        )


def trigger_values(schedule_id: str, tick_ms: int) -> dict[str, Any]:
    """Return what templates of the input read as `.trigger`."""
    return {"type": "schedule", "id": schedule_id, "scheduled_at": format_time(tick_ms)}


def run_id_of(schedule_id: str, tick_ms: int) -> str:
    """Return the ID of the one run of a tick, so that the database itself refuses a second one."""
    return f"{PREFIX}{short_id(schedule_id)}-{datetime.fromtimestamp(tick_ms / 1000, UTC):%Y%m%dT%H%M%SZ}"


def short_id(schedule_id: str) -> str:
    """Return the ID of a schedule as the IDs of its runs contain it."""
    if len(schedule_id) <= _LONGEST_ID:
        return schedule_id
    digest = hashlib.sha256(schedule_id.encode()).hexdigest()[:16]
    return f"{schedule_id[: _LONGEST_ID - 17]}.{digest}"
