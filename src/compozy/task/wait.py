"""`type: wait`: waits for a signal, or for a person who fills in a form."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from compozy.clock import format_time
from compozy.database.approvers import find_approver_problem
from compozy.database.signals import has_signal, take_signal
from compozy.database.status import Status
from compozy.database.tasks import note_declined, note_refused, wait_in_task
from compozy.durable.context import current_run
from compozy.durable.step import transact, write
from compozy.errors import ChildrenFailedError
from compozy.schema import apply_defaults, validate_value
from compozy.schema.worker import compute, validate_in_worker
from compozy.task.decide import decide
from compozy.task.kind import Task
from compozy.task.kinds.wait import WaitTask
from compozy.task.replay import recall_existing
from compozy.task.template_context import render_text
from compozy.task.tree import (
    Outcome,
    Recall,
    Runner,
    RunTask,
    TaskCall,
    TaskResult,
    end_step,
    nothing_after,
    words_of_error,
)

Problems = list[tuple[str, str]]
_log = structlog.get_logger(__name__)


async def run_wait(call: TaskCall, task: WaitTask, run_task: RunTask) -> Outcome:
    """Wait for a signal that its condition accepts; each one comes once, the oldest first, also when sent before."""
    wait_for = (*call.yaml_path, "wait_for")
    name = (await compute(partial(render_text, task.wait_for, wait_for, call.context))).strip()
    call.shown["wait_for"] = name
    asked: dict[str, Any] = {"wait_status": "waiting", "signal_name": name, "has_processor": task.processor is not None}
    if task.form is not None:
        asked |= {"form": task.form, "declined": 0, **({"approver": task.approver} if task.approver else {})}
    await transact(
        f"{call.base}.wait",
        lambda connection: wait_in_task(connection, call.key, waits_for=name, output=asked),
    )
    call.run.report.task_waits(call.run.execution_id, call.path, None if task.form is not None else name)
    children: dict[str, TaskResult] = {}
    declined = 0
    while True:
        signal, problems = await _receive(call, name, task)
        if problems:
            continue
        processed = await _process(call, task, signal, len(children), run_task)
        children.update({} if processed is None else {processed.id: processed})
        if processed is not None and processed.end.status is not Status.SUCCESS:
            return Outcome(status=Status.FAILED, error=_refusal(processed), children=children)
        processor = {} if processed is None else {"output": processed.end.output}
        if await compute(partial(_is_accepted, call, task, signal, processor)):
            roots = {"signal": signal, "processor": processor}
            return Outcome(output=_output(signal, processor), children=children, roots=roots)
        declined += 1
        if task.form is not None:
            # Distinguishes the next answer from a second answer to the same question.
            await write(partial(note_declined, task_exec_id=call.key, declined=declined))


def processor_child(call: TaskCall, processor: Task, signal: Mapping[str, Any], number: int) -> TaskCall:
    """Return the processor of a wait, ready to run for the signal with this `number`, from 0."""
    context = call.context.nested(signal=signal, parent=call.as_parent())
    yaml_path = (*call.yaml_path, "processor")
    return call.child(processor, yaml_path, context, number=number, child_id=f"{processor.id}-{number}")


async def _receive(call: TaskCall, name: str, task: WaitTask) -> tuple[dict[str, Any], Problems]:
    """Return the next signal of this name, once it is there, and what of it does not match the form."""
    step = f"{call.base}.signal"
    run, database = current_run(), call.run.database
    there = partial(has_signal, workflow_exec_id=run.run_id, name=name)
    while True:
        while not run.is_recorded(step) and not await database.read_async(there):
            await run.wait(signal=name)
        is_new = not run.is_recorded(step)
        found = await transact(step, partial(_take, run_id=run.run_id, name=name, taken_by=call.key, task=task))
        if found is None:
            continue
        signal, problems = await validate_in_worker(partial(_read, found, task.form))
        if problems and is_new:
            # The sender may not know: it came before the wait, or from a task of another run.
            about = {"execution_id": run.run_id, "task": call.path, "signal": name, "sent_by": found["sent_by"]}
            _log.warning(
                "a signal does not match the form of its task and is dropped", **about, problems=_told(problems)
            )
        return signal, problems


def _take(connection: sa.Connection, run_id: str, name: str, taken_by: str, task: WaitTask) -> dict[str, Any] | None:
    found = take_signal(connection, run_id, name, taken_by=taken_by)
    if found is None:
        return None
    if task.approver is not None:
        # Part of what is recorded: a replay does not ask again who started the run.
        found["approver_problem"] = find_approver_problem(connection, run_id, found["sender"])
    signal, problems = _read(found, task.form)
    if problems:
        about = {"id": found["signal_id"], "sent_by": found["sent_by"], "payload": signal["payload"]}
        received_at = signal["metadata"]["received_at_utc"]
        note_refused(connection, taken_by, {**about, "received_at_utc": received_at, "problems": _told(problems)})
    return found


def _read(found: Mapping[str, Any], form: dict[str, Any] | None) -> tuple[dict[str, Any], Problems]:
    signal = _envelope(found)
    problem: str | None = found.get("approver_problem")
    if problem is not None:
        return signal, [("", f"`approver: not_starter` does not permit it: {problem}")]
    if form is None:
        return signal, []
    signal["payload"] = apply_defaults(form, signal["payload"])
    return signal, validate_value(form, signal["payload"])


def _told(problems: Problems) -> list[dict[str, str]]:
    return [{"path": path, "message": message} for path, message in problems]


async def _process(
    call: TaskCall, task: WaitTask, signal: Mapping[str, Any], number: int, run_task: RunTask
) -> TaskResult | None:
    if task.processor is None:
        return None
    child = processor_child(call, task.processor, signal, number)
    return await run_task(child, started=False, on_end=nothing_after)


def _is_accepted(call: TaskCall, task: WaitTask, signal: Mapping[str, Any], processor: Mapping[str, Any]) -> bool:
    if task.condition is None:
        return True
    context = call.context.with_roots(signal=signal, processor=processor)
    return decide(task.condition, (*call.yaml_path, "condition"), context)


def _envelope(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "payload": {} if found["payload"] is None else found["payload"],
        "metadata": {
            "signal_id": found["name"],
            "id": found["signal_id"],
            "sent_by": found["sent_by"],
            "by": found.get("sender"),
            "received_at_utc": format_time(found["created_ms"]),
        },
    }


def _output(signal: Mapping[str, Any], processor: Mapping[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"wait_status": "completed", "signal": dict(signal), "payload": signal["payload"]}
    return {**done, "processor_output": processor["output"]} if processor else done


def _refusal(processed: TaskResult) -> dict[str, Any]:
    error = processed.end.error or {}
    return ChildrenFailedError(
        f"its processor {processed.id!r} failed: {words_of_error(error)}",
        details={"failed": [processed.id], "first": error},
    ).to_json()


async def _replay(call: TaskCall, task: WaitTask, recall: Recall) -> dict[str, TaskResult]:
    return await recall_existing(_processed(call, task), recall)


def _processed(call: TaskCall, task: WaitTask) -> Iterator[TaskCall]:
    """Yield the runs of the processor, one for each signal that was taken."""
    if task.processor is None:
        return
    for number in itertools.count():
        child = processor_child(call, task.processor, {}, number)
        if not current_run().is_recorded(end_step(child.path)):
            return
        yield child


RUNNER = Runner(run=run_wait, replay=_replay, late_output={"wait_status": "timed_out"})
