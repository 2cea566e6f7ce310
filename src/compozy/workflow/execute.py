"""A run, from its first task to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from structlog.contextvars import bound_contextvars

from compozy.agent.budget import Amounts, BudgetConfig
from compozy.database.database import Database
from compozy.database.executions import Execution, get_execution
from compozy.database.status import Status
from compozy.database.tasks import end_open_tasks, finish_task
from compozy.database.usage import sum_usage
from compozy.durable.context import current_run, time_limit
from compozy.durable.records import finish_run
from compozy.durable.step import transact
from compozy.errors import CompozyError, RunTimeoutError
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.model.catalog import ModelCatalog
from compozy.schema.worker import compute
from compozy.task.budget import Ledger, Scope
from compozy.task.execute import recall, run_task
from compozy.task.next import PlannedTask, plan_of
from compozy.task.options import RunOptions
from compozy.task.report import Report
from compozy.task.sequence import Sequence, SequenceEnd
from compozy.task.template_context import TemplateContext, render_value
from compozy.task.tree import EndHook, OnEnd, RunState, StartByEvent, TaskCall, TaskResult, end_step
from compozy.telemetry import genai
from compozy.telemetry.traces import EXECUTION_ID, WORKFLOW_ID, current_trace_id, run_span
from compozy.tool.kind import ToolHome
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.output import render_output
from compozy.workflow.places import locate_from


@dataclass(frozen=True, kw_only=True)
class WorkflowExecutor:
    """Executes runs of any workflow by the definition that each began with."""

    database: Database
    catalog: ModelCatalog
    project: str
    report: Report
    knowledge: KnowledgeCatalog | None = None
    tools: ToolHome | None = None
    start_by_event: StartByEvent | None = None
    # The limits of all runs of a day, by the files of the project; and the amounts of requests in flight.
    day_budget: BudgetConfig | None = None
    in_flight: dict[object, tuple[str, str, Amounts]] = field(default_factory=dict[object, tuple[str, str, Amounts]])
    # Runs of other kinds than workflows, by what their definition says that they are.
    kinds: Mapping[str, Callable[[Execution], Awaitable[None]]] = field(
        default_factory=dict[str, Callable[[Execution], Awaitable[None]]]
    )

    async def execute(self, execution_id: str) -> None:
        """Run one execution to its end, or resume it; recorded steps are not repeated.

        Raises:
            RunTimeoutError: its deadline passed; nothing more is recorded.
            RunSuspendedError: it comes to a halt, and goes on later.
            DatabaseError: the run cannot go on here.
        """
        run = current_run().run or await self.database.read_async(partial(get_execution, workflow_exec_id=execution_id))
        try:
            with _observed(run):
                async with time_limit(run.deadline_ms):
                    await self.kinds.get(run.definition.get("kind", ""), self._run_tasks)(run)
        except TimeoutError as error:
            raise RunTimeoutError("it was not finished within its time limit") from error

    async def _run_tasks(self, run: Execution) -> None:
        workflow = WorkflowConfig.model_validate(run.definition["workflow"])
        options = workflow.config or RunOptions()
        context = await compute(partial(self._context, run, workflow))
        state = RunState(
            execution_id=run.workflow_exec_id,
            workflow_id=run.workflow_id,
            database=self.database,
            catalog=self.catalog,
            knowledge=self.knowledge,
            tools=self.tools,
            start_by_event=self.start_by_event,
            report=self.report,
            options=options,
            ledger=Ledger(
                database=self.database,
                execution_id=run.workflow_exec_id,
                workflow_id=run.workflow_id,
                in_flight=self.in_flight,
                report=self.report,
            ),
        )
        budgets = self._budgets(workflow)
        sequence = Sequence(
            plan=plan_of(workflow.tasks, ("tasks",), on_error=options.on_error),
            context=context,
            make=partial(_make, state, budgets),
            run_task=_Keeper(kept=run.kept or {}).run_task,
            at_end=lambda end: EndHook(
                write=partial(_finish, run.workflow_exec_id, _run_end(workflow, context, end), bool(budgets))
            ),
        )
        # Its first task was stored with the run.
        await sequence.run(started=True)

    def _budgets(self, workflow: WorkflowConfig) -> tuple[Scope, ...]:
        day = () if self.day_budget is None else (Scope(limits=self.day_budget, per_day=True),)
        return day if workflow.budget is None else (*day, Scope(limits=workflow.budget))

    def _context(self, run: Execution, workflow: WorkflowConfig) -> TemplateContext:
        context = TemplateContext(
            workflow={"id": run.workflow_id, "exec_id": run.workflow_exec_id, "input": run.input, "status": "RUNNING"},
            project={"id": self.project, "name": self.project},
            input=run.input,
            locate=locate_from(run.definition),
        )
        return context.with_env(render_value(workflow.env or {}, ("env",), context))


@contextmanager
def _observed(run: Execution) -> Generator[None, None, None]:
    """Record the span of a run, and add its IDs to the log lines of everything inside."""
    about = {genai.OPERATION: genai.INVOKE_WORKFLOW, genai.AGENT_NAME: run.workflow_id, WORKFLOW_ID: run.workflow_id}
    with run_span(
        f"{genai.INVOKE_WORKFLOW} {run.workflow_id}",
        {**about, EXECUTION_ID: run.workflow_exec_id},
        execution_id=run.workflow_exec_id,
        parent=run.traceparent,
        is_resumed=current_run().is_resumed,
    ):
        shown = {"execution_id": run.workflow_exec_id, "trace_id": current_trace_id(), "user": run.started_by}
        with bound_contextvars(**{name: value for name, value in shown.items() if value is not None}):
            yield


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How a run ended."""

    status: Status
    output: Any = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class _Keeper:
    """Runs the tasks of a run that repeats another one: results of that one which are kept are not done again."""

    kept: Mapping[str, Mapping[str, Any]]

    async def run_task(self, call: TaskCall, *, started: bool, on_end: OnEnd) -> TaskResult:
        """Run a task, or store the result that is kept of it."""
        if call.id not in self.kept:
            return await run_task(call, started=started, on_end=on_end)
        result = TaskResult.restore(call.id, self.kept[call.id])
        if current_run().is_recorded(end_step(call.path)):
            return replace(result, recorded=(await recall(call)).recorded)
        after = await compute(partial(on_end, result))

        def record(connection: sa.Connection) -> dict[str, Any]:
            # Nothing was tried and nothing paid for in this run.
            end = replace(result.end, attempts=0, usage=None)
            finish_task(connection, call.key, end)
            after.write(connection)
            return {**asdict(end), **after.record}

        stored = await transact(end_step(call.path), record)
        call.run.report.task_ended(call.run.execution_id, call.path, result.end, replayed=True, seconds=0.0)
        return replace(result, recorded=stored)


