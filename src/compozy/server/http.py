"""The application: routes, errors and guard around one service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from compozy import __version__
from compozy.auth.identity import Permission
from compozy.errors import CompozyError
from compozy.server import (
    audit,
    auth,
    batch,
    conversations,
    costs,
    details,
    events,
    health,
    knowledge,
    lists,
    oidc,
    routes,
    schedules,
    sessions,
    signal_events,
    stream,
    web,
    webhooks,
    workers,
)
from compozy.server.access import AccessLog
from compozy.server.auditor import Auditor
from compozy.server.conditional import HeadRequests
from compozy.server.entry import Entry
from compozy.server.examples import add_examples
from compozy.server.gate import Gate, GuardSettings
from compozy.server.guard import Guard
from compozy.server.metrics import Metrics
from compozy.server.models import Problem
from compozy.server.permissions import find_route
from compozy.server.problems import (
    answer_compozy_error,
    answer_http_error,
    answer_internal_error,
    answer_invalid_request,
)
from compozy.server.service import Service

ROUTERS = (
    routes.router,
    lists.router,
    batch.router,
    details.router,
    costs.router,
    events.router,
    stream.router,
    knowledge.router,
    conversations.router,
    schedules.router,
    signal_events.router,
    webhooks.router,
    workers.router,
    auth.router,
    audit.router,
    sessions.router,
    oidc.router,
    health.router,
    web.router,
)
"""All routes but those of triggers."""

_BEARER = "bearer"
_TAGS = [
    {"name": "project", "description": "The project that the server runs."},
    {"name": "workflows", "description": "The workflows of the project, and starting them."},
    {"name": "executions", "description": "Runs of workflows: lists, states, events, and operations on them."},
    {"name": "costs", "description": "Costs of model requests, by day, workflow, agent, model or execution."},
    {"name": "knowledge", "description": "Knowledge bases: ingest documents and query them."},
    {"name": "memory", "description": "Conversations of memories: list, read, append, clear and delete them."},
    {"name": "schedules", "description": "Schedules of workflows: state, next times, pause, trigger and backfill."},
    {"name": "events", "description": "Events that start workflows and wake waiting executions."},
    {"name": "webhooks", "description": "Webhooks, and the requests that they received: list them and replay them."},
    {"name": "workers", "description": "Processes that execute runs, and executions that wait for one."},
    {"name": "users and keys", "description": "Users, their roles and API keys."},
    {"name": "health", "description": "Probes for orchestrators and load balancers."},
]


def _name_of(route: APIRoute) -> str:
    """Return the ID of an operation, which clients use as the name of a function."""
    return route.name


class _Api(FastAPI):
    """FastAPI whose OpenAPI describes problems and authentication."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        document = super().openapi()
        schemas: dict[str, Any] = document["components"]["schemas"]
        schemas.setdefault("Problem", Problem.model_json_schema())
        add_examples(schemas)
        document["components"]["securitySchemes"] = {
            _BEARER: {"type": "http", "scheme": "bearer", "description": "An API key, such as `server.api_key`."}
        }
        # A server on loopback can work without a key.
        document["security"] = [{_BEARER: []}, {}]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if find_route(method.upper(), path).permission is Permission.PUBLIC:
                    operation["security"] = []
        return document


def route_names() -> dict[tuple[str, str], str]:
    """Return the name of each route by method and path."""
    routes = [cast("APIRoute", route) for router in ROUTERS for route in router.routes]
    return {(method, route.path): route.name for route in routes for method in route.methods or ()}


def make_http(
    service: Service, guard: GuardSettings, entries: Sequence[Entry] = (), metrics: Metrics | None = None
) -> ASGIApp:
    """Return the application that answers for `service`, at the paths of `entries`, and with its metrics."""
    api = make_api(service)
    gate = Gate(database=service.app.database, settings=guard)
    api.state.gate = gate
    for entry in entries:
        api.router.routes.append(Route(entry.path, endpoint=entry, include_in_schema=False))
    if metrics is not None:
        api.router.routes.append(metrics.route(service.app))
    auditor = Auditor(service.app.database, route_names())
    return AccessLog(HeadRequests(Guard(api, gate, auditor)))


def make_api(service: Service) -> FastAPI:
    """Return the routes of the API, without the guard."""
    api = _Api(
        title="Compozy",
        version=__version__,
        description="AI workflows written in YAML, every step durable in one database.",
        openapi_tags=_TAGS,
        generate_unique_id_function=_name_of,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Answers contain nothing but what was requested, and no stack traces.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
        exception_handlers={
            CompozyError: answer_compozy_error,
            HTTPException: answer_http_error,
            RequestValidationError: answer_invalid_request,
            Exception: answer_internal_error,
        },
    )
    api.state.service = service
    for router in ROUTERS:
        api.include_router(router)
    return api
