"""`compozy workflow events --follow`: the events of an execution as they are stored, until it has ended."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from compozy.cli.output import flush_output, json_text, paint, print_line, print_note
from compozy.clock import monotonic_s
from compozy.database.status import Status
from compozy.errors import DatabaseError, NotFoundError, ServerError

if TYPE_CHECKING:
    from compozy.client import Client, Document

ReadPage = Callable[[int], "Document"]

_POLL_S = 0.2
_AGAIN_S = 0.5
# How long a server may be away, for example while it restarts.
_AWAY_S = 30.0
# The number, time, kind and task of an event. Later lines are not known yet, so that a longer cell moves its line.
_WIDTHS = (4, 24, 15, 16)
_LAST = ("complete", "error")
# Every kind that is stored. Text of models is not, and a server streams it only to clients that ask for it.
STORED = "workflow_status,task_status,tool_call,signal,budget"


def read_stream(client: Client, execution_id: str, after: int) -> Iterator[Document]:
    """Yield the events of an execution on a server, as they arrive; the server may restart meanwhile.

    Raises:
        NotFoundError: the execution was deleted.
        ServerError: the server was away for 30 s.
    """
    away_since: float | None = None
    while True:
        try:
            with client.open_stream(
                "executions", "workflows", execution_id, "stream", after=str(after), events=STORED
            ) as events:
                away_since = None
                for name, data in events:
                    event: Document = json.loads(data)
                    if name in _LAST:
                        _check_exists(event)
                        return
                    after = event["seq"]
                    yield event
        except (ServerError, DatabaseError, OSError, http.client.HTTPException) as error:
            if away_since is None:
                away_since = monotonic_s()
                print_note(f"waiting: the server at {client.url} is not available")
            elif monotonic_s() - away_since > _AWAY_S:
                message = f"cannot read the events of execution {execution_id} from {client.url}"
                raise ServerError(message, hint=f"continue with --after {after}") from error
        time.sleep(_AGAIN_S)


def read_stored(read: ReadPage, execution_id: str, after: int) -> Iterator[Document]:
    """Yield the events of an execution in the database of this project, as other processes store them.

    Raises:
        NotFoundError: the execution was deleted.
    """
    while True:
        page = read(after)
        for event in page["events"]:
            after = event["seq"]
            yield {"execution_id": execution_id, **event}
        if page["next_after"] is None:
            if Status(page["status"]).is_final:
                return
            time.sleep(_POLL_S)


def print_followed(
    events: Iterator[Document], cells_of: Callable[[Document], tuple[str, ...]], *, as_json: bool
) -> None:
    """Print one line for each event immediately: columns, or a JSON object."""
    is_first = True
    for event in events:
        if as_json:
            print_line(json_text(event))
        else:
            if is_first:
                print_line(paint(_line(("SEQ", "TIME", "KIND", "TASK", "EVENT")), "bold", stream=sys.stdout))
            print_line(_line(cells_of(event)))
        is_first = False
        flush_output()


def _line(cells: tuple[str, ...]) -> str:
    *columns, last = cells
    return "  ".join([*(cell.ljust(width) for cell, width in zip(columns, _WIDTHS, strict=True)), last]).rstrip()


def _check_exists(ending: dict[str, Any]) -> None:
    if ending["status"] is None:
        raise NotFoundError(ending["error"]["message"])
