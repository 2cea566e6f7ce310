"""The paths under /api/v0. Each calls one verb of the service and answers with its document."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Path, Query, Request, Response

from compozy import __version__
from compozy.server.auditor import audit_accepted
from compozy.server.body import ParsedRoute
from compozy.server.conditional import CONDITIONAL, answer_if_changed
from compozy.server.gate import identity_of, refuse_chosen_id
from compozy.server.idempotency import MAX_KEY
from compozy.server.models import (
    ApproveBody,
    CancelBody,
    ExecutionDetail,
    Fields,
    ModelRequestList,
    ProjectInfo,
    RerunBody,
    SignalBody,
    SignalSent,
    StartBody,
    StartSyncBody,
    WorkflowDetail,
    WorkflowGraph,
    WorkflowList,
)
from compozy.server.problems import MEDIA_TYPE, JsonResponse
from compozy.server.service import Service, StartRequest
from compozy.server.triggers import trigger_of
from compozy.storage import fingerprint_of
from compozy.telemetry.traces import traceparent_for_runs
from compozy.workflow.documents import without_values
from compozy.workflow.rerun import RerunRequest

PREFIX = "/api/v0"
MERMAID = "text/vnd.mermaid"
_REPLAYED = "Idempotency-Replayed"

WorkflowId = Annotated[str, Path(description="Workflow ID.")]
ExecutionId = Annotated[str, Path(description="Execution ID.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Any text; a repeated request with the same text and body returns the same execution.",
        min_length=1,
        max_length=MAX_KEY,
        pattern=r"^[!-~]([ -~]*[!-~])?$",
    ),
]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI of answers that are problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": "Problem", "content": content} for status in statuses}


STARTED = {
    "Location": {"description": "Path of the execution.", "schema": {"type": "string"}},
    _REPLAYED: {
        "description": "`true` if an earlier request started the execution.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}
"""The headers of answers that contain an execution that was started."""

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
)


def service_of(request: Request) -> Service:
    """Return the service that the application was made with."""
    return cast("Service", request.app.state.service)


@router.get("/project", response_model=ProjectInfo, tags=["project"])
async def get_project(request: Request) -> JsonResponse:
    """The project of this server."""
    service = service_of(request)
    project = service.app.project
    return JsonResponse(
        {
            "name": project.name,
            "version": project.version,
            "compozy_version": __version__,
            "files_changed": service.files_changed,
            "database": {"driver": project.database.driver, "fingerprint": fingerprint_of(project)},
        }
    )


@router.get("/workflows", response_model=WorkflowList, tags=["workflows"])
async def list_workflows(request: Request) -> JsonResponse:
    """The workflows of the project."""
    limit = identity_of(request).workflows
    workflows = service_of(request).workflows()
    return JsonResponse({"workflows": [each for each in workflows if limit is None or each["id"] in limit]})


@router.get("/workflows/{workflow_id}", response_model=WorkflowDetail, responses=problems(404), tags=["workflows"])
async def get_workflow(request: Request, workflow_id: WorkflowId) -> JsonResponse:
    """One workflow."""
    return JsonResponse(service_of(request).workflow(workflow_id))


@router.get(
    "/workflows/{workflow_id}/graph",
    response_model=WorkflowGraph,
    responses={**problems(404), 200: {"content": {MERMAID: {"schema": {"type": "string"}}}}},
    tags=["workflows"],
)
async def get_workflow_graph(request: Request, workflow_id: WorkflowId) -> Response:
    """The drawing of a workflow: as JSON, or, where `Accept` names it, as Mermaid."""
    document = service_of(request).graph(workflow_id)
    if MERMAID in request.headers.get("accept", ""):
        return Response(document["mermaid"], media_type=f"{MERMAID}; charset=utf-8")
    return JsonResponse(document)


@router.post(
    "/workflows/{workflow_id}/executions",
    status_code=202,
    response_model=ExecutionDetail,
    responses={**problems(404, 409), 202: {"headers": STARTED}},
    tags=["workflows"],
)
async def start_execution(
    request: Request,
    workflow_id: WorkflowId,
    body: StartBody | None = None,
    idempotency_key: IdempotencyKey = None,
    follow: Annotated[
        bool, Query(description="Keep what models write for a stream that is opened within 5 seconds.")
    ] = False,
) -> JsonResponse:
    """Accept a run. `Location` contains its URL; an accepted run is never lost."""
    given = body or StartBody()
    refuse_chosen_id(request, given.execution_id)
    wanted = StartRequest(
        workflow_id=workflow_id,
        body=dict(given),
        key=idempotency_key,
        trigger=trigger_of(request),
        follows=follow,
        traceparent=traceparent_for_runs(),
    )
    document, created = await service_of(request).start(wanted, timeout_s=given.timeout)
    return JsonResponse(document, status_code=202, headers=_headers(document, created=created))


@router.post(
    "/workflows/{workflow_id}/executions/sync",
    response_model=ExecutionDetail,
    responses={**problems(404, 408, 409), 200: {"headers": STARTED}},
    tags=["workflows"],
)
async def start_execution_and_wait(
    request: Request,
    workflow_id: WorkflowId,
    body: StartSyncBody | None = None,
    idempotency_key: IdempotencyKey = None,
) -> JsonResponse:
    """Accept a run and wait for its end. A run that takes longer continues, and status 408 names it."""
    given = body or StartSyncBody()
    refuse_chosen_id(request, given.execution_id)
    service = service_of(request)
    asked = {name: value for name, value in given if name != "timeout"}
    wanted = StartRequest(
        workflow_id=workflow_id,
        body=asked,
        key=idempotency_key,
        trigger=trigger_of(request),
        traceparent=traceparent_for_runs(),
    )
    document, created = await service.start(wanted)
    await audit_accepted(request.scope, document["execution_id"])
    ended = await service.wait(document["execution_id"], timeout_s=given.timeout)
    return JsonResponse(ended, headers=_headers(document, created=created))


@router.get(
    "/executions/workflows/{execution_id}",
    response_model=ExecutionDetail,
    responses={**problems(404), **CONDITIONAL},
    tags=["executions"],
)
async def get_execution(
    request: Request,
    execution_id: ExecutionId,
    fields: Annotated[
        Fields,
        Query(
            description="`summary` leaves out `input` and `output` of the tasks, `input` of the execution, and "
            "`output` of the execution if it has more than 4,000 characters."
        ),
    ] = Fields.FULL,
) -> Response:
    """Return one execution with its tasks."""
    document = await service_of(request).get(execution_id)
    return answer_if_changed(request, document if fields is Fields.FULL else without_values(document))


@router.get(
    "/executions/workflows/{execution_id}/requests",
    response_model=ModelRequestList,
    responses=problems(404),
    tags=["executions"],
)
async def list_model_requests(request: Request, execution_id: ExecutionId) -> JsonResponse:
    """The recorded model requests of one execution: prompts and answers, in the order in which they were recorded."""
    return JsonResponse(await service_of(request).requests(execution_id))


@router.post(
    "/executions/workflows/{execution_id}/cancel",
    response_model=ExecutionDetail,
    responses=problems(404, 409),
    tags=["executions"],
)
async def cancel_execution(request: Request, execution_id: ExecutionId, body: CancelBody | None = None) -> JsonResponse:
    """Cancel an execution. Canceling it again changes nothing."""
    reason = (body or CancelBody()).reason
    return JsonResponse(await service_of(request).cancel(execution_id, reason=reason))


@router.post(
    "/executions/workflows/{execution_id}/pause",
    response_model=ExecutionDetail,
    responses=problems(404, 409),
    tags=["executions"],
)
async def pause_execution(request: Request, execution_id: ExecutionId) -> JsonResponse:
    """Pause an execution after its running tasks finish."""
    return JsonResponse(await service_of(request).pause(execution_id))


@router.post(
    "/executions/workflows/{execution_id}/resume",
    response_model=ExecutionDetail,
    responses=problems(404, 409),
    tags=["executions"],
)
async def resume_execution(request: Request, execution_id: ExecutionId) -> JsonResponse:
    """Resume a paused execution."""
    return JsonResponse(await service_of(request).resume(execution_id))


@router.post(
    "/executions/workflows/{execution_id}/signals",
    status_code=202,
    response_model=SignalSent,
    responses=problems(404, 409),
    tags=["executions"],
)
async def send_signal(request: Request, execution_id: ExecutionId, body: SignalBody) -> JsonResponse:
    """Send a signal to an execution. The signal is kept until a task waits for it."""
    by = identity_of(request).known_name
    sent = await service_of(request).signal(execution_id, body.name, body.payload, signal_id=body.id, by=by)
    return JsonResponse(sent, status_code=202)


@router.post(
    "/executions/workflows/{execution_id}/approve",
    status_code=202,
    response_model=SignalSent,
    responses=problems(404, 409),
    tags=["executions"],
)
async def approve_execution(
    request: Request, execution_id: ExecutionId, body: ApproveBody | None = None
) -> JsonResponse:
    """Answer the form of a waiting task. The execution records the user who answered."""
    given = body or ApproveBody()
    by = identity_of(request).known_name
    sent = await service_of(request).approve(execution_id, given.input, task=given.task, by=by)
    return JsonResponse(sent, status_code=202)


@router.post(
    "/executions/workflows/{execution_id}/rerun",
    status_code=202,
    response_model=ExecutionDetail,
    responses={**problems(404, 409), 202: {"headers": STARTED}},
    tags=["executions"],
)
async def rerun_execution(request: Request, execution_id: ExecutionId, body: RerunBody | None = None) -> JsonResponse:
    """Repeat an execution with the current workflow; results of tasks before the first one are kept."""
    given = body or RerunBody()
    wanted = RerunRequest(
        execution_id=execution_id,
        from_task=given.from_,
        given=given.input,
        new_id=given.execution_id,
        labels=given.labels,
        by=trigger_of(request).by,
        traceparent=traceparent_for_runs(),
    )
    document, created = await service_of(request).rerun(wanted)
    return JsonResponse(document, status_code=202, headers=_headers(document, created=created))


def _headers(document: dict[str, Any], *, created: bool) -> dict[str, str]:
    location = f"{PREFIX}/executions/workflows/{document['execution_id']}"
    return {"Location": location} if created else {"Location": location, _REPLAYED: "true"}
