"""Operations on many executions over HTTP."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from compozy.auth.identity import Permission
from compozy.database.executions import get_execution
from compozy.errors import ConflictError, ForbiddenError
from compozy.server.body import ParsedRoute
from compozy.server.gate import identity_of
from compozy.server.lists import FilterQuery
from compozy.server.models import ExecutionDetail
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, STARTED, problems, service_of
from compozy.server.triggers import trigger_of
from compozy.telemetry.traces import traceparent_for_runs
from compozy.workflow.batch import MAX_ITEMS, Action, BatchRequest, prepare_batch, preview, start_batch

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["executions"],
)


class BatchFilter(FilterQuery):
    """The executions of a batch, by the filters of lists."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    workflow_id: str | None = Field(default=None, max_length=256, description="Only executions of this workflow.")


class BatchBody(BaseModel):
    """An operation on many executions, which are named by `ids` or chosen by `filter`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    action: Action = Field(description="The operation.")
    ids: list[Annotated[str, Field(max_length=128)]] | None = Field(
        default=None, max_length=MAX_ITEMS, description="Execution IDs."
    )
    filter: BatchFilter | None = Field(default=None, description="Filters, as of lists; `{}` chooses all executions.")
    dry_run: bool = Field(default=False, strict=True, description="Return what would be done, and change nothing.")
    reason: str = Field(
        default="canceled by a batch", min_length=1, max_length=200, description="Error message of canceled executions."
    )
    execution_id: str | None = Field(
        default=None,
        description="Execution ID of the batch; a repeated request with it does nothing.",
        json_schema_extra={"anyOf": [{"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"}, {"type": "null"}]},
    )


class BatchItem(BaseModel):
    """The result for one execution."""

    execution_id: str
    outcome: str = Field(description="`done` or `refused`.")
    message: str | None = Field(description="Reason of a refusal.")
    new_execution_id: str | None = Field(description="The rerun.")


class BatchPreview(BaseModel):
    """The result that a batch would have; the output of its execution has the same form."""

    action: Action
    matched: int
    done: int
    refused: int
    items: list[BatchItem]


@router.post(
    "/executions/workflows/batch",
    status_code=202,
    response_model=ExecutionDetail,
    responses={
        **problems(409),
        200: {"model": BatchPreview, "description": "The preview, with `dry_run`."},
        202: {"headers": STARTED},
    },
)
async def start_batch_operation(request: Request, body: BatchBody) -> JsonResponse:
    """Cancel, pause, resume, rerun or delete many executions.

    The batch is an execution itself: it continues after a crash, and its output has a result for each execution.
    """
    service = service_of(request)
    if body.action is Action.DELETE and not identity_of(request).may(Permission.MANAGE):
        raise ForbiddenError("deleting executions requires the role admin")
    wanted = None if body.filter is None else body.filter.to_filter(body.filter.workflow_id)
    batch = BatchRequest(
        action=body.action, ids=body.ids, wanted=wanted, reason=body.reason, execution_id=body.execution_id
    )
    database = service.app.database
    if body.dry_run:
        return JsonResponse(await database.read_async(partial(preview, request=batch)))
    service.refuse_when_stopping()
    prepared = await database.read_async(partial(prepare_batch, request=batch, trigger=trigger_of(request)))
    new = replace(prepared, traceparent=traceparent_for_runs())
    created = await start_batch(service.app.runtime, new)
    document: dict[str, Any] = await service.get(new.workflow_exec_id)
    if not created:
        known = await database.read_async(partial(get_execution, workflow_exec_id=new.workflow_exec_id))
        if known.workflow_id != new.workflow_id:
            raise ConflictError(
                f"execution {new.workflow_exec_id!r} is a run of {known.workflow_id!r}",
                http_hint="choose another `execution_id`",
            )
    headers = {"Location": f"{PREFIX}/executions/workflows/{new.workflow_exec_id}"}
    return JsonResponse(document, status_code=202, headers=headers)
