"""Checks of each request: API key, host name, origin, media type, size and depth of the body.

A server on loopback is within reach of every web page that its user visits: a page can send requests there, and a name
of the page's own may lead to 127.0.0.1. So the Host header must be a name of loopback, and an Origin the server's own.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compozy.errors import (
    AuthenticationError,
    CompozyError,
    ForbiddenError,
    MediaTypeError,
    TooLargeError,
    UsageError,
)
from compozy.jsoninput import MAX_BYTES, parse_json
from compozy.server.problems import internal_error, problem

_log = structlog.get_logger(__name__)

# Orchestrator probes send no key and any host name; the answer only shows that the server runs.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
# The page that asks for the key holds nothing of the project; the document that it shows needs the key.
PAGES = frozenset({"/", "/docs", "/docs/docs.css", "/docs/docs.js"})
_BODY_S = 30.0
# Where a request keeps its parsed body: it is parsed once.
BODY = "compozy.body"
MAX_VALUES = 500_000
_SMALL = 64 * 1024
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """Limits that requests are checked against. `api_key` None admits every client, which is for loopback only."""

    host: str
    api_key: str | None = field(repr=False)


class Guard:
    """The outermost layer: checks each request before anything else sees it, and answers if an inner layer fails."""

    def __init__(self, app: ASGIApp, settings: GuardSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a valid request, and refuse an invalid one."""
        if scope["type"] != "http":
            # Lifespan; the server has no web sockets.
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            check_request(scope["path"], Headers(scope=scope), self._settings)
            await self._app(scope, await _checked_body(scope, receive), watch)
        except CompozyError as error:
            await problem(error)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the edge: no traceback reaches a client
            _log.exception("a request failed with an internal error", path=scope["path"])
            if not started:
                await problem(internal_error(error))(scope, receive, send)


def check_request(path: str, headers: Headers, settings: GuardSettings) -> None:
    """Refuse a request by its headers.

    Raises:
        ForbiddenError: its Host or Origin is not of this server.
        AuthenticationError: it lacks the API key.
    """
    if path in OPEN_PATHS:
        return
    if is_loopback(settings.host):
        _check_host(headers, settings.host)
        _check_origin(headers)
    if settings.api_key is not None and path not in PAGES:
        _check_key(headers, settings.api_key)


def is_loopback(host: str) -> bool:
    """Return whether `host` names this machine for itself alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_host(headers: Headers, own: str) -> None:
    named = headers.getlist("host")
    name = _host_of(f"//{named[0]}") if len(named) == 1 else None
    if name is None or not (is_loopback(name) or name == own):
        raise ForbiddenError(
            "this server accepts only host names of this machine", hint="use http://127.0.0.1 or http://localhost"
        )


def _check_origin(headers: Headers) -> None:
    origins = headers.getlist("origin")
    if origins and (len(origins) > 1 or origins[0].lower() != f"http://{headers['host'].lower()}"):
        raise ForbiddenError("requests from other web pages are refused")


def _check_key(headers: Headers, api_key: str) -> None:
    given = headers.getlist("authorization")
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    # Compared as bytes, because header values need not be ASCII, and in constant time.
    same = hmac.compare_digest(key.strip().encode(), api_key.encode())
    if scheme.lower() != "bearer" or not same:
        raise AuthenticationError(
            "the API key is missing or wrong",
            hint="send `Authorization: Bearer KEY`; commands read it from COMPOZY_API_KEY",
        )


def _host_of(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        # Reading the port checks it.
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname


async def _checked_body(scope: Scope, receive: Receive) -> Receive:
    """Return what gives the body again, once it was found to be JSON of an acceptable size and depth."""
    body = await _read_body(Headers(scope=scope), receive)
    if body:
        scope[BODY] = await _parse_body(Headers(scope=scope), body)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BYTES:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_S):
            while True:
                message = await receive()
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > MAX_BYTES:
                    raise _too_large()
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError as error:
        raise UsageError(f"the body did not arrive within {_BODY_S:g} s") from error


async def _parse_body(headers: Headers, body: bytes) -> Any:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise MediaTypeError("the body must be JSON", hint="send `Content-Type: application/json`")
    _check_count(body)
    try:
        # A large body in a thread, so that other requests are answered meanwhile.
        return parse_json(body) if len(body) <= _SMALL else await asyncio.to_thread(parse_json, body)
    except ValueError as error:
        raise UsageError(f"the body is not JSON: {error}") from error


def _check_count(body: bytes) -> None:
    """Refuse more values than the parser, which lets nothing else run, reads in a moment."""
    if _count_values(body) > MAX_VALUES and _count_values(_STRING.sub(b"", body)) > MAX_VALUES:
        raise TooLargeError(f"the body has more than {MAX_VALUES} JSON values")


def _count_values(body: bytes) -> int:
    """Return at least the number of values outside of texts."""
    return body.count(b",") + body.count(b"[") + body.count(b"{") + body.count(b":")


def _too_large() -> TooLargeError:
    return TooLargeError(f"the body is larger than {MAX_BYTES // 1024 // 1024} MiB")
