"""Bodies of requests as the guard parsed them: once, checked, and outside of the event loop when they are large."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from compozy.server.guard import BODY


class ParsedRequest(Request):
    """A request whose JSON is there already."""

    async def json(self) -> Any:
        """Return the body's value."""
        return self.scope[BODY] if BODY in self.scope else await super().json()


class ParsedRoute(APIRoute):
    """A route that does not parse bodies a second time."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers requests."""
        handle = super().get_route_handler()

        async def with_parsed_body(request: Request) -> Response:
            return await handle(ParsedRequest(request.scope, request.receive))

        return with_parsed_body
