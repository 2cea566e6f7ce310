"""Repeating a run: what came before the task to begin with is kept, and not paid for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from compozy.database.executions import Execution, NewExecution, describe_end, get_execution
from compozy.database.status import Status
from compozy.database.tasks import TaskEnd, TaskState, list_tasks
from compozy.database.trigger import Trigger, TriggerType, check_labels
from compozy.durable.records import NOTIFICATION
from compozy.errors import ConflictError, NotFoundError, UsageError
from compozy.knowledge.run import repeat_ingestion
from compozy.nearest import suggest
from compozy.task.next import plan_of
from compozy.task.tree import TaskResult
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.start import prepare_run

BATCH = "batch"
"""The kind in the definition of a run that is an operation on many runs."""


@dataclass(frozen=True, kw_only=True)
class RerunRequest:
    """The tasks and input of a rerun.

    Args:
        execution_id: the run.
        from_task: id of the task to begin with; None begins where the run failed, or anew when it did not.
        given: another input; None for that of the run.
        new_id: id of the new run; None makes one.
        by: the user or the API key that asks for it.
        batch: the batch operation that asks for it.
        labels: labels of the new run; None for those of the run.
        traceparent: the W3C trace context of the request that asks for it.
    """

    execution_id: str
    from_task: str | None = None
    given: Any = None
    new_id: str | None = None
    by: str | None = None
    batch: str | None = None
    labels: Mapping[str, str] | None = None
    traceparent: str | None = None

    @property
    def trigger(self) -> Trigger:
        """The trigger of the new run."""
        if self.batch is not None:
            return Trigger(type=TriggerType.BATCH, id=self.batch, by=self.by)
        return Trigger(type=TriggerType.RERUN, id=self.execution_id, by=self.by)


def read_source(connection: sa.Connection, request: RerunRequest) -> tuple[Execution, list[TaskState]]:
    """Return the run that is to be repeated, and its tasks.

    Raises:
        NotFoundError: there is none of this id.
        ConflictError: it has not ended.
    """
    run = get_execution(connection, request.execution_id)
    if run.definition.get("kind") == BATCH:
        raise ConflictError(f"execution {request.execution_id!r} is a batch, which cannot be repeated")
    if run.definition.get("kind") == NOTIFICATION:
        raise ConflictError(f"execution {request.execution_id!r} is a notification, which cannot be repeated")
    if not run.status.is_final:
        raise ConflictError(
            f"execution {request.execution_id!r} cannot be repeated while it is {run.status.value}",
            hint="wait for its end, or cancel it",
        )
    if run.status is Status.MOVED:
        raise ConflictError(
            f"execution {request.execution_id!r} cannot be repeated: {describe_end(run)}", hint="repeat it over there"
        )
    return run, list_tasks(connection, request.execution_id)


def prepare_rerun(
    workflow: WorkflowConfig,
    definition: dict[str, Any],
    source: Execution,
    tasks: Sequence[TaskState],
    request: RerunRequest,
) -> NewExecution:
    """Return the run that repeats `source`, whose tasks are `tasks`, as `workflow` is written now.

    Raises:
        NotFoundError: there is no such task to begin with.
        SchemaMismatchError: the input does not match the workflow's schema.
    """
    steps = plan_of(workflow.tasks, ("tasks",)).tasks
    begin = request.from_task
    if begin is not None and begin not in steps:
        raise _no_beginning(workflow, list(steps), tasks, begin)
    if begin is None and request.given is None and source.status is not Status.SUCCESS:
        begin = _failed_task(source, tasks)
    top = [task for task in tasks if task.parent_state_id is None]
    kept = {} if begin is None else _before(top, begin)
    return prepare_run(
        workflow,
        definition,
        source.input if request.given is None else request.given,
        execution_id=request.new_id,
        rerun_of=source.workflow_exec_id,
        kept={task.task_id: _result(task, tasks).to_json() for task in kept.values()} or None,
        trigger=request.trigger,
        labels=source.labels if request.labels is None else request.labels,
        traceparent=request.traceparent,
    )


def _no_beginning(
    workflow: WorkflowConfig, known: Sequence[str], tasks: Sequence[TaskState], begin: str
) -> NotFoundError:
    """Return why a rerun cannot begin with `begin`, and with what it can."""
    inside = next((task.path for task in tasks if begin in {task.path, task.task_id}), begin)
    # A further attempt of a container has a number behind its id.
    container = inside.partition("/")[0].partition("@")[0]
    if "/" in inside and container in known:
        return NotFoundError(
            f"a rerun cannot begin with {begin!r}: it is inside of {container!r}, which is done again as a whole",
            hint=f"begin with the container: --from {container}",
            http_hint=f'begin with the container: `"from": "{container}"` in the body',
        )
    hint = suggest(begin, known) or f"the tasks are {', '.join(known)}"
    return NotFoundError(f"workflow {workflow.id!r} has no task {begin!r}", hint=hint)


def prepare_ingestion_again(source: Execution, request: RerunRequest) -> NewExecution:
    """Return the run that takes in again what `source`, an ingestion, took in.

    Raises:
        UsageError: a task to begin with or an input is given, of which an ingestion has neither.
    """
    if request.from_task is not None:
        raise UsageError(
            "an ingestion has no task to begin with",
            hint="leave out `--from`: documents that are unchanged cost nothing",
            http_hint="leave out `from`: documents that are unchanged cost nothing",
        )
    if request.given is not None:
        raise UsageError(
            "an ingestion is repeated as it was asked for",
            hint="leave out `--input`; `compozy knowledge ingest PATH` takes something else in",
            http_hint="leave out `input`; POST /api/v0/knowledge-bases/ID/ingest ingests something else",
        )
    new = repeat_ingestion(source, new_id=request.new_id)
    labels = source.labels if request.labels is None else check_labels(request.labels)
    return replace(new, trigger=request.trigger, labels=labels, traceparent=request.traceparent)


def _failed_task(source: Execution, tasks: Sequence[TaskState]) -> str | None:
    details: dict[str, Any] = (source.error or {}).get("details") or {}
    if "task" in details:
        return str(details["task"])
    open_ones = [task.task_id for task in tasks if task.parent_state_id is None and task.status is not Status.SUCCESS]
    return open_ones[0] if open_ones else None


def _before(top: Sequence[TaskState], begin: str) -> dict[str, TaskState]:
    """Return the tasks that came before `begin`; all of them when it did not run."""
    kept: dict[str, TaskState] = {}
    for task in top:
        if task.task_id == begin:
            break
        if task.status in {Status.SUCCESS, Status.FAILED, Status.TIMED_OUT}:
            kept[task.task_id] = task
    return kept


def _result(task: TaskState, tasks: Sequence[TaskState]) -> TaskResult:
    below = [other for other in tasks if other.parent_state_id == task.task_exec_id]
    children: Mapping[str, TaskResult] = {other.task_id: _result(other, tasks) for other in below}
    end = TaskEnd(
        status=task.status, attempts=task.attempts, input=task.input, output=task.output, error=task.error, usage=None
    )
    return TaskResult(id=task.task_id, kind=task.execution_type, end=end, children=children)
