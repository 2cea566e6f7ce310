"""Converts errors to answers: application/problem+json, as RFC 9457 describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from compozy.config.words import describe_without_value
from compozy.errors import CompozyError, InternalError, NotFoundError, RateLimitError, StoppingError, UsageError

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S = "2"


class JsonResponse(JSONResponse):
    """A JSON body. Halves of characters, which JSON may hold and UTF-8 may not, are written as escapes."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        try:
            return text.encode()
        except UnicodeEncodeError:
            return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def problem(error: CompozyError, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer for an error; `status` instead of the error's own."""
    document = problem_document(error, status or error.http_status)
    extra = dict(headers or {})
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = "Bearer"
    if isinstance(error, StoppingError):
        extra["Retry-After"] = _RETRY_AFTER_S
    if isinstance(error, RateLimitError):
        extra["Retry-After"] = str(error.retry_after_s)
    return JsonResponse(document, status_code=document["status"], media_type=MEDIA_TYPE, headers=extra)


def problem_document(error: CompozyError, status: int) -> dict[str, Any]:
    """Return an error as RFC 9457 members, extended by `code`, `hint` and `details`."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "code": error.code,
    }
    if error.hint:
        document["hint"] = error.http_hint or error.hint
    if error.http_hint:
        document["command_hint"] = error.hint
    if error.details:
        document["details"] = error.details
    return document


async def answer_compozy_error(_: Request, error: Exception) -> Response:
    """Answer a Compozy error."""
    return problem(cast("CompozyError", error))


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: an unknown path, a method that a path does not have."""
    refusal = cast("HTTPException", error)
    kind = NotFoundError if refusal.status_code == HTTPStatus.NOT_FOUND else UsageError
    phrase = HTTPStatus(refusal.status_code).phrase.lower()
    message = f"{request.method} {request.url.path}: {phrase}"
    headers = dict(refusal.headers or {})
    if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The router names the methods of the first route only that has this path.
        headers["Allow"] = ", ".join(methods_of(request)) or headers.get("Allow", "GET")
    return problem(kind(message, hint="see /docs for the list of paths"), status=refusal.status_code, headers=headers)


def methods_of(request: Request) -> list[str]:
    """Return the methods that a path has, by the OpenAPI document; a path without parameters comes first."""
    paths: dict[str, dict[str, Any]] = cast("FastAPI", request.app).openapi()["paths"]
    wanted = request.url.path
    found = [wanted] if wanted in paths else [path for path in paths if compile_path(path)[0].match(wanted)]
    return sorted({method.upper() for path in found for method in paths[path]})


async def answer_invalid_request(_: Request, error: Exception) -> Response:
    """Answer invalid parameters and bodies with all their errors."""
    faults = [
        {
            "path": ".".join(str(part) for part in fault["loc"]),
            "message": describe_without_value(fault["type"], fault.get("ctx", {})) or fault["msg"],
        }
        for fault in cast("RequestValidationError", error).errors()
    ]
    lines = "; ".join(f"{fault['path']}: {fault['message']}" for fault in faults)
    return problem(UsageError(lines, details={"problems": faults}), status=HTTPStatus.UNPROCESSABLE_ENTITY)


async def answer_internal_error(_: Request, error: Exception) -> Response:
    """Answer an unexpected exception, which the server then logs."""
    return problem(internal_error(error))


def internal_error(error: Exception) -> InternalError:
    """Return an internal error with the exception type only, since its message may contain a secret."""
    return InternalError(f"Internal error: {type(error).__name__}", hint="the server's log has more")
