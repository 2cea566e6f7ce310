"""The audit log over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from compozy.auth.accounts import audit_document
from compozy.database.audit import AuditFilter, list_audit
from compozy.server.body import ParsedRoute
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 429, 500, 503),
    tags=["users and keys"],
)


class AuditInfo(BaseModel):
    """One action in the audit log."""

    audit_id: str
    created_at: str
    actor: str = Field(description="Name of the user, or `server.api_key`, `public` or `command`.")
    credential: str = Field(description="The proof, such as `key` and the prefix of an API key.")
    action: str = Field(description="Name of the operation, such as `cancel_execution`.")
    target: str | None = Field(description="Path of the request, or the object of a command.")
    execution_id: str | None = Field(description="The execution that the action was about, or that it started.")
    address: str | None = Field(description="Address of the client.")
    status: int = Field(
        description="HTTP status of the answer; 202 while a request waits for the end of the execution that it started."
    )


class AuditPage(BaseModel):
    """A page of the audit log, the newest action first."""

    entries: list[AuditInfo]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null on the last page.")


@router.get("/audit", response_model=AuditPage)
async def list_audit_log(
    request: Request,
    limit: Annotated[int, Query(description="Actions on a page.", ge=1, le=1000)] = 50,
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the previous page.", pattern=r"^[0-9A-Z]{26}$")
    ] = None,
    actor: Annotated[str | None, Query(description="Only actions of this user.", max_length=256)] = None,
    action: Annotated[str | None, Query(description="Only this operation.", max_length=256)] = None,
    execution_id: Annotated[
        str | None, Query(description="Only actions on this execution.", pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    ] = None,
) -> JsonResponse:
    """The audit log: the users, their actions, and the addresses that they came from."""
    wanted = AuditFilter(limit=limit + 1, before=cursor, actor=actor, action=action, execution_id=execution_id)
    found = await service_of(request).app.database.read_async(partial(list_audit, wanted=wanted))
    entries = [audit_document(entry) for entry in found[:limit]]
    return JsonResponse({"entries": entries, "next_cursor": found[limit - 1].audit_id if len(found) > limit else None})
