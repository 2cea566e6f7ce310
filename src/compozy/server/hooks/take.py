"""A verified request is taken: its event starts a run, or sends a signal to one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa

from compozy.database.executions import NewExecution
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import (
    CompozyError,
    ConflictError,
    DatabaseError,
    MediaTypeError,
    NotFoundError,
    SchemaMismatchError,
    StoppingError,
    UsageError,
)
from compozy.ids import new_signal_id
from compozy.project.definition import snapshot
from compozy.schema.worker import validate_in_worker
from compozy.server.hooks.deliveries import DeliveryRecord, Result
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
from compozy.telemetry.metrics import WEBHOOK_DISPATCHED, WEBHOOK_DUPLICATE, WEBHOOK_NO_MATCH
from compozy.telemetry.traces import traceparent_for_runs
from compozy.trigger.kinds.webhook import WebhookEvent
from compozy.workflow.operate import signal
from compozy.workflow.start import prepare_run, start_run

Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A request to process a stored delivery again.

    Args:
        of: the delivery that the sender sent.
        by: who asks for it.
        is_new: whether it starts another run than the delivery would.
    """

    of: str
    by: str | None = None
    is_new: bool = False


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

    async def take(self, record: DeliveryRecord, replay: Replay | None = None) -> Answer:
        """Return status and document of the answer to a verified request, and store the request with its outcome.

        Raises:
            UsageError: the body is not valid.
            MediaTypeError: it is neither JSON nor a form.
            ExpressionError: a filter cannot be evaluated with this request.
            TemplateError: a template reads something that the request does not have.
            SchemaMismatchError: the input does not match a schema.
            ConflictError: a signal is for an execution that does not wait for it, or a run of another workflow exists.
        """
        try:
            taken = await validate_in_worker(partial(self._read, record, replay))
            if taken.challenge is not None:
                return HTTPStatus.OK, {"challenge": taken.challenge}
            result = await self._dispatch(record, taken)
        except (StoppingError, DatabaseError):
            # The sender tries again, and nothing could be stored.
            raise
        except CompozyError as error:
            await self._store(record, Result(outcome="refused", status=error.http_status, reason=error.message))
            raise
        return result.status, _answer_of(result)

    async def _dispatch(self, record: DeliveryRecord, taken: _Taken) -> Result:
        slug = record.hook.config.slug
        if taken.run is not None:
            # Here, because the thread that prepared the run does not know the request.
            run = replace(taken.run, traceparent=traceparent_for_runs())
            result = await self._start(record, taken.event, run)
        elif taken.signal is not None:
            result = await self._send(record, taken.event, taken.signal)
        else:
            WEBHOOK_NO_MATCH.add(webhook=slug)
            result = Result(outcome="no_matching_event", status=HTTPStatus.OK)
            await self._store(record, result)
            return result
        if result.outcome == "duplicate":
            WEBHOOK_DUPLICATE.add(webhook=slug)
            await self._store(record, result)
        else:
            WEBHOOK_DISPATCHED.add(webhook=slug, event=taken.event)
        return result

    async def _store(self, record: DeliveryRecord, result: Result) -> None:
        await self.service.app.database.write_async(partial(record.store, result=result))

    async def _start(self, record: DeliveryRecord, event: str, run: NewExecution) -> Result:
        result = Result(outcome="accepted", status=HTTPStatus.ACCEPTED, event=event, execution_id=run.workflow_exec_id)
        also = partial(record.store, result=result)
        if await start_run(self.service.app.runtime, record.hook.workflow.config, run, also=also):
            return result
        known = await self.service.get(run.workflow_exec_id)
        if known["workflow_id"] != run.workflow_id:
            raise ConflictError(
                f"execution {run.workflow_exec_id!r} is a run of workflow {known['workflow_id']!r}",
                hint="choose another `execution` for the event",
            )
        return _duplicate(result)

    async def _send(self, record: DeliveryRecord, event: str, asked: _Signal) -> Result:
        app = self.service.app
        result = Result(outcome="signaled", status=HTTPStatus.ACCEPTED, event=event, execution_id=asked.execution_id)

        def store(connection: sa.Connection) -> None:
            record.store(connection, result)

        try:
            sent = await signal(
                app.database, asked.execution_id, asked.name, asked.payload, signal_id=asked.signal_id, also=store
            )
        except NotFoundError as error:
            # The path exists; the sender may try again when the run waits.
            raise ConflictError(error.message, hint=error.hint, details=error.details) from error
        app.runtime.wake()
        return result if sent.is_new else _duplicate(result)

    def _read(self, record: DeliveryRecord, replay: Replay | None) -> _Taken:
        """Return what a request asks for; without an event, nothing."""
        hook, received = record.hook, record.received
        encoding = received.headers.get("content-encoding", "identity")
        if encoding.strip().lower() != "identity":
            raise MediaTypeError("a webhook does not accept compressed bodies", hint="send the body as it is")
        payload = parse_payload(received.headers.get("content-type", ""), received.body)
        headers = visible_headers(hook.config, received.headers)
        delivery = Delivery(payload=payload, headers=headers, query=record.query)
        challenge = challenge_of(hook.config, delivery)
        if challenge is not None:
            return _Taken(challenge=challenge)
        event = find_event(hook.config, delivery)
        if event is None:
            return _Taken()
        unique = _unique_id(hook, delivery, replay)
        if event.signal is not None:
            return _Taken(event=event.name, signal=self._signal(hook, event, delivery, unique))
        by = None if replay is None else replay.by
        return _Taken(event=event.name, run=self._run(hook, event, delivery, unique, by))

    def _run(
        self, hook: Hook, event: WebhookEvent, delivery: Delivery, unique: str | None, by: str | None
    ) -> NewExecution:
        locate = hook.locator(event)
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
                trigger=Trigger(type=TriggerType.WEBHOOK, id=hook.config.slug, by=by),
            )
        except (SchemaMismatchError, UsageError) as error:
            raise SchemaMismatchError(
                error.message,
                hint="compare `input` of the event with the schema of the workflow",
                details=error.details,
            ) from error

    def _signal(self, hook: Hook, event: WebhookEvent, delivery: Delivery, unique: str | None) -> _Signal:
        assert event.signal is not None  # noqa: S101 - the caller checked it
        locate = hook.locator(event)
        return _Signal(
            name=text_of(event.signal.name, ("signal", "name"), delivery, locate),
            execution_id=text_of(event.signal.execution, ("signal", "execution"), delivery, locate),
            payload=input_of(event, delivery, locate),
            signal_id=new_signal_id() if unique is None else execution_id_of(hook.config.slug, unique),
        )


def _unique_id(hook: Hook, delivery: Delivery, replay: Replay | None) -> str | None:
    """Return the text of which the ID of the run is made, None for a new ID."""
    if replay is None:
        return delivery_id(hook.config, delivery)
    if replay.is_new:
        return None
    # Two replays of a delivery without an ID start one run, too.
    return delivery_id(hook.config, delivery) or f"replay of {replay.of}"


def _duplicate(result: Result) -> Result:
    return replace(result, outcome="duplicate", status=HTTPStatus.OK)


def _answer_of(result: Result) -> dict[str, Any]:
    found = {"status": result.outcome, "execution_id": result.execution_id, "event": result.event}
    return {name: value for name, value in found.items() if value is not None}
