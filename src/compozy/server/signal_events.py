"""Events over HTTP: they start workflows."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from compozy.ids import new_signal_id
from compozy.scheduler.events import Event, EventSender
from compozy.server.body import ParsedRoute
from compozy.server.gate import identity_of
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of
from compozy.telemetry.traces import traceparent_for_runs
from compozy.trigger.kinds.signal import MAX_NAME

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["events"],
)


class EventBody(BaseModel):
    """An event."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=MAX_NAME, description="Name of the event.")
    payload: Any = Field(default=None, description="Input of the workflows that it starts.")
    id: str | None = Field(
        default=None, min_length=1, max_length=256, description="Event ID; an event that is sent twice counts once."
    )
    wake: bool = Field(
        default=False, strict=True, description="Whether waiting executions get the event as a signal, too."
    )


class StartedByEvent(BaseModel):
    """A run that the event started; `is_new` is false if the same event started it before."""

    workflow_id: str
    execution_id: str
    is_new: bool


class EventSent(BaseModel):
    """The effects of an event."""

    event_id: str
    name: str
    started: list[StartedByEvent]
    woken: list[str] = Field(description="IDs of waiting executions that got it as a signal.")


@router.post("/events", status_code=202, response_model=EventSent)
async def send_event(request: Request, body: EventBody) -> JsonResponse:
    """Start every workflow with a trigger of type `signal` and this name; its input is the payload."""
    service = service_of(request)
    service.refuse_when_stopping()
    event = Event(
        name=body.name,
        event_id=body.id or new_signal_id(),
        payload=body.payload,
        wakes=body.wake,
        by=identity_of(request).known_name,
        traceparent=traceparent_for_runs(),
    )
    app = service.app
    sent = await EventSender(app.project, app.database, app.runtime.wake).send(event)
    return JsonResponse(sent, status_code=202)
