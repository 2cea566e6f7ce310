"""How a run begins: its input is checked, and it is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from compozy.clock import now_ms
from compozy.database.admission import Admission
from compozy.database.executions import Execution, NewExecution, check_execution_id
from compozy.database.trigger import Trigger, check_labels
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.records import Also
from compozy.durable.runtime import Runtime
from compozy.errors import ConflictError, SchemaMismatchError, UsageError
from compozy.ids import new_execution_id
from compozy.schema.validate import apply_defaults, validate_value
from compozy.task.template_context import TemplateContext
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.limits import admission_of
from compozy.workflow.places import locate_from


def prepare_run(
    workflow: WorkflowConfig,
    definition: dict[str, Any],
    given: Any,
    *,
    execution_id: str | None = None,
    timeout_s: float | None = None,
    rerun_of: str | None = None,
    kept: dict[str, dict[str, Any]] | None = None,
    trigger: Trigger | None = None,
    labels: Mapping[str, str] | None = None,
    traceparent: str | None = None,
) -> NewExecution:
    """Return the run to be accepted.

    Args:
        workflow: what shall run.
        definition: the same, in the form in which the run keeps it.
        given: the input, None for none.
        execution_id: chosen by the caller, so that asking twice runs once; None makes a new one.
        timeout_s: time from now until the run is ended as TIMED_OUT.
        rerun_of: the run that it repeats.
        kept: results of that run that are kept, by the ids of its tasks.
        trigger: what starts it, and who.
        labels: names and values by which lists of executions are filtered.
        traceparent: the W3C trace context of the request that starts it.

    Raises:
        UsageError: the ID, the input, a label or the key of the limit is invalid.
        SchemaMismatchError: the input does not match the workflow's schema.
        TemplateError: the template of that key failed.
    """
    new_id = new_execution_id() if execution_id is None else check_execution_id(execution_id)
    value = check_input(workflow, given)
    return NewExecution(
        workflow_exec_id=new_id,
        workflow_id=workflow.id,
        input=value,
        definition=definition,
        journal_format=JOURNAL_FORMAT,
        deadline_ms=None if timeout_s is None else now_ms() + int(timeout_s * 1000),
        rerun_of=rerun_of,
        kept=kept,
        trigger=trigger,
        labels=check_labels(labels or {}),
        traceparent=traceparent,
        queue=workflow.queue,
        priority=workflow.priority,
        admission=_admission(workflow, definition, value),
    )


def _admission(workflow: WorkflowConfig, definition: dict[str, Any], value: Any) -> Admission | None:
    context = TemplateContext(
        workflow={"id": workflow.id, "input": value}, project={}, input=value, locate=locate_from(definition)
    )
    return admission_of(context, workflow.concurrency, workflow.rate)


async def start_run(
    runtime: Runtime,
    workflow: WorkflowConfig,
    new: NewExecution,
    *,
    also: Also | None = None,
) -> bool:
    """Accept `new`; False when a run of this id exists already, which is left as it is.

    `also` stores what belongs to the new run, in the same transaction.
    """
    first = workflow.tasks[0]
    return await runtime.submit(new, first.id, kind=first.type, also=also)


def check_same_run(known: Execution, new: NewExecution, *, has_input: bool) -> None:
    """Refuse `new`, whose id is that of `known`, unless it asks for the same run.

    Args:
        known: the run of this id.
        new: what was asked for.
        has_input: whether an input was given; without one, any run of the workflow will do.

    Raises:
        ConflictError: it is a run of another workflow, or began with another input.
    """
    if known.workflow_id != new.workflow_id:
        raise ConflictError(
            f"execution {new.workflow_exec_id!r} is a run of workflow {known.workflow_id!r}",
            hint="choose another --id",
            http_hint="choose another `execution_id`",
        )
    if known.rerun_of != new.rerun_of:
        what = f"repeats {known.rerun_of!r}" if known.rerun_of else "repeats no other run"
        raise ConflictError(
            f"execution {new.workflow_exec_id!r} is there already, and {what}",
            hint="choose another --id",
            http_hint="choose another `execution_id`",
        )
    if has_input and known.input != new.input:
        raise ConflictError(
            f"execution {new.workflow_exec_id!r} began with another input",
            hint="leave out --input to see that run, or choose another --id",
            http_hint="leave out `input` to see that run, or choose another `execution_id`",
        )


def check_input(workflow: WorkflowConfig, given: Any) -> Any:
    """Return the input with the defaults of the workflow's schema filled in.

    Raises:
        SchemaMismatchError: it does not match the schema.
        UsageError: there is no schema, and it is not an object.
    """
    schema = workflow.input_schema
    value: Any = {} if given is None else given
    if schema is None:
        if not isinstance(value, dict):
            raise UsageError(f"the input of a workflow is a JSON object, got {value!r:.80}")
        return cast("dict[str, Any]", value)
    value = apply_defaults(schema, value)
    problems = validate_value(schema, value)
    if problems:
        lines = "".join(f"\n  {path or 'input'}: {message}" for path, message in problems)
        raise SchemaMismatchError(
            f"the input does not match the schema of workflow {workflow.id!r}:{lines}",
            hint="pass it with --input='{...}', --input=@file.json or --input=-",
            http_hint="send it as `input` in the body",
            details={"problems": [{"path": path, "message": message} for path, message in problems]},
        )
    return value
