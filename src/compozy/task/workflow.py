"""`type: workflow`: another workflow as a task of the run. It sees its own input and tasks, not those around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from compozy.errors import ChildrenFailedError
from compozy.schema.worker import compute
from compozy.task.fit import fit
from compozy.task.kinds.workflow import WorkflowTask
from compozy.task.next import Plan, PlannedTask, plan_of
from compozy.task.options import RunOptions
from compozy.task.registry import read_tasks
from compozy.task.replay import recall_existing
from compozy.task.sequence import Sequence
from compozy.task.template_context import TemplateContext, render_value
from compozy.task.tree import EndHook, Outcome, Recall, Runner, RunTask, TaskCall, TaskResult, words_of_error


async def run_workflow(call: TaskCall, task: WorkflowTask, run_task: RunTask) -> Outcome:
    """Run the tasks of the workflow, and return its output."""
    context = await _context(call, task)

    def make(
        planned: PlannedTask, given: Mapping[str, Any] | None, context: TemplateContext, done: Mapping[str, TaskResult]
    ) -> TaskCall:
        return _child(call, task, planned, given, context, done)

    sequence = Sequence(
        plan=_plan(call, task), context=context, make=make, run_task=run_task, at_end=lambda _: EndHook()
    )
    end = await sequence.run(started=False)
    if end.error is not None:
        error = ChildrenFailedError(
            f"workflow {task.workflow.get('id')!r}: its task {end.failed!r} failed: {words_of_error(end.error)}",
            details={"failed": [end.failed], "first": end.error},
        )
        return Outcome(status=end.status, error=error.to_json(), children=end.results)
    return Outcome(output=await compute(partial(_output, call, task, context, end.results)), children=end.results)


async def _context(call: TaskCall, task: WorkflowTask) -> TemplateContext:
    """Return what the templates of the workflow see.

    Raises:
        SchemaMismatchError: the input does not match.
        TemplateError: its `env` cannot be rendered.
    """
    document, given = task.workflow, call.shown.get("with", {})
    schema: dict[str, Any] | None = document.get("input") or _config(task).get("input")
    if schema is not None:
        what = f"the input of workflow {document.get('id')!r} in task {call.id!r}"
        given = call.shown["with"] = await fit(schema, given, what)
    about = {"id": document.get("id"), "exec_id": call.run.execution_id, "input": given, "status": "RUNNING"}
    context = TemplateContext(workflow=about, project=call.context.project, input=given, locate=call.context.locate)
    env = await compute(partial(render_value, document.get("env") or {}, call.at("workflow", "env"), context))
    return context.with_env(env)


def _output(call: TaskCall, task: WorkflowTask, context: TemplateContext, results: Mapping[str, TaskResult]) -> Any:
    for key in ("output", "outputs"):
        if task.workflow.get(key) is not None:
            return render_value(task.workflow[key], call.at("workflow", key), context)
    return {task_id: result.end.output for task_id, result in results.items()}


def _options(task: WorkflowTask) -> RunOptions:
    return RunOptions.model_validate({key: value for key, value in _config(task).items() if key != "input"})


def _config(task: WorkflowTask) -> dict[str, Any]:
    return task.workflow.get("config") or {}


def _plan(call: TaskCall, task: WorkflowTask) -> Plan:
    tasks = read_tasks(task.workflow["tasks"])
    return plan_of(tasks, call.at("workflow", "tasks"), on_error=_options(task).on_error)


def _child(
    call: TaskCall,
    task: WorkflowTask,
    planned: PlannedTask,
    given: Mapping[str, Any] | None,
    context: TemplateContext,
    done: Mapping[str, TaskResult],
) -> TaskCall:
    """Return a task of the workflow, ready to run."""
    requests = sum(usage["requests"] for result in done.values() for usage in result.usages())
    child = call.child(planned.task, planned.yaml_path, context, number=requests)
    return replace(child, given=given, run=replace(call.run, options=_options(task)))


async def _replay(call: TaskCall, task: WorkflowTask, recall: Recall) -> dict[str, TaskResult]:
    context = await _context(call, task)
    return await recall_existing(
        [_child(call, task, planned, None, context, {}) for planned in _plan(call, task).tasks.values()], recall
    )


RUNNER = Runner(run=run_workflow, replay=_replay)
