"""`type: workflow`: another workflow of the project, as a task."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from compozy.task.kind import TaskKind
from compozy.task.options import TaskBase

CalledWorkflow = Annotated[dict[str, Any], WithJsonSchema({"type": "string", "description": "ID of a workflow."})]
"""A workflow that is written as its ID, and replaced by the workflow itself before a file is validated."""


class WorkflowTask(TaskBase):
    """Runs another workflow as a part of this run. `with` is its input, and its output is the output of the task."""

    type: Literal["workflow"] = Field(description="Kind of task.")
    workflow: CalledWorkflow = Field(description="ID of the workflow.")


def _label(task: WorkflowTask) -> str:
    return f"workflow {task.workflow.get('id', '')}"


KIND = TaskKind(
    name="workflow",
    model=WorkflowTask,
    runner="compozy.task.workflow",
    page="/docs/workflows/sub-workflows",
    calls="workflow",
    shape=('[["', '"]]'),
    label=_label,
)
