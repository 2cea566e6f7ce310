"""The event logs of executions over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from compozy.database.executions import execution_not_found, is_execution_id
from compozy.server.body import ParsedRoute
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, ExecutionId, problems, service_of
from compozy.workflow.events import PAGE, read_events

After = Annotated[int, Query(description="Only events with a larger number.", ge=0, le=2**63 - 1)]
Limit = Annotated[int, Query(description="Events on a page.", ge=1, le=PAGE)]

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["executions"],
)


class EventInfo(BaseModel):
    """One event in the log of an execution."""

    seq: int = Field(description="Number of the event in its execution, from 1 without gaps.")
    kind: str = Field(description="workflow_status, task_status, tool_call, signal or budget.")
    path: str | None = Field(description="Path of the task, null for the whole execution.")
    data: dict[str, Any] = Field(description="Details of the change, such as `status`.")
    created_at: str


class EventList(BaseModel):
    """A page of the events of an execution, the oldest first."""

    execution_id: str
    status: str = Field(description="State of the execution.")
    events: list[EventInfo]
    next_after: int | None = Field(description="Value of `after` for the next page; null on the last page so far.")


@router.get("/executions/workflows/{execution_id}/events", response_model=EventList, responses=problems(404))
async def list_execution_events(
    request: Request, execution_id: ExecutionId, after: After = 0, limit: Limit = PAGE
) -> JsonResponse:
    """The event log of one execution."""
    if not is_execution_id(execution_id):
        raise execution_not_found(execution_id)
    query = partial(read_events, execution_id=execution_id, after=after, limit=limit)
    return JsonResponse(await service_of(request).app.database.read_async(query))
