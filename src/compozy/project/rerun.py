"""Reruns of workflows, as the project defines them now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from compozy.database.database import Database
from compozy.database.executions import Execution, NewExecution
from compozy.database.tasks import TaskState
from compozy.errors import ConflictError
from compozy.knowledge.run import is_ingestion
from compozy.project.definition import snapshot
from compozy.project.loaded import LoadedProject
from compozy.schema.worker import validate_in_worker
from compozy.workflow.rerun import RerunRequest, prepare_rerun, read_source


async def rerun_of(
    project: LoadedProject, source: Execution, tasks: Sequence[TaskState], request: RerunRequest
) -> NewExecution:
    """Return the run that repeats `source`, whose tasks are `tasks`.

    Raises:
        NotFoundError: the project has no such workflow, or the workflow no such task.
        SchemaMismatchError: the input does not match the workflow's schema.
    """
    workflow = project.workflow(source.workflow_id).config
    definition = snapshot(project, source.workflow_id)
    return await validate_in_worker(partial(prepare_rerun, workflow, definition, source, tasks, request))


async def rerun_for_batch(
    project: LoadedProject, database: Database, request: RerunRequest
) -> tuple[NewExecution, str, str]:
    """Return a rerun with the ID and the kind of its first task.

    Raises:
        ConflictError: the run has not ended, or is not a run of a workflow.
        NotFoundError: the run, its workflow or its task does not exist.
    """
    source, tasks = await database.read_async(partial(read_source, request=request))
    if is_ingestion(source):
        raise ConflictError(f"execution {request.execution_id!r} is an ingestion; repeat it by itself")
    first = project.workflow(source.workflow_id).config.tasks[0]
    return await rerun_of(project, source, tasks, request), first.id, first.type
