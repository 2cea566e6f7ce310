"""Checks of each request: host name, origin, credential and role (`gate`), media type, size and depth of the body.

A server on loopback is within reach of every web page that its user visits: a page can send requests there, and a name
of the page's own may lead to 127.0.0.1. So the Host header must be a name of loopback, and an Origin the server's own.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compozy.auth.identity import LOCAL, PUBLIC
from compozy.config.loopback import is_loopback
from compozy.errors import (
    CompozyError,
    ForbiddenError,
    MediaTypeError,
    TooLargeError,
    UsageError,
)
from compozy.jsoninput import MAX_BYTES, parse_json
from compozy.server.auditor import Auditor
from compozy.server.gate import IDENTITY, OPEN_PATHS, SENDER, Gate, GuardSettings
from compozy.server.permissions import WEBHOOK, find_route
from compozy.server.problems import internal_error, problem

_log = structlog.get_logger(__name__)

_BODY_S = 30.0
# Where a request keeps its parsed body: it is parsed once.
BODY = "compozy.body"
MAX_VALUES = 500_000
_SMALL = 64 * 1024
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class Guard:
    """The outermost layer: checks each request before anything else sees it, and answers if an inner layer fails."""

    def __init__(self, app: ASGIApp, gate: Gate, auditor: Auditor) -> None:
        self._app = app
        self._auditor = auditor
        self._gate = gate

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

        answer: Send = watch
        try:
            if find_route(scope["method"], scope["path"]).path == WEBHOOK:
                # Its endpoint verifies the sender, and reads the bytes that are signed.
                scope[IDENTITY] = PUBLIC
                SENDER.set(PUBLIC)
                await self._app(scope, receive, watch)
                return
            check_request(scope["path"], Headers(scope=scope), self._gate.settings)
            identity = scope[IDENTITY] = await self._gate.admit(scope)
            SENDER.set(identity)
            if identity is not LOCAL:
                answer = self._auditor.watch(scope, watch)
            await self._gate.authorize(identity, scope)
            await self._app(scope, await _checked_body(scope, receive), answer)
        except CompozyError as error:
            await problem(error)(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the edge: no traceback reaches a client
            _log.exception("a request failed with an internal error", path=scope["path"])
            if not started:
                await problem(internal_error(error))(scope, receive, send)


def check_request(path: str, headers: Headers, settings: GuardSettings) -> None:
    """Refuse a request by its headers, on a server on loopback or with a public URL.

    Raises:
        ForbiddenError: its Host or Origin is not of this server.
    """
    if path not in OPEN_PATHS:
        check_local(headers, settings.host, settings.public_url)


def check_local(headers: Headers, own: str, public_url: str | None) -> None:
    """Refuse a request that a web page or a name of elsewhere led to a server on loopback or with a public URL.

    Raises:
        ForbiddenError: its Host or Origin is not of this server.
    """
    if not (is_loopback(own) or public_url):
        return
    named = headers.getlist("host")
    host = named[0].lower() if len(named) == 1 else ""
    public = None if public_url is None else urlsplit(public_url)
    if public is not None and host == public.netloc:
        _check_origin(headers, f"{public.scheme}://{public.netloc}")
        return
    name = _host_of(f"//{host}")
    if name is None or not (is_loopback(name) or name == own):
        hint = public_url or "http://127.0.0.1 or http://localhost"
        raise ForbiddenError("this server accepts only its own host names", hint=f"use {hint}")
    _check_origin(headers, f"http://{host}")


def _check_origin(headers: Headers, own: str) -> None:
    origins = headers.getlist("origin")
    if origins and (len(origins) > 1 or origins[0].lower() != own):
        raise ForbiddenError("requests from other web pages are refused")


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
    body = await read_body(Headers(scope=scope), receive)
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


async def read_body(headers: Headers, receive: Receive, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the body of a request.

    Raises:
        TooLargeError: it has more than `max_bytes`.
        UsageError: it did not arrive in time, or the client left.
    """
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise UsageError("the client left before its body had arrived")
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
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


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {max_bytes // 1024 // 1024} MiB")
