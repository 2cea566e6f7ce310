"""Costs of model requests over HTTP."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, BeforeValidator, Field

from compozy.database.costs import CostFilter
from compozy.server.body import ParsedRoute
from compozy.server.gate import identity_of
from compozy.server.models import Cost, UnpricedRequests
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of
from compozy.workflow.costs import MAX_SUMS, cost_sums

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["costs"],
)

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _check_day(value: Any) -> Any:
    # Pydantic takes numbers for seconds since 1970, and accepts a time of midnight.
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("expected a day, such as 2027-01-31")
    return value


Day = Annotated[date, BeforeValidator(_check_day)]


class CostGroup(StrEnum):
    """Columns by which costs are summed."""

    DAY = "day"
    WORKFLOW = "workflow"
    AGENT = "agent"
    MODEL = "model"
    EXECUTION = "execution"


class CostTotal(BaseModel):
    """Sums of model requests."""

    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = Field(description="Of the input, tokens read from the provider's prompt cache.")
    cache_write_tokens: int = Field(description="Of the input, tokens written to the provider's prompt cache.")
    cost: Cost
    unpriced_requests: UnpricedRequests


class CostSum(CostTotal):
    """Sums of model requests with the same day, workflow, agent, model or execution."""

    day: str | None = Field(default=None, description="Day in UTC, with `group_by=day`.")
    workflow_id: str | None = Field(default=None, description="With `group_by=workflow`.")
    agent: str | None = Field(default=None, description="ID of the agent, empty without one; with `group_by=agent`.")
    provider: str | None = Field(default=None, description="With `group_by=model`.")
    model: str | None = Field(default=None, description="With `group_by=model`.")
    execution_id: str | None = Field(
        default=None, description="Empty for executions that were deleted; with `group_by=execution`."
    )


class CostList(BaseModel):
    """Costs: the latest days first, otherwise the highest costs."""

    group_by: CostGroup
    costs: list[CostSum]
    total: CostTotal


@router.get("/costs", response_model=CostList)
async def list_costs(
    request: Request,
    group_by: Annotated[
        CostGroup, Query(description="Sums of requests with the same day, workflow, agent, model or execution.")
    ] = CostGroup.DAY,
    workflow_id: Annotated[str | None, Query(description="Only this workflow.", max_length=256)] = None,
    since: Annotated[Day | None, Query(description="Only this day (UTC) or later.")] = None,
    until: Annotated[Day | None, Query(description="Only this day (UTC) or earlier.")] = None,
    limit: Annotated[int, Query(description="Number of sums.", ge=1, le=MAX_SUMS)] = 100,
) -> JsonResponse:
    """Sum the costs of model requests."""
    wanted = CostFilter(
        workflow_ids=_workflows(request, workflow_id),
        since=None if since is None else since.isoformat(),
        until=None if until is None else until.isoformat(),
    )
    database = service_of(request).app.database
    return JsonResponse(await database.list_async(partial(cost_sums, group=group_by.value, wanted=wanted, limit=limit)))


def _workflows(request: Request, workflow_id: str | None) -> list[str] | None:
    """Return the workflows whose costs the caller gets, None for all."""
    limit = identity_of(request).workflows
    if workflow_id is None:
        return None if limit is None else sorted(limit)
    return [workflow_id] if limit is None or workflow_id in limit else []
