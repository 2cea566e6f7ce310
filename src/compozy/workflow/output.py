"""The output of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compozy.task.template_context import TemplateContext, render_value
from compozy.task.tree import TaskResult
from compozy.workflow.config import WorkflowConfig


def render_output(workflow: WorkflowConfig, context: TemplateContext, results: Mapping[str, TaskResult]) -> Any:
    """Return the result of a run that succeeded: its `output` templates, or without them every task's output by id.

    Raises:
        TemplateError: with its place in the workflow file.
    """
    if workflow.output is None:
        return {task_id: result.end.output for task_id, result in results.items()}
    return render_value(workflow.output, ("output",), context)
