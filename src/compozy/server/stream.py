"""The events of executions as server-sent events: what is stored, in order, and then what comes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from compozy.database.database import Database
from compozy.database.events import KINDS
from compozy.database.executions import execution_not_found, get_execution, get_status, is_execution_id
from compozy.database.jsontext import dump_json
from compozy.database.status import Status
from compozy.errors import CompozyError, DatabaseError, NotFoundError, UsageError
from compozy.server.hub import Hub
from compozy.server.routes import PREFIX, ExecutionId, problems, service_of
from compozy.workflow.events import read_events

_log = structlog.get_logger(__name__)

COMPLETE = "complete"
ERROR = "error"
_NAMES = (*KINDS, COMPLETE, ERROR)
# Events that one query reads: a client that reads slowly keeps no more of them in memory.
_AT_ONCE = 200
MAX_EXECUTIONS = 50
_POSITION = re.compile(r"([A-Za-z0-9._:-]{1,128})=([0-9]{1,18})")

router = APIRouter(prefix=PREFIX, responses=problems(400, 401, 403, 422, 500, 503), tags=["executions"])

Names = Annotated[
    str | None,
    Query(
        alias="events", description=f"Names of the events to send, with commas: {', '.join(_NAMES)}.", max_length=200
    ),
]
PollMs = Annotated[
    int,
    Query(
        description="Milliseconds after which the database is read again if no change was noticed.", ge=100, le=60_000
    ),
]


@dataclass(frozen=True, kw_only=True)
class StreamStart:
    """Where a stream begins: for each run the number of the last event that the client knows."""

    database: Database
    hub: Hub
    positions: dict[str, int]
    names: frozenset[str]
    poll_s: float


async def start_one(
    request: Request,
    execution_id: ExecutionId,
    last_event_id: Annotated[
        str | None, Header(description="`id` of the last event that was received.", pattern=r"^[0-9]{1,18}$")
    ] = None,
    after: Annotated[int, Query(description="Only events with a larger number.", ge=0, le=10**18)] = 0,
    names: Names = None,
    poll_ms: PollMs = 1000,
) -> StreamStart:
    """Return the start of the stream of one execution."""
    known = int(last_event_id) if last_event_id is not None else after
    return await _start(request, {execution_id: known}, names, poll_ms)


async def start_several(
    request: Request,
    executions: Annotated[
        list[str], Query(alias="execution", description="Execution IDs.", min_length=1, max_length=MAX_EXECUTIONS)
    ],
    last_event_id: Annotated[str | None, Header(description="`id` of the last event that was received.")] = None,
    names: Names = None,
    poll_ms: PollMs = 1000,
) -> StreamStart:
    """Return the start of the stream of several executions."""
    known = _read_positions(last_event_id or "")
    return await _start(request, {run_id: known.get(run_id, 0) for run_id in executions}, names, poll_ms)


@router.get("/executions/workflows/{execution_id}/stream", response_class=EventSourceResponse, responses=problems(404))
async def stream_execution(start: Annotated[StreamStart, Depends(start_one)]) -> AsyncIterable[ServerSentEvent]:
    """The events of one execution as server-sent events, until it has ended.

    The `id` of an event is its number. After the final state comes `complete` or `error`, without an `id`.
    """
    async for event in _follow(start, _number):
        yield event


@router.get("/stream", response_class=EventSourceResponse, responses=problems(404))
async def stream_executions(start: Annotated[StreamStart, Depends(start_several)]) -> AsyncIterable[ServerSentEvent]:
    """The events of several executions in one stream, until all of them have ended.

    Each event names its `execution_id`. The `id` holds the number of the last event of each execution.
    """
    async for event in _follow(start, _numbers):
        yield event


def _number(positions: dict[str, int], run_id: str) -> str:
    return str(positions[run_id])


def _numbers(positions: dict[str, int], run_id: str) -> str:
    del run_id
    return ",".join(f"{known}={number}" for known, number in positions.items())


def _read_positions(text: str) -> dict[str, int]:
    """Read what `_numbers` wrote.

    Raises:
        UsageError: it is something else.
    """
    found = [_POSITION.fullmatch(part) for part in text.split(",")] if text else []
    if any(match is None for match in found):
        raise UsageError(f"Last-Event-ID is not the id of an event of this stream: {text[:100]!r}")
    return {match[1]: int(match[2]) for match in found if match is not None}


async def _start(request: Request, positions: dict[str, int], names: str | None, poll_ms: int) -> StreamStart:
    wanted = frozenset(_NAMES if names is None else (name.strip() for name in names.split(",")))
    if unknown := sorted(wanted.difference(_NAMES)):
        raise UsageError(f"unknown event {unknown[0]!r}", hint=f"events: {', '.join(_NAMES)}")
    service = service_of(request)
    service.refuse_when_stopping()
    database = service.app.database
    for run_id in positions:
        if (
            not is_execution_id(run_id)
            or await database.read_async(partial(get_status, workflow_exec_id=run_id)) is None
        ):
            raise execution_not_found(run_id)
    return StreamStart(database=database, hub=service.hub, positions=positions, names=wanted, poll_s=poll_ms / 1000)


async def _follow(start: StreamStart, id_of: Any) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of runs until all have ended, the server stops, or the database is away."""
    positions, left = start.positions, set(start.positions)
    try:
        with start.hub.watching(left) as watch:
            while True:
                changed = watch.take()
                for run_id in [run_id for run_id in positions if run_id in left and run_id in changed]:
                    async for event in _read_on(start, run_id, id_of):
                        if event.id is None:
                            left.discard(run_id)
                        yield event
                if not left or not await start.hub.wait(watch, start.poll_s):
                    return
                if not watch.changed:
                    watch.note(())
    except DatabaseError as error:
        # The client connects again, and continues where it was.
        _log.warning("a stream ends because the database is not available", cause=error.message)


async def _read_on(start: StreamStart, run_id: str, id_of: Any) -> AsyncIterator[ServerSentEvent]:
    """Yield the stored events of a run that the client does not know; at its end also the one that says so."""
    positions = start.positions
    while True:
        query = partial(read_events, execution_id=run_id, after=positions[run_id], limit=_AT_ONCE)
        try:
            page = await start.database.read_async(query)
        except NotFoundError as error:
            yield _ending(run_id, None, error)
            return
        for event in page["events"]:
            positions[run_id] = event["seq"]
            if event["kind"] in start.names:
                data = {"execution_id": run_id, **event}
                yield ServerSentEvent(event=event["kind"], raw_data=dump_json(data), id=id_of(positions, run_id))
        if page["next_after"] is None:
            break
    status = Status(page["status"])
    if status.is_final:
        run = await start.database.read_async(partial(get_execution, workflow_exec_id=run_id))
        yield _ending(run_id, status, run.error)


def _ending(run_id: str, status: Status | None, error: CompozyError | dict[str, Any] | None) -> ServerSentEvent:
    known = error.to_json() if isinstance(error, CompozyError) else error
    data: dict[str, Any] = {"execution_id": run_id, "status": None if status is None else status.value}
    if status is Status.SUCCESS:
        return ServerSentEvent(event=COMPLETE, raw_data=dump_json(data))
    return ServerSentEvent(event=ERROR, raw_data=dump_json({**data, "error": known}))
