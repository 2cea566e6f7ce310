"""Answers that a client already has: `ETag` and `If-None-Match`, and HEAD."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compozy.server.problems import JsonResponse

ETAG = {"ETag": {"description": "Changes with the content; send it as `If-None-Match`.", "schema": {"type": "string"}}}
CONDITIONAL: dict[int | str, dict[str, Any]] = {
    200: {"headers": ETAG},
    304: {"description": "The content is that of `If-None-Match`.", "headers": ETAG},
}
"""The OpenAPI of answers of `answer_if_changed`."""


def answer_if_changed(request: Request, document: dict[str, Any]) -> Response:
    """Return a document with its entity tag, or 304 if `If-None-Match` contains that tag."""
    answer = JsonResponse(document)
    tag = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    if tag in _known_tags(request):
        return Response(status_code=304, headers={"ETag": tag})
    answer.headers["ETag"] = tag
    return answer


def _known_tags(request: Request) -> set[str]:
    given = request.headers.getlist("if-none-match")
    return {tag.strip().removeprefix("W/") for line in given for tag in line.split(",")}


class HeadRequests:
    """Answers HEAD like GET, without the body. Streams have no end, so that HEAD is not allowed there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].endswith("/stream"):
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)
