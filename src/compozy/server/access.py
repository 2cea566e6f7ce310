"""One log line for each request that was answered, its metrics and its span."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compozy.clock import monotonic_s
from compozy.server.gate import IDENTITY
from compozy.telemetry.metrics import AUTH_FAILURES, HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_REQUESTS, is_collecting
from compozy.telemetry.traces import NO_SPAN, Span, called_by, current_trace_id, read_traceparent, span

_log = structlog.get_logger(__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Paths and methods that the server does not have.
_OTHER = "other"
# Frequent requests of clients and probes: health, the state of runs and ingestions, files of the web page.
_POLLED = re.compile(r"/healthz|/readyz|/ui(/.*)?|/api/v0/(stream|(executions|.*/(executions|ingestions))(/.*)?)")


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
        with _traced(scope) as shown:
            try:
                await self._app(scope, receive, watch)
            finally:
                HTTP_IN_FLIGHT.add(-1)
                shown.rename(f"{_method_of(scope)} {_template_of(scope)}")
                shown.set("http.route", _template_of(scope))
                shown.set("http.response.status_code", status)
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    shown.fail(str(status))
                seconds = monotonic_s() - began_s
                if is_collecting():
                    _count(scope, status, seconds)
                _write_line(scope, status, seconds)


@contextmanager
def _traced(scope: Scope) -> Generator[Span, None, None]:
    """Record the span of a request, which continues the trace of the caller; requests that only look have none."""
    if is_polling(scope["method"], scope["path"], HTTPStatus.OK):
        yield NO_SPAN
        return
    caller = read_traceparent(Headers(scope=scope).get("traceparent"))
    about = {"http.request.method": _method_of(scope), "url.path": scope["path"]}
    with called_by(caller), span(_method_of(scope), about, kind="server", parent=caller) as shown:
        yield shown


def _write_line(scope: Scope, status: int, seconds: float) -> None:
    method, path = scope["method"], scope["path"]
    sender = scope.get(IDENTITY)
    more = {
        "execution_id": scope.get("path_params", {}).get("execution_id"),
        "user": None if sender is None else sender.known_name,
        "trace_id": current_trace_id(),
    }
    log = _log.debug if is_polling(method, path, status) else _log.info
    known = {name: value for name, value in more.items() if value is not None}
    log("request", method=method, path=path, status=status, ms=round(seconds * 1000, 1), **known)


def _method_of(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else _OTHER


def _template_of(scope: Scope) -> str:
    """Return the path of the route: execution IDs are neither labels nor names."""
    return str(getattr(scope.get("route"), "path", _OTHER))


def _count(scope: Scope, status: int, seconds: float) -> None:
    method, path = _method_of(scope), _template_of(scope)
    HTTP_REQUESTS.add(method=method, path=path, status=str(status))
    HTTP_DURATION.observe(seconds, method=method, path=path)
    if status == HTTPStatus.UNAUTHORIZED:
        AUTH_FAILURES.add()


def is_polling(method: str, path: str, status: int) -> bool:
    """Return whether a request only looked at something that clients ask for again and again."""
    is_look = method in {"GET", "HEAD"} and _POLLED.fullmatch(path) is not None
    return is_look and (status < HTTPStatus.BAD_REQUEST or path in {"/healthz", "/readyz"})
