"""`type: signal`: a signal to runs that wait for it."""

from __future__ import annotations

from functools import partial
from typing import Any

from compozy.config.nodes import YamlPath
from compozy.database.executions import check_execution_id
from compozy.database.signals import Signal, list_waiting, send_signal
from compozy.durable.context import current_run
from compozy.durable.step import step
from compozy.errors import ConflictError
from compozy.schema.worker import compute
from compozy.task.kinds.signal import SignalTask
from compozy.task.template_context import TemplateContext, render_text, render_value
from compozy.task.tree import Outcome, Runner, RunTask, TaskCall


async def run_signal(call: TaskCall, task: SignalTask, _: RunTask) -> Outcome:
    """Send the signal: to one run, or to all that wait for it at this moment, and to its own.

    The own run gets it in any case: a task of it may begin to wait a moment later.
    """
    yaml_path = (*call.yaml_path, "signal")
    name, payload, to = await compute(partial(_render, task, yaml_path, call.context))
    call.shown.update({"signal": name, "payload": payload})

    async def send() -> Any:
        return await _send(call, name, payload, to)

    reached = await step(f"{call.base}.send", send)
    output: dict[str, Any] = {"signal_dispatched": True, "signal_id": name, "delivered_to": reached}
    if to is None and (started := await _start(call, name, payload)):
        output["started"] = started
    return Outcome(output=output)


def _render(task: SignalTask, path: YamlPath, context: TemplateContext) -> tuple[str, Any, str | None]:
    """Return the name, the payload and the receiver of the signal; None if it is sent to all that wait for it."""
    name = render_text(task.signal.id, (*path, "id"), context)
    payload = render_value(task.signal.payload, (*path, "payload"), context)
    if task.signal.execution is None:
        return name, payload, None
    return name, payload, check_execution_id(render_text(task.signal.execution, (*path, "execution"), context).strip())


async def _send(call: TaskCall, name: str, payload: Any, to: str | None) -> list[str]:
    """Send it and return the runs that got it; sent again after a crash, it comes to each of them once."""
    database, own = call.run.database, call.run.execution_id
    if to is not None:
        await database.write_async(partial(send_signal, signal=_signal(call, name, payload, to)))
        return [to]
    reached: list[str] = []
    for run_id in {own: None, **dict.fromkeys(await database.read_async(partial(list_waiting, name=name)))}:
        try:
            await database.write_async(partial(send_signal, signal=_signal(call, name, payload, run_id)))
        except ConflictError:
            # It ended meanwhile, and waits no more.
            continue
        reached.append(run_id)
    return reached


async def _start(call: TaskCall, name: str, payload: Any) -> list[str]:
    """Start the workflows that wait for the signal as an event, and return their runs."""
    workflows, step_name = call.run.start_by_event, f"{call.base}.start"
    is_recorded = current_run().is_recorded(step_name)
    if workflows is None or not (is_recorded or workflows.has_workflows(name)):
        return []

    async def send() -> Any:
        event_id = f"{call.run.execution_id}/{call.base}"
        return await workflows.start(name, payload, event_id=event_id, sent_by=call.run.execution_id)

    return await step(step_name, send)


def _signal(call: TaskCall, name: str, payload: Any, run_id: str) -> Signal:
    # The id is that of the task and the run it goes to, so that a repetition is recognized.
    signal_id = f"{call.run.execution_id}/{call.base}>{run_id}"
    return Signal(
        signal_id=signal_id,
        workflow_exec_id=run_id,
        name=name,
        payload=payload,
        sent_by=call.run.execution_id,
    )


RUNNER = Runner(run=run_signal)
