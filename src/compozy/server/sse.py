"""Server-sent events as a response: encoded events, sent in the pieces in which they come.

FastAPI's own response for generators passes each event through two tasks and sends it alone, which takes several times
as long as reading it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Send

_EVENT_SCHEMA = {
    "type": "object",
    "properties": {
        "data": {"type": "string"},
        "event": {"type": "string"},
        "id": {"type": "string"},
        "retry": {"type": "integer", "minimum": 0},
    },
}


class EventStream(StreamingResponse):
    """A response of encoded events.

    Args:
        events: the events, in pieces of any number. It is closed when the client leaves.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        # nginx would collect the events.
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """Send the events, and close them also when the client leaves."""
        async with aclosing(self._events):
            await super().stream_response(send)


EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {EventStream.media_type: {"itemSchema": _EVENT_SCHEMA}}}}
"""The OpenAPI of a route that returns an `EventStream`; its `response_class` is `Response`, which has no media type."""
