"""Stored rows as JSON documents: what `--format json` prints and what the server answers."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

import sqlalchemy as sa

from compozy.clock import format_time
from compozy.database.admission import list_holders
from compozy.database.executions import Execution, NewExecution, get_execution
from compozy.database.lists import ExecutionSummary
from compozy.database.signals import list_answerers, list_signalled
from compozy.database.status import Status
from compozy.database.tasks import TaskState, list_tasks
from compozy.database.usage import add_usage, shown_cost
from compozy.schema import find_unlisted
from compozy.workflow.answers import count_answers
from compozy.workflow.chat import chat_document
from compozy.workflow.config import WorkflowConfig

MAX_WARNINGS = 10
# Characters of JSON.
MAX_SUMMARY_OUTPUT = 4_000
_WAIT = "wait"
# Runs that are named to one that waits for a place.
_MAX_HOLDERS = 10


def read_run(connection: sa.Connection, execution_id: str) -> tuple[Execution, dict[str, Any]]:
    """Return a run, and the same with its tasks as JSON.

    Raises:
        NotFoundError: there is none of this id.
    """
    run, tasks = get_execution(connection, execution_id), list_tasks(connection, execution_id)
    waiting = [task for task in tasks if task.status is Status.WAITING]
    arrived = {name for _, name in list_signalled(connection, [execution_id])} if waiting else set[str]()
    # An answer is consumed a moment before its task ends.
    arrived |= {str(task.waits_for) for task in waiting if _has_form(task) and count_answers(connection, task)[1]}
    waited = any(task.execution_type == _WAIT for task in tasks)
    answerers = list_answerers(connection, execution_id) if waited else {}
    document = execution_document(run, tasks, arrived, answerers)
    if run.held_ms is not None and run.admission_group is not None:
        document["limits"]["holders"] = list_holders(connection, run.admission_group, limit=_MAX_HOLDERS)
    return run, document


def _has_form(task: TaskState) -> bool:
    return "form" in (task.output or {})


def execution_document(
    run: Execution,
    tasks: Sequence[TaskState] | None = None,
    arrived: Collection[str] = (),
    answerers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a run as JSON; with `tasks`, its tasks and who answered instead of whom.

    `arrived` are the names of the signals that are there, and were not taken yet or are being processed. `answerers`
    are the users who sent the signals that tasks took, by the ID of the task.
    """
    document: dict[str, Any] = {
        "execution_id": run.workflow_exec_id,
        "workflow_id": run.workflow_id,
        "status": run.status.value,
        "input": run.input,
        "output": run.output,
        "error": run.error,
        **_usage(run.usage if tasks is None or run.status.is_final else _usage_of(tasks)),
        **_times(run),
        "journal_format": run.journal_format,
        "requested": None if run.requested is None else run.requested.value,
        "rerun_of": run.rerun_of,
        "origin": run.origin,
        "trigger": None if run.trigger is None else run.trigger.to_json(),
        "labels": run.labels,
    }
    if tasks is not None:
        document["queue"] = run.queue
        document["priority"] = run.priority
        document["limits"] = _limits(run)
        document["warnings"] = input_warnings(run)
        document["fallbacks"] = _fallbacks(tasks)
        document["tasks"] = [_task_document(task, arrived, answerers or {}) for task in tasks]
    return document


def _limits(run: Execution) -> dict[str, Any] | None:
    if run.admission_group is None:
        return None
    is_limited = run.rate_limit is not None and run.rate_period_ms is not None
    return {
        "key": run.admission_group.removeprefix(f"{run.workflow_id}/") or None,
        "concurrency": run.concurrency_limit,
        "rate": {"limit": run.rate_limit, "period_s": (run.rate_period_ms or 0) / 1000} if is_limited else None,
        "waiting_since": _waiting_since(run),
        "holders": [],
    }


def _waiting_since(run: Execution | ExecutionSummary) -> str | None:
    """Return since when a run waits for a place in its group."""
    return None if run.status.is_final else format_time(run.held_ms)


def whole_document(run: Execution) -> dict[str, Any]:
    """Return a run as lists show it, with its input, output and tokens."""
    return {**execution_document(run), "waiting_since": _waiting_since(run)}


