"""Lists of executions over HTTP: filters, pages and summaries."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticKnownError

from compozy.database import lists
from compozy.database.executions import is_execution_id
from compozy.database.lists import ExecutionFilter, Position
from compozy.database.live_text import follow_runs
from compozy.database.status import Status
from compozy.server.body import ParsedRoute
from compozy.server.gate import identity_of
from compozy.server.models import Cost, Fields, Labels, TriggerInfo, UnpricedRequests
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, WorkflowId, problems, service_of
from compozy.workflow.documents import summary_document, whole_document

MAX_PAGE = 1000
# How long the text of models is kept for a client that may open one of the executions.
_FOLLOWED_S = 60.0
_NUMBER = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?")
_LINK = {"Link": {"description": 'URL of the next page, with `rel="next"`.', "schema": {"type": "string"}}}

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
)


def encode_cursor(position: Position) -> str:
    """Return the cursor of the executions after this one."""
    created_ms, execution_id = position
    return base64.urlsafe_b64encode(f"{created_ms}.{execution_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Position:
    """Return the position that `encode_cursor` encoded.

    Raises:
        ValueError: it is not a cursor.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        text = ""
    created_ms, _, execution_id = text.partition(".")
    is_number = created_ms.isascii() and created_ms.isdigit() and len(created_ms) < 17
    if not is_number or not is_execution_id(execution_id):
        raise ValueError("expected the `next_cursor` of a page")
    return int(created_ms), execution_id


def _check_cursor(cursor: str) -> str:
    decode_cursor(cursor)
    return cursor


def _refuse_number(value: Any) -> Any:
    # Pydantic takes numbers for seconds or milliseconds since 1970, by their size.
    if isinstance(value, (int, float)) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise PydanticKnownError("datetime_type")
    return value


Moment = Annotated[datetime, BeforeValidator(_refuse_number)]


class FilterQuery(BaseModel):
    """Which executions of a workflow."""

    status: list[Status] = Field(default=[], description="Only executions in one of these states.")
    label: list[Annotated[str, StringConstraints(min_length=1, max_length=320)]] = Field(
        default=[], max_length=32, description="Only executions with these labels: `NAME` or `NAME=VALUE`."
    )
    trigger: str | None = Field(
        default=None, max_length=320, description="Only executions with this trigger: `TYPE` or `TYPE:ID`."
    )
    started_by: str | None = Field(default=None, max_length=256, description="Only executions of this user or API key.")
    created_after: Moment | None = Field(
        default=None, description="Only executions that were accepted at this time or later."
    )
    created_before: Moment | None = Field(
        default=None, description="Only executions that were accepted before this time."
    )
    q: str = Field(
        default="",
        max_length=200,
        description="Only executions with this text in their ID, workflow ID, trigger, label values or error.",
    )
    parent: str | None = Field(
        default=None, max_length=128, description="Only executions that this execution started, and its reruns."
    )
    id_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._:-]{0,128}$",
        description="Only executions whose ID starts with this text.",
    )

    def to_filter(self, workflow_id: str | None) -> ExecutionFilter:
        """Return the filter of the database."""
        return ExecutionFilter(
            workflow_id=workflow_id,
            statuses=self.status,
            id_prefix=self.id_prefix,
            labels=self.label,
            trigger=self.trigger,
            started_by=self.started_by,
            created_after_ms=_milliseconds(self.created_after),
            created_before_ms=_milliseconds(self.created_before),
            text=self.q,
            parent=self.parent,
        )


class PageQuery(FilterQuery):
    """Which executions of a workflow, and which page of them."""

    limit: int = Field(default=20, ge=1, le=MAX_PAGE, description="Executions on a page.")
    cursor: Annotated[str, AfterValidator(_check_cursor)] | None = Field(
        default=None, max_length=256, description="`next_cursor` of the previous page."
    )
    fields: Fields = Field(
        default=Fields.SUMMARY, description="`full` adds `input`, `output`, `usage` and the whole `error`."
    )
    total: bool = Field(default=False, description="Whether to count the executions of all pages.")


