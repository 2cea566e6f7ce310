"""Checks of the parameters of requests, and their bodies as the guard parsed them.

A body is parsed once, checked, and outside of the event loop when it is large.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from compozy.nearest import suggest
from compozy.server.guard import BODY

_MAX_UNKNOWN = 10
_LONGEST_NAME = 64


class ParsedRequest(Request):
    """A request whose JSON is there already."""

    async def json(self) -> Any:
        """Return the body's value."""
        return self.scope[BODY] if BODY in self.scope else await super().json()


class ParsedRoute(APIRoute):
    """A route that refuses unknown query parameters, and does not parse bodies a second time."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers requests."""
        handle, known = super().get_route_handler(), tuple(_query_names(self))

        async def with_parsed_body(request: Request) -> Response:
            _refuse_unknown(request, known)
            return await handle(ParsedRequest(request.scope, request.receive))

        return with_parsed_body


def _query_names(route: APIRoute) -> Iterator[str]:
    """Return the names of the query parameters of a route, also of those that are fields of a model."""
    for parameter in route.dependant.query_params:
        annotation = parameter.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from (field.alias or name for name, field in annotation.model_fields.items())
        else:
            yield parameter.alias


def _refuse_unknown(request: Request, known: Sequence[str]) -> None:
    """Refuse query parameters that a route does not have: a misspelled filter would return everything."""
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError([_fault(name, known) for name in unknown[:_MAX_UNKNOWN]])


def _fault(name: str, known: Sequence[str]) -> dict[str, Any]:
    hint = suggest(name, known)
    message = f"unknown parameter; {hint}" if hint else "unknown parameter"
    return {"type": "unknown_parameter", "loc": ("query", name[:_LONGEST_NAME]), "msg": message}