def summary_document(run: ExecutionSummary) -> dict[str, Any]:
    """Return a run as lists show it, without its input, output and tokens."""
    return {
        "execution_id": run.workflow_exec_id,
        "workflow_id": run.workflow_id,
        "status": run.status.value,
        "error": run.error,
        "cost": run.cost,
        "unpriced_requests": run.unpriced_requests,
        **_times(run),
        "journal_format": run.journal_format,
        "requested": None if run.requested is None else run.requested.value,
        "rerun_of": run.rerun_of,
        "origin": run.origin,
        "trigger": None if run.trigger is None else run.trigger.to_json(),
        "labels": run.labels,
        "waiting_since": _waiting_since(run),
    }


def without_values(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document of a run without its values and those of its tasks, except for a small output of the run."""
    tasks = [{**task, "input": None, "output": None} for task in document["tasks"]]
    output = document["output"] if _is_small(document["output"]) else None
    return {**document, "input": None, "output": output, "tasks": tasks}


def _is_small(value: Any) -> bool:
    # Stops at the limit: most of a large value is not encoded.
    sizes = accumulate(map(len, json.JSONEncoder(ensure_ascii=False).iterencode(value)))
    return all(size <= MAX_SUMMARY_OUTPUT for size in sizes)


def input_warnings(run: Execution | NewExecution) -> list[str]:
    """Name keys of the input that the workflow's schema allows but does not list, at most ten."""
    workflow: dict[str, Any] = run.definition.get("workflow", {})
    config: dict[str, Any] = workflow.get("config") or {}
    schema = workflow.get("input") or config.get("input")
    return [
        f"the input schema of workflow {run.workflow_id!r} does not list {key!r}"
        + (f" (did you mean {meant!r}?)" if meant else "")
        for key, meant in islice(find_unlisted(schema, run.input), MAX_WARNINGS)
    ]


def workflow_document(workflow: WorkflowConfig, file: str) -> dict[str, Any]:
    """Return a workflow as JSON; `file` is its path in the project's folder."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "description": workflow.description,
        "file": file,
        "tasks": [task.id for task in workflow.tasks],
        "chat": chat_document(workflow),
    }


def _task_document(task: TaskState, arrived: Collection[str], answerers: Mapping[str, str]) -> dict[str, Any]:
    waits_for = task.waits_for if task.status is Status.WAITING else None
    prefix = f"{task.workflow_exec_id}/"
    return {
        "task_id": task.task_id,
        "path": task.path,
        "parent": None if task.parent_state_id is None else task.parent_state_id.removeprefix(prefix),
        "type": task.execution_type,
        "status": task.status.value,
        "attempts": task.attempts,
        "input": task.input,
        "output": task.output,
        "error": task.error,
        "waits_for": waits_for,
        "signal_arrived": waits_for in arrived,
        "answered_by": answerers.get(task.task_exec_id),
        **_usage(task.usage),
        **_times(task),
    }


def _usage(usages: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
    """Return usage by model, and what all of it cost."""
    shown = [{**usage, **cost_document([usage])} for usage in usages or ()]
    for usage in shown:
        usage.pop("cost_micros", None)
    return {"usage": shown, **cost_document(usages or ())}


def cost_document(usages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what usages cost: dollars, None if no price is known; and the number of requests without a price."""
    return {**(cost := shown_cost(usages)), "unpriced_requests": cost["unpriced_requests"] or 0}


def _usage_of(tasks: Sequence[TaskState]) -> list[dict[str, Any]]:
    return add_usage(usage for task in tasks for usage in task.usage or ())


def _times(row: Execution | ExecutionSummary | TaskState) -> dict[str, Any]:
    return {
        "created_at": format_time(row.created_ms),
        "started_at": format_time(row.started_ms),
        "finished_at": format_time(row.finished_ms),
    }


def _fallbacks(tasks: Sequence[TaskState]) -> list[dict[str, Any]]:
    return [
        {
            "task_id": task.task_id,
            "path": task.path,
            "provider": usage["fell_back_from"],
            "answered_by": usage["provider"],
            "model": usage["model"],
            "reason": usage["reason"],
        }
        for task in tasks
        for usage in task.usage or ()
        if usage.get("fell_back_from")
    ]
