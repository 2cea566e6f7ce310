"""Webhooks and their deliveries over HTTP: listed, shown and replayed. `server/hooks/endpoint.py` receives them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from compozy.database.webhook_deliveries import DeliveryFilter
from compozy.errors import ConflictError
from compozy.server.body import ParsedRoute
from compozy.server.gate import identity_of, may_see
from compozy.server.hooks.deliveries import DeliveryRecord, document_of, find_delivery, page_of, received_again
from compozy.server.hooks.hook import describe_webhooks, find_hook
from compozy.server.hooks.take import Replay, Taker
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of

Outcome = Literal["accepted", "signaled", "duplicate", "no_matching_event", "refused"]
_ULID = r"^[0-9A-Z]{26}$"
Slug = Annotated[str, Path(description="Slug of the webhook.")]
DeliveryId = Annotated[str, Path(description="ID of the delivery.")]

router = APIRouter(
    prefix=f"{PREFIX}/hooks",
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 404, 413, 415, 422, 500, 503),
    tags=["webhooks"],
)


class WebhookInfo(BaseModel):
    """A webhook of the project."""

    slug: str
    path: str = Field(description="Path that its sender requests.")
    workflow_id: str
    strategy: str = Field(description="How it recognizes its sender.")
    events: list[str] = Field(description="Names of its events.")
    location: str = Field(description="File, line and column.")


class WebhookList(BaseModel):
    """The webhooks of the project."""

    webhooks: list[WebhookInfo]


class DeliverySummary(BaseModel):
    """A verified request and its outcome."""

    delivery_id: str
    received_at: str
    outcome: Outcome
    status: int = Field(description="HTTP status of the answer.")
    reason: str | None = Field(description="Why it was refused.")
    event: str | None = Field(description="Its event; null if it matches none.")
    execution_id: str | None = Field(description="The execution that it started, or that got a signal.")
    replay_of: str | None = Field(description="The delivery that it repeats.")
    body_sha256: str = Field(description="Hash of the body.")
    body_size: int = Field(description="Bytes of the body.")


class DeliveryInfo(DeliverySummary):
    """A verified request with its headers and its body."""

    headers: dict[str, str] = Field(description="Headers; values that the webhook does not read are masked.")
    query: dict[str, str] = Field(description="Query; values that the webhook does not read are masked.")
    body: str


class DeliveryPage(BaseModel):
    """A page of deliveries, the newest first."""

    deliveries: list[DeliverySummary]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null on the last page.")


class ReplayBody(BaseModel):
    """How a delivery is replayed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    new_run: bool = Field(
        default=False, strict=True, description="Start another run, although the delivery has started one."
    )


class Replayed(BaseModel):
    """The outcome of a replay."""

    status: Outcome
    execution_id: str | None = None
    event: str | None = None


@router.get("", response_model=WebhookList)
async def list_webhooks(request: Request) -> JsonResponse:
    """The webhooks of the project, or of the workflows that the API key is limited to."""
    described = describe_webhooks(service_of(request).app.project)
    return JsonResponse({"webhooks": [each for each in described if may_see(request, each["workflow_id"])]})


@router.get("/{slug}/deliveries", response_model=DeliveryPage)
async def list_webhook_deliveries(
    request: Request,
    slug: Slug,
    limit: Annotated[int, Query(description="Deliveries on a page.", ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page.", pattern=_ULID)] = None,
    outcome: Annotated[Outcome | None, Query(description="Only deliveries with this outcome.")] = None,
) -> JsonResponse:
    """Verified requests to a webhook and their outcomes."""
    app = service_of(request).app
    find_hook(app.project, slug)
    wanted = DeliveryFilter(slug=slug, limit=limit, before=cursor, outcome=outcome)
    return JsonResponse(await app.database.read_async(partial(page_of, wanted=wanted)))


@router.get("/{slug}/deliveries/{delivery_id}", response_model=DeliveryInfo)
async def get_webhook_delivery(request: Request, slug: Slug, delivery_id: DeliveryId) -> JsonResponse:
    """One delivery with its headers and its body."""
    query = partial(find_delivery, slug=slug, delivery_id=delivery_id)
    return JsonResponse(document_of(await service_of(request).app.database.read_async(query)))


@router.post(
    "/{slug}/deliveries/{delivery_id}/replay", status_code=202, response_model=Replayed, responses=problems(409)
)
async def replay_webhook_delivery(
    request: Request, slug: Slug, delivery_id: DeliveryId, body: ReplayBody | None = None
) -> JsonResponse:
    """Process a stored delivery again, with the current configuration of the webhook."""
    service = service_of(request)
    service.refuse_when_stopping()
    hook = find_hook(service.app.project, slug)
    query = partial(find_delivery, slug=slug, delivery_id=delivery_id)
    stored = await service.app.database.read_async(query)
    is_new = body is not None and body.new_run
    if stored.execution_id is not None and not is_new:
        raise ConflictError(
            f"delivery {delivery_id} reached execution {stored.execution_id} already",
            hint="replay it with `--new-run`, or repeat the execution with `compozy workflow rerun`",
            http_hint="send `new_run: true`, or repeat the execution with POST .../rerun",
            details={"execution_id": stored.execution_id},
        )
    original = stored.replay_of or delivery_id
    received, given = received_again(stored)
    record = DeliveryRecord(hook=hook, received=received, query=given, replay_of=original)
    replay = Replay(of=original, by=identity_of(request).known_name, is_new=is_new)
    status, document = await Taker(service=service).take(record, replay)
    return JsonResponse(document, status_code=status)
