"""The port of a worker: probes for orchestrators, and metrics."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from compozy.app import App
from compozy.errors import NotFoundError
from compozy.server.access import AccessLog
from compozy.server.auditor import Auditor
from compozy.server.gate import Gate, GuardSettings
from compozy.server.guard import Guard
from compozy.server.health import check_ready
from compozy.server.metrics import Metrics
from compozy.server.problems import JsonResponse


def make_probes(app: App, stopping: asyncio.Event, guard: GuardSettings, metrics: Metrics | None) -> ASGIApp:
    """Return the application that answers `/healthz` and `/readyz` for a worker, and requests of its metrics."""

    async def get_health(_: Request) -> JsonResponse:
        return JsonResponse({"status": "ok"})

    async def get_readiness(_: Request) -> JsonResponse:
        await check_ready(app, is_stopping=stopping.is_set())
        return JsonResponse({"status": "ready"})

    routes = [Route("/healthz", get_health), Route("/readyz", get_readiness)]
    if metrics is not None:
        routes.append(metrics.route(app))
    # Errors are answered by the guard.
    gate = Gate(database=app.database, settings=guard)
    return AccessLog(Guard(Router(routes, default=_refuse), gate, Auditor(app.database, {})))


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    del receive, send
    raise NotFoundError(f"a worker has nothing at {scope['path']!r}", hint="it has /healthz and /readyz")