def _make(
    state: RunState,
    budgets: tuple[Scope, ...],
    planned: PlannedTask,
    given: Mapping[str, Any] | None,
    context: TemplateContext,
    done: Mapping[str, TaskResult],
) -> TaskCall:
    requests = sum(usage["requests"] for result in done.values() for usage in result.usages())
    return TaskCall(
        run=state,
        task=planned.task,
        path=planned.task.id,
        yaml_path=planned.yaml_path,
        context=context,
        given=given,
        first_request=requests,
        budgets=budgets,
    )


def _finish(execution_id: str, end: RunEnd, has_budgets: bool, connection: sa.Connection) -> None:
    if has_budgets:
        # A question of a task that was not needed any more.
        end_open_tasks(connection, execution_id, Status.CANCELED)
    usage = sum_usage(connection, execution_id)
    finish_run(connection, execution_id, end.status, output=end.output, error=end.error, usage=usage)


def _run_end(workflow: WorkflowConfig, context: TemplateContext, end: SequenceEnd) -> RunEnd:
    if end.error is not None:
        details = {**end.error.get("details", {}), "task": end.failed}
        return RunEnd(status=Status.FAILED, error={**end.error, "details": details})
    try:
        return RunEnd(status=Status.SUCCESS, output=render_output(workflow, context, end.results))
    except CompozyError as error:
        return RunEnd(status=Status.FAILED, error=error.to_json())
