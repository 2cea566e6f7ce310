"""The event log of a run as JSON documents."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from compozy.clock import format_time
from compozy.database.events import Event, Position, list_events, list_new_events
from compozy.database.executions import execution_not_found, get_status, get_statuses
from compozy.database.status import Status

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
    return _page(execution_id, status, list_events(connection, execution_id, after=after, limit=limit), limit)


def read_new_events(
    connection: sa.Connection, positions: Collection[Position], *, limit: int
) -> dict[Position, dict[str, Any] | None]:
    """Return for each position the page that `read_events` returns; None if the run does not exist."""
    statuses = get_statuses(connection, {execution_id for execution_id, _ in positions})
    events = list_new_events(connection, positions, limit=limit)
    return {
        position: _page(position[0], statuses[position[0]], found, limit) if position[0] in statuses else None
        for position, found in events.items()
    }


def _page(execution_id: str, status: Status, events: Sequence[Event], limit: int) -> dict[str, Any]:
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
