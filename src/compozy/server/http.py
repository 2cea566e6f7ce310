"""The application: routes, errors and guard around one service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from compozy import __version__
from compozy.errors import CompozyError
from compozy.server import auth, events, health, knowledge, routes, schedules, stream
from compozy.server.access import AccessLog
from compozy.server.entry import Entry
from compozy.server.gate import Gate, GuardSettings
from compozy.server.guard import Guard
from compozy.server.models import Problem
from compozy.server.problems import (
    answer_compozy_error,
    answer_http_error,
    answer_internal_error,
    answer_invalid_request,
)
from compozy.server.service import Service

ROUTERS = (routes.router, events.router, stream.router, knowledge.router, schedules.router, auth.router, health.router)
"""All routes but those of triggers."""


class _Api(FastAPI):
    """FastAPI whose OpenAPI knows problems."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        document = super().openapi()
        schemas: dict[str, Any] = document["components"]["schemas"]
        schemas.setdefault("Problem", Problem.model_json_schema())
        return document


def make_http(service: Service, guard: GuardSettings, entries: Sequence[Entry] = ()) -> ASGIApp:
    """Return the application that answers for `service`, and at the paths of `entries` for what they offer."""
    api = _Api(
        title="Compozy",
        version=__version__,
        description="AI workflows written in YAML, every step durable in one database.",
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
    gate = Gate(database=service.app.database, settings=guard)
    api.state.service = service
    api.state.gate = gate
    for router in ROUTERS:
        api.include_router(router)
    for entry in entries:
        api.router.routes.append(Route(entry.path, endpoint=entry, include_in_schema=False))
    return AccessLog(Guard(api, gate))
