"""Starts the runs of events: of every workflow with a trigger of the event's name, once for each event ID."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.executions import NewExecution
from compozy.database.signals import Signal, list_waiting, send_signal
from compozy.database.trigger import Trigger, TriggerType
from compozy.durable.records import accept
from compozy.errors import ConflictError, SchemaMismatchError
from compozy.project.definition import snapshot
from compozy.project.loaded import LoadedProject
from compozy.schema import apply_defaults, validate_value
from compozy.schema.worker import validate_in_worker
from compozy.trigger.kinds.signal import SignalTrigger
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.start import prepare_run

_LONGEST_ID = 80


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event: its name, its payload, and an ID under which it counts once.

    `wakes` is whether waiting runs get it as a signal, too. `by` is who sent it, and
    `traceparent` the W3C trace context of their request.
    """

    name: str
    event_id: str
    payload: Any = None
    wakes: bool = False
    by: str | None = None
    traceparent: str | None = None


class EventSender:
    """Starts the runs of events of one project; `wake` is called after runs were stored."""

    def __init__(self, project: LoadedProject, database: Database, wake: Callable[[], None]) -> None:
        self._project = project
        self._database = database
        self._wake = wake

    async def send(self, event: Event) -> dict[str, Any]:
        """Start every workflow that waits for the event, in one transaction, and return their runs.

        Raises:
            SchemaMismatchError: the payload does not match the schema of a trigger or a workflow; nothing is started.
        """
        prepared = await validate_in_worker(lambda: list(self._prepare(event)))

        def store(connection: sa.Connection) -> dict[str, Any]:
            started = [_accept(connection, workflow, new) for workflow, new in prepared]
            woken = list(_wake_waiting(connection, event)) if event.wakes else []
            return {"event_id": event.event_id, "name": event.name, "started": started, "woken": woken}

        sent = await self._database.write_async(store)
        if sent["started"] or sent["woken"]:
            self._wake()
        return sent

    async def start(self, name: str, payload: Any, *, event_id: str, sent_by: str) -> list[str]:
        """Start the workflows that wait for an event which a task sends, and return the IDs of their runs.

        Raises:
            SchemaMismatchError: the payload does not match.
        """
        sent = await self.send(Event(name=name, event_id=event_id, payload=payload, by=sent_by))
        return [run["execution_id"] for run in sent["started"]]

    def has_workflows(self, name: str) -> bool:
        """Return whether an event of this name starts a workflow."""
        return any(True for _ in self._subscribed(name))

    def _prepare(self, event: Event) -> Iterator[tuple[WorkflowConfig, NewExecution]]:
        for workflow, trigger in self._subscribed(event.name):
            yield (
                workflow,
                prepare_run(
                    workflow,
                    snapshot(self._project, workflow.id),
                    _fit_payload(workflow, trigger, event.payload),
                    execution_id=run_id_of(workflow.id, event),
                    trigger=Trigger(type=TriggerType.EVENT, id=event.name, by=event.by),
                    traceparent=event.traceparent,
                ),
            )

    def _subscribed(self, name: str) -> Iterator[tuple[WorkflowConfig, SignalTrigger]]:
        for workflow in self._project.workflows.values():
            for trigger in workflow.config.triggers or ():
                if isinstance(trigger, SignalTrigger) and trigger.name == name:
                    yield workflow.config, trigger
                    break


def run_id_of(workflow_id: str, event: Event) -> str:
    """Return the ID of the one run of a workflow that an event starts."""
    text = json.dumps([workflow_id, event.name, event.event_id])
    return f"event-{workflow_id[:_LONGEST_ID]}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _fit_payload(workflow: WorkflowConfig, trigger: SignalTrigger, payload: Any) -> Any:
    """Return the payload with the defaults of the trigger's schema.

    Raises:
        SchemaMismatchError: it does not match.
    """
    value: Any = {} if payload is None else payload
    if trigger.schema_ is None:
        return value
    value = apply_defaults(trigger.schema_, value)
    problems = validate_value(trigger.schema_, value)
    if problems:
        lines = "".join(f"\n  {path or 'payload'}: {message}" for path, message in problems)
        raise SchemaMismatchError(
            f"the payload does not match the schema of event {trigger.name!r} in workflow {workflow.id!r}:{lines}",
            details={"problems": [{"path": path, "message": message} for path, message in problems]},
        )
    return value


def _accept(connection: sa.Connection, workflow: WorkflowConfig, new: NewExecution) -> dict[str, Any]:
    first = workflow.tasks[0]
    is_new = accept(connection, new, first_task=first.id, kind=first.type, owner=None)
    return {"workflow_id": workflow.id, "execution_id": new.workflow_exec_id, "is_new": is_new}


def _wake_waiting(connection: sa.Connection, event: Event) -> Iterator[str]:
    """Send the event as a signal to the runs that wait for it; yield those that got it."""
    for run_id in list_waiting(connection, event.name):
        signal = Signal(
            signal_id=f"event:{event.event_id}>{run_id}",
            workflow_exec_id=run_id,
            name=event.name,
            payload=event.payload,
            by=event.by,
        )
        try:
            send_signal(connection, signal)
        except ConflictError:
            # It ended meanwhile.
            continue
        yield run_id
