"""`/healthz`, `/readyz`, and the page at `/docs`."""

from __future__ import annotations

from functools import cache, partial
from importlib.resources import files

import sqlalchemy as sa
from fastapi import APIRouter, Request
from starlette.responses import Response

from compozy.app import App
from compozy.database.database import Database
from compozy.database.facts import ping
from compozy.database.filesystem import refuse_full
from compozy.errors import DatabaseError, StoppingError
from compozy.server.models import Health
from compozy.server.problems import JsonResponse
from compozy.server.routes import service_of

# Claims run every second, and wait for locks for less than this.
_STALLED_S = 12.0

router = APIRouter(default_response_class=JsonResponse, tags=["health"])

# The page may load its own script and style, and ask this server; nothing else.
_DOCS_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'"
_MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


@router.get("/healthz", response_model=Health)
async def get_health() -> JsonResponse:
    """Whether the server is running."""
    return JsonResponse({"status": "ok"})


@router.get("/readyz", response_model=Health)
async def get_readiness(request: Request) -> JsonResponse:
    """Whether the server executes runs: its database is usable, runs are claimed, and it is not about to stop."""
    service = service_of(request)
    await check_ready(service.app, is_stopping=service.stopping.is_set())
    return JsonResponse({"status": "ready"})


async def check_ready(app: App, *, is_stopping: bool) -> None:
    """Return if a process executes runs.

    Raises:
        StoppingError: it is about to stop.
        DatabaseError: its database does not answer or has no space, or waiting runs are not claimed.
    """
    if is_stopping:
        raise StoppingError("the server is shutting down")
    await app.database.read_async(partial(_check_database, app.database))
    stalled_s = app.runtime.claims_stalled_s()
    if stalled_s > _STALLED_S:
        raise DatabaseError(
            f"this server has not claimed waiting runs for {stalled_s:.0f} s",
            hint="the server's log has the cause. Runs are claimed again as soon as the database answers",
        )


def _check_database(database: Database, connection: sa.Connection) -> None:
    ping(connection)
    file = database.settings.file
    if file is not None:
        # Queries succeed on a full disk, but no run can be accepted.
        refuse_full(file, database.location)


@router.get("/docs", include_in_schema=False)
async def get_docs() -> Response:
    """Show the API to a person."""
    return _page("docs.html")


@router.get("/docs/docs.css", include_in_schema=False)
async def get_docs_style() -> Response:
    """Return the style of the page."""
    return _page("docs.css")


@router.get("/docs/docs.js", include_in_schema=False)
async def get_docs_script() -> Response:
    """Return the script that reads /openapi.json."""
    return _page("docs.js")


def _page(name: str) -> Response:
    headers = {"Content-Security-Policy": _DOCS_POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(_content(name), media_type=_MEDIA_TYPES[name.rpartition(".")[2]], headers=headers)


@cache
def _content(name: str) -> bytes:
    return files("compozy.server").joinpath("pages", name).read_bytes()
