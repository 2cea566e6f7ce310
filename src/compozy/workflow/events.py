"""The event log of a run as JSON documents."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from compozy.clock import format_time
from compozy.database.events import Event, list_events
from compozy.database.executions import execution_not_found, get_status

PAGE = 1000
"""Events on a page at most."""


def read_events(connection: sa.Connection, execution_id: str, *, after: int, limit: int = PAGE) -> dict[str, Any]:
    """Return the state of a run and its events with numbers above `after`, the oldest first, at most `limit`.

    `next_after` is the number to continue with, None if the page is the last one so far.

    Raises:
        NotFoundError: there is none of this ID.
    """
    # The state first: a final state is committed with its event, which the list then holds.
    status = get_status(connection, execution_id)
    if status is None:
        raise execution_not_found(execution_id)
    events = list_events(connection, execution_id, after=after, limit=limit)
    return {
        "execution_id": execution_id,
        "status": status.value,
        "events": [event_document(event) for event in events],
        "next_after": events[-1].seq if len(events) == limit else None,
    }


def event_document(event: Event) -> dict[str, Any]:
    """Return one event as JSON."""
    return {
        "seq": event.seq,
        "kind": event.kind,
        "path": event.path,
        "data": event.data,
        "created_at": format_time(event.created_ms),
    }
