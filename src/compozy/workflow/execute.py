"""A run, from its first task to its end: next task, run it, record it, and so on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from compozy.clock import monotonic_s, now_ms
from compozy.database.database import Database
from compozy.database.executions import Execution, finish_execution, get_execution
from compozy.database.status import Status
from compozy.database.tasks import NewTask, TaskEnd, finish_task, insert_task, restore_task_end
from compozy.durable.step import transact
from compozy.errors import CompozyError, RunTimeoutError
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.model.catalog import ModelCatalog
from compozy.task.execute import TaskCall, execute_task
from compozy.task.scope import Scope
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.next import next_index
from compozy.workflow.output import add_usage, render_output
from compozy.workflow.places import locate_from
from compozy.workflow.report import Report


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How a run ended."""

    status: Status
    output: Any = None
    error: dict[str, Any] | None = None
    usage: list[dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class WorkflowExecutor:
    """Executes runs of any workflow by the definition that each began with."""

    database: Database
    catalog: ModelCatalog
    project: str
    report: Report
    knowledge: KnowledgeCatalog | None = None
    # Runs of other kinds than workflows, by what their definition says that they are.
    kinds: Mapping[str, Callable[[Execution], Awaitable[None]]] = field(
        default_factory=dict[str, Callable[[Execution], Awaitable[None]]]
    )

    async def execute(self, execution_id: str) -> None:
        """Run one execution to its end, or go on with it: what is recorded is not done again.

        Raises:
            RunTimeoutError: its deadline passed; nothing more is recorded.
            DatabaseError: the run cannot go on here.
        """
        run = await self.database.read_async(partial(get_execution, workflow_exec_id=execution_id))
        seconds = None if run.deadline_ms is None else max(0.0, (run.deadline_ms - now_ms()) / 1000)
        try:
            async with asyncio.timeout(seconds):
                await self.kinds.get(run.definition.get("kind", ""), self._run_tasks)(run)
        except TimeoutError as error:
            raise RunTimeoutError("it was not finished within its time limit") from error

    async def _run_tasks(self, run: Execution) -> None:
        workflow = WorkflowConfig.model_validate(run.definition["workflow"])
        scope = self._scope(run)
        usages: list[dict[str, Any]] = []
        index: int | None = 0
        position = 0
        while index is not None:
            call = TaskCall(
                task=workflow.tasks[index],
                index=index,
                execution_id=run.workflow_exec_id,
                first_request=sum(usage["requests"] for usage in usages),
                knowledge=self.knowledge,
            )
            end, index = await self._run_task(call, workflow, scope, position, usages)
            usages.extend(end.usage or ())
            position += 1

    async def _run_task(
        self, call: TaskCall, workflow: WorkflowConfig, scope: Scope, position: int, usages: list[dict[str, Any]]
    ) -> tuple[TaskEnd, int | None]:
        """Run one task and record its end together with what follows it, in one transaction."""
        self.report.task_began(call.execution_id, call.task.id, position, len(workflow.tasks))
        began_s = monotonic_s()
        end = await execute_task(call, scope, self.catalog)
        following = next_index(workflow, call.index, end.status)
        recorder = _Recorder(
            call=call,
            workflow=workflow,
            position=position,
            end=end,
            following=following,
            run_end=None if following is not None else _run_end(call.task.id, end, workflow, scope, usages),
        )
        stored = await transact(f"{call.task.id}.end", recorder.record)
        # What was recorded counts, not what this replay came to: templates may read the time of day.
        end = restore_task_end(stored)
        scope.tasks[call.task.id] = _as_templates_see(call.task.id, end)
        self.report.task_ended(
            call.execution_id, call.task.id, end, replayed=not recorder.recorded, seconds=monotonic_s() - began_s
        )
        return end, next_index(workflow, call.index, end.status)

    def _scope(self, run: Execution) -> Scope:
        return Scope(
            workflow={"id": run.workflow_id, "exec_id": run.workflow_exec_id, "input": run.input},
            project={"id": self.project, "name": self.project},
            input=run.input,
            locate=locate_from(run.definition),
        )


@dataclass(kw_only=True)
class _Recorder:
    """Writes the end of a task, and the next task's beginning or the end of the run."""

    call: TaskCall
    workflow: WorkflowConfig
    position: int
    end: TaskEnd
    following: int | None
    run_end: RunEnd | None
    recorded: bool = False

    def record(self, connection: sa.Connection) -> dict[str, Any]:
        """Do so on `connection`, and return the end for the journal."""
        finish_task(connection, self._row(self.position, self.call.task.id).task_exec_id, self.end)
        if self.following is not None:
            task_id = self.workflow.tasks[self.following].id
            insert_task(connection, self._row(self.position + 1, task_id), Status.RUNNING)
        if self.run_end is not None:
            finish_execution(
                connection,
                self.call.execution_id,
                self.run_end.status,
                output=self.run_end.output,
                error=self.run_end.error,
                usage=self.run_end.usage,
            )
        self.recorded = True
        return asdict(self.end)

    def _row(self, position: int, task_id: str) -> NewTask:
        return NewTask(
            workflow_exec_id=self.call.execution_id, workflow_id=self.workflow.id, task_id=task_id, position=position
        )


def _run_end(
    task_id: str, end: TaskEnd, workflow: WorkflowConfig, scope: Scope, usages: list[dict[str, Any]]
) -> RunEnd:
    usage = add_usage([*usages, *(end.usage or ())])
    if end.status is not Status.SUCCESS:
        error = end.error or {}
        details = {**error.get("details", {}), "task": task_id}
        return RunEnd(status=end.status, error={**error, "details": details}, usage=usage)
    scope.tasks[task_id] = _as_templates_see(task_id, end)
    try:
        return RunEnd(status=Status.SUCCESS, output=render_output(workflow, scope), usage=usage)
    except CompozyError as error:
        return RunEnd(status=Status.FAILED, error=error.to_json(), usage=usage)


def _as_templates_see(task_id: str, end: TaskEnd) -> dict[str, Any]:
    return {"id": task_id, "status": end.status.value, "input": end.input, "output": end.output, "error": end.error}