class ListQuery(PageQuery):
    """Which executions, and which page of them."""

    workflow_id: str | None = Field(default=None, max_length=256, description="Only executions of this workflow.")
    follow: bool = Field(
        default=False,
        description="Keep what models write in any execution for a minute, for streams that are opened meanwhile.",
    )


class SummaryError(BaseModel):
    """The error of an execution; in a summary, without details and with the first 200 characters of the message."""

    code: str
    message: str
    details: dict[str, Any] | None = Field(default=None, description="Only with `fields=full`.")


class ListedExecution(BaseModel):
    """One execution in a list."""

    execution_id: str
    workflow_id: str
    status: Status
    error: SummaryError | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    journal_format: int = Field(description="Format of its journal; only runs of the current format can be continued.")
    requested: Status | None = Field(description="Requested state that the run has not reached yet.")
    rerun_of: str | None = Field(description="The execution that it repeats.")
    origin: dict[str, Any] | None = Field(description="Origin of a run that was imported unfinished.")
    trigger: TriggerInfo | None = Field(description="Trigger; null if an earlier version accepted the execution.")
    labels: Labels
    waiting_since: str | None = Field(
        description="Since when the execution waits for a place, because its workflow has limits; null if it does not."
    )
    cost: Cost
    unpriced_requests: UnpricedRequests
    input: Any = Field(default=None, description="Only with `fields=full`.")
    output: Any = Field(default=None, description="Only with `fields=full`.")
    usage: list[dict[str, Any]] | None = Field(default=None, description="Only with `fields=full`.")


class ExecutionList(BaseModel):
    """A page of executions, the newest first."""

    executions: list[ListedExecution]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null on the last page.")
    total: int | None = Field(default=None, description="Executions on all pages, if `total=true`.")


@router.get(
    "/workflows/{workflow_id}/executions",
    response_model=ExecutionList,
    responses={**problems(404), 200: {"headers": _LINK}},
    tags=["workflows"],
)
async def list_workflow_executions(
    request: Request, workflow_id: WorkflowId, query: Annotated[PageQuery, Query()]
) -> JsonResponse:
    """List the executions of one workflow, newest first."""
    service_of(request).workflow(workflow_id)
    return await _answer(request, query, query.to_filter(workflow_id))


@router.get(
    "/executions/workflows", response_model=ExecutionList, responses={200: {"headers": _LINK}}, tags=["executions"]
)
async def list_executions(request: Request, query: Annotated[ListQuery, Query()]) -> JsonResponse:
    """List the executions of all workflows that the caller may see, newest first."""
    limit = identity_of(request).workflows
    if query.follow and limit is None:
        follow_runs(seconds=_FOLLOWED_S)
    wanted = query.to_filter(query.workflow_id)
    return await _answer(request, query, wanted if limit is None else replace(wanted, workflow_ids=sorted(limit)))


async def _answer(request: Request, query: PageQuery, wanted: ExecutionFilter) -> JsonResponse:
    def read(connection: sa.Connection) -> dict[str, Any]:
        return read_page(connection, query, wanted)

    document = await service_of(request).app.database.list_async(read)
    headers: dict[str, str] = {}
    if document["next_cursor"] is not None:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        following = urlencode([*kept, ("cursor", document["next_cursor"])])
        headers["Link"] = f'<{request.url.path}?{following}>; rel="next"'
    return JsonResponse(document, headers=headers)


def read_page(connection: sa.Connection, query: PageQuery, wanted: ExecutionFilter) -> dict[str, Any]:
    """Return a page of executions as JSON."""
    before = None if query.cursor is None else decode_cursor(query.cursor)
    # One more than the page, to know whether another page follows.
    limit = query.limit + 1
    if query.fields is Fields.FULL:
        full = lists.list_executions(connection, wanted, limit=limit, before=before)
        found = [(whole_document(run), (run.created_ms, run.workflow_exec_id)) for run in full]
    else:
        short = lists.list_summaries(connection, wanted, limit=limit, before=before)
        found = [(summary_document(run), (run.created_ms, run.workflow_exec_id)) for run in short]
    page = found[: query.limit]
    return {
        "executions": [document for document, _ in page],
        "next_cursor": encode_cursor(page[-1][1]) if len(found) > query.limit else None,
        "total": lists.count_executions(connection, wanted) if query.total else None,
    }


def _milliseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
