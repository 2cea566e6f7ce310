"""`POST /api/v0/hooks/{slug}`: verifies a request on its raw bytes, and starts the run of the event that it is."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from compozy.clock import now_ms
from compozy.errors import CompozyError, NotFoundError, UsageError
from compozy.server.gate import address_of
from compozy.server.guard import check_local, read_body
from compozy.server.hooks.deliveries import DeliveryRecord, prune_until
from compozy.server.hooks.hook import Hook, hooks_of
from compozy.server.hooks.take import Answer, Taker
from compozy.server.limits import Rate, RateLimiter
from compozy.server.permissions import WEBHOOK
from compozy.server.problems import JsonResponse, problem
from compozy.server.service import Service
from compozy.telemetry.metrics import WEBHOOK_FAILED, WEBHOOK_RECEIVED, WEBHOOK_VERIFIED
from compozy.trigger.signatures import Received, scheme_of

PATH = WEBHOOK
MAX_BYTES = 1024 * 1024
_log = structlog.get_logger(__name__)


def new_entry(service: Service) -> HookEndpoint:
    """Return the endpoint of the project's webhooks."""
    return HookEndpoint(service)


class HookEndpoint:
    """Answers the requests of other services. The guard checks neither key nor body of these requests."""

    path = PATH

    def __init__(self, service: Service) -> None:
        self._service = service
        self._hooks = hooks_of(service.app.project)
        self._rates = {
            slug: RateLimiter(rate=Rate(limit=hook.config.rate, period_s=60), what="address")
            for slug, hook in self._hooks.items()
        }
        self._taker = Taker(service=service)
        self._pruning: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        slug = str(scope["path_params"]["slug"])
        if scope["method"] != "POST":
            error = UsageError(f"{scope['method']} {scope['path']}: method not allowed", hint="send it with POST")
            refusal = problem(error, status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
            await refusal(scope, receive, send)
            return
        hook = self._hooks.get(slug)
        if hook is None:
            raise NotFoundError(f"no webhook {slug!r:.64} in this project")
        WEBHOOK_RECEIVED.add(webhook=slug)
        try:
            status, document = await self._take(hook, scope, receive)
        except CompozyError as error:
            WEBHOOK_FAILED.add(webhook=slug, reason=error.code)
            raise
        _log.info("webhook", slug=slug, outcome=document.get("status"), execution_id=document.get("execution_id"))
        await JsonResponse(document, status_code=status)(scope, receive, send)

    async def _take(self, hook: Hook, scope: Scope, receive: Receive) -> Answer:
        """Verify a request, and return status and document of its answer."""
        self._rates[hook.config.slug].take(address_of(scope) or "")
        self._service.refuse_when_stopping()
        headers, verification = Headers(scope=scope), hook.config.verify
        if verification.strategy == "none" and not verification.allow_unverified:
            check_local(headers, self._service.app.project.server.host, None)
        body = await read_body(headers, receive, max_bytes=MAX_BYTES)
        received = Received(headers=_joined(headers), body=body, now_ms=now_ms())
        scheme_of(verification).verify(verification, hook.secrets, received)
        WEBHOOK_VERIFIED.add(webhook=hook.config.slug)
        query = dict(QueryParams(scope["query_string"]))
        return await self._taker.take(DeliveryRecord(hook=hook, received=received, query=query))

    async def preload(self) -> None:
        """Start to delete old deliveries; a request needs no library that is not loaded."""
        self._pruning = asyncio.create_task(
            prune_until(self._service.stopping, self._service.app.database, self._hooks)
        )

    async def aclose(self) -> None:
        """Delete no more deliveries; a request is answered as soon as its run is stored."""
        if self._pruning is not None:
            await self._pruning


def _joined(headers: Headers) -> dict[str, str]:
    """Return the headers by name in lower case; the values of a repeated one are joined."""
    names = dict.fromkeys(name.lower() for name in headers)
    return {name: ", ".join(headers.getlist(name)) for name in names}
