"""A verified request is taken: its event starts a run, or sends a signal to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from compozy.database.executions import NewExecution
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import ConflictError, MediaTypeError, NotFoundError, SchemaMismatchError, UsageError
from compozy.ids import new_signal_id
from compozy.project.definition import snapshot
from compozy.schema.worker import validate_in_worker
from compozy.server.hooks.events import (
    Delivery,
    challenge_of,
    delivery_id,
    execution_id_of,
    find_event,
    input_of,
    parse_payload,
    text_of,
    visible_headers,
)
from compozy.server.hooks.hook import Hook
from compozy.server.service import Service
from compozy.trigger.kinds.webhook import WebhookEvent
from compozy.trigger.signatures import Received
from compozy.workflow.operate import signal
from compozy.workflow.start import prepare_run, start_run

Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class _Signal:
    """A signal that an event sends."""

    name: str
    execution_id: str
    payload: Any
    signal_id: str


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A request as it was understood: its event with the run to start or the signal to send, or a text to repeat."""

    event: str = ""
    run: NewExecution | None = None
    signal: _Signal | None = None
    challenge: str | None = None


@dataclass(kw_only=True)
class Taker:
    """Takes verified requests for the webhooks of a server."""

    service: Service
    _definitions: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    async def take(self, hook: Hook, received: Received, query: Mapping[str, str]) -> Answer:
        """Return status and document of the answer to a verified request.

        Raises:
            UsageError: the body is not valid.
            MediaTypeError: it is neither JSON nor a form.
            ExpressionError: a filter cannot be evaluated with this request.
            TemplateError: a template reads something that the request does not have.
            SchemaMismatchError: the input does not match a schema.
            ConflictError: a signal is for an execution that does not wait for it, or a run of another workflow exists.
        """
        taken = await validate_in_worker(partial(self._read, hook, received, query))
        if taken.challenge is not None:
            return HTTPStatus.OK, {"challenge": taken.challenge}
        if taken.run is not None:
            return await self._start(hook, taken.event, taken.run)
        if taken.signal is not None:
            return await self._send(taken.event, taken.signal)
        return HTTPStatus.OK, {"status": "no_matching_event"}

    async def _start(self, hook: Hook, event: str, run: NewExecution) -> Answer:
        created = await start_run(self.service.app.runtime, hook.workflow.config, run)
        document = {"execution_id": run.workflow_exec_id, "event": event}
        if created:
            return HTTPStatus.ACCEPTED, {"status": "accepted", **document}
        known = await self.service.get(run.workflow_exec_id)
        if known["workflow_id"] != run.workflow_id:
            raise ConflictError(
                f"execution {run.workflow_exec_id!r} is a run of workflow {known['workflow_id']!r}",
                hint="choose another `execution` for the event",
            )
        return HTTPStatus.OK, {"status": "duplicate", **document}

    async def _send(self, event: str, asked: _Signal) -> Answer:
        app = self.service.app
        try:
            sent = await signal(app.database, asked.execution_id, asked.name, asked.payload, signal_id=asked.signal_id)
        except NotFoundError as error:
            # The path exists; the sender may try again when the run waits.
            raise ConflictError(error.message, hint=error.hint, details=error.details) from error
        app.runtime.wake()
        document = {"execution_id": asked.execution_id, "event": event}
        if sent.is_new:
            return HTTPStatus.ACCEPTED, {"status": "signaled", **document}
        return HTTPStatus.OK, {"status": "duplicate", **document}

    def _read(self, hook: Hook, received: Received, query: Mapping[str, str]) -> _Taken:
        """Return what a request asks for; without an event, nothing."""
        encoding = received.headers.get("content-encoding", "identity")
        if encoding.strip().lower() != "identity":
            raise MediaTypeError("a webhook does not accept compressed bodies", hint="send the body as it is")
        payload = parse_payload(received.headers.get("content-type", ""), received.body)
        delivery = Delivery(payload=payload, headers=visible_headers(hook.config, received.headers), query=query)
        challenge = challenge_of(hook.config, delivery)
        if challenge is not None:
            return _Taken(challenge=challenge)
        event = find_event(hook.config, delivery)
        if event is None:
            return _Taken()
        if event.signal is not None:
            return _Taken(event=event.name, signal=self._signal(hook, event, delivery))
        return _Taken(event=event.name, run=self._run(hook, event, delivery))

    def _run(self, hook: Hook, event: WebhookEvent, delivery: Delivery) -> NewExecution:
        locate = hook.locator(event)
        unique = delivery_id(hook.config, delivery)
        execution_id = None if unique is None else execution_id_of(hook.config.slug, unique)
        if event.execution is not None:
            execution_id = text_of(event.execution, ("execution",), delivery, locate)
        value = input_of(event, delivery, locate)
        workflow = hook.workflow.config
        if workflow.id not in self._definitions:
            self._definitions[workflow.id] = snapshot(self.service.app.project, workflow.id)
        try:
            return prepare_run(
                workflow,
                self._definitions[workflow.id],
                value,
                execution_id=execution_id,
                trigger=Trigger(type=TriggerType.WEBHOOK, id=hook.config.slug),
            )
        except (SchemaMismatchError, UsageError) as error:
            raise SchemaMismatchError(
                error.message,
                hint="compare `input` of the event with the schema of the workflow",
                details=error.details,
            ) from error

    def _signal(self, hook: Hook, event: WebhookEvent, delivery: Delivery) -> _Signal:
        assert event.signal is not None  # noqa: S101 - the caller checked it
        locate = hook.locator(event)
        unique = delivery_id(hook.config, delivery)
        return _Signal(
            name=text_of(event.signal.name, ("signal", "name"), delivery, locate),
            execution_id=text_of(event.signal.execution, ("signal", "execution"), delivery, locate),
            payload=input_of(event, delivery, locate),
            signal_id=new_signal_id() if unique is None else execution_id_of(hook.config.slug, unique),
        )
