"""One log line for each request that was answered, and its metrics."""

from __future__ import annotations

import re
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compozy.clock import monotonic_s
from compozy.telemetry.metrics import AUTH_FAILURES, HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_REQUESTS, is_collecting

_log = structlog.get_logger(__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Paths and methods that the server does not have.
_OTHER = "other"
# Frequent requests of clients and probes: health, the state of runs and ingestions.
_POLLED = re.compile(r"/healthz|/readyz|/api/v0/(executions|.*/(executions|ingestions))(/.*)?")


class AccessLog:
    """Logs method, path, status and milliseconds of requests: successful polling as debug, everything else as info."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and log its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        began_s = monotonic_s()

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        HTTP_IN_FLIGHT.add(1)
        try:
            await self._app(scope, receive, watch)
        finally:
            HTTP_IN_FLIGHT.add(-1)
            method, path = scope["method"], scope["path"]
            if is_collecting():
                _count(scope, status, monotonic_s() - began_s)
            log = _log.debug if is_polling(method, path, status) else _log.info
            log("request", method=method, path=path, status=status, ms=round((monotonic_s() - began_s) * 1000, 1))


def _count(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else _OTHER
    # The template of the route: execution IDs are not labels.
    path = str(getattr(scope.get("route"), "path", _OTHER))
    HTTP_REQUESTS.add(method=method, path=path, status=str(status))
    HTTP_DURATION.observe(seconds, method=method, path=path)
    if status == HTTPStatus.UNAUTHORIZED:
        AUTH_FAILURES.add()


def is_polling(method: str, path: str, status: int) -> bool:
    """Return whether a request only looked at something that clients ask for again and again."""
    is_look = method in {"GET", "HEAD"} and _POLLED.fullmatch(path) is not None
    return is_look and (status < HTTPStatus.BAD_REQUEST or path in {"/healthz", "/readyz"})
