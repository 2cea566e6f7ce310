"""What a run results in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compozy.task.scope import Scope, render_value
from compozy.task.tree import TaskResult
from compozy.workflow.config import WorkflowConfig


def render_output(workflow: WorkflowConfig, scope: Scope, results: Mapping[str, TaskResult]) -> Any:
    """Return the result of a run that succeeded: its `output` templates, or without them every task's output by id.

    Raises:
        TemplateError: with its place in the workflow file.
    """
    if workflow.output is None:
        return {task_id: result.end.output for task_id, result in results.items()}
    return render_value(workflow.output, ("output",), scope)


def add_usage(usages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return token counts summed by provider and model, in the order in which they first answered."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for usage in usages:
        total = sums.setdefault(
            (usage["provider"], usage["model"]),
            {
                "provider": usage["provider"],
                "model": usage["model"],
                "input_tokens": 0,
                "output_tokens": 0,
                "requests": 0,
            },
        )
        for count in ("input_tokens", "output_tokens", "requests"):
            total[count] += usage[count]
    return list(sums.values())
