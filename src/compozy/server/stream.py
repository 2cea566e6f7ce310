"""The events of executions as server-sent events: what is stored, in order, then what comes, and text as it arrives."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.events import KINDS, TASK_STATUS
from compozy.database.executions import execution_not_found, get_execution, get_statuses, is_execution_id
from compozy.database.jsontext import dump_json
from compozy.database.live_text import TextDelta
from compozy.database.status import Status
from compozy.errors import DatabaseError, NotFoundError, UsageError
from compozy.server.hub import Hub
from compozy.server.routes import PREFIX, ExecutionId, problems, service_of
from compozy.server.sse import EVENTS, EventStream
from compozy.server.watch import Watch
from compozy.workflow.events import read_events

_log = structlog.get_logger(__name__)

COMPLETE = "complete"
ERROR = "error"
LLM_CHUNK = "llm_chunk"
_NAMES = (*KINDS, LLM_CHUNK, COMPLETE, ERROR)
# How long text may arrive after the end of its task.
_LATE_S = 0.5
# Events that one query reads for a client that is behind: it keeps no more of them in memory.
_AT_ONCE = 200
# Proxies close connections on which nothing is sent.
_PING_S = 15.0
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


@router.get(
    "/executions/workflows/{execution_id}/stream", response_class=Response, responses={**EVENTS, **problems(404)}
)
async def stream_execution(start: Annotated[StreamStart, Depends(start_one)]) -> EventStream:
    """The events of one execution as server-sent events, until it has ended.

    The `id` of an event is its number. `llm_chunk` has none: it holds text that a model is writing, which is not
    stored. After the final state comes `complete` or `error`, without an `id`.
    """
    return EventStream(_follow(start, _number))


@router.get("/stream", response_class=Response, responses={**EVENTS, **problems(404)})
async def stream_executions(start: Annotated[StreamStart, Depends(start_several)]) -> EventStream:
    """The events of several executions in one stream, until all of them have ended.

    Each event names its `execution_id`. The `id` holds the number of the last event of each execution. An execution
    that was deleted gets an `error`; if none of them exists, the response is 404.
    """
    return EventStream(_follow(start, _numbers))


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
    statuses = await database.read_async(partial(get_statuses, execution_ids=filter(is_execution_id, positions)))
    for run_id in positions:
        # One of several that was deleted gets its last event; the client may connect again with its ID.
        if run_id not in statuses and not (statuses and is_execution_id(run_id)):
            raise execution_not_found(run_id)
    return StreamStart(database=database, hub=service.hub, positions=positions, names=wanted, poll_s=poll_ms / 1000)


async def _follow(start: StreamStart, id_of: Any) -> AsyncGenerator[bytes]:
    """Yield the events of runs until all have ended, the server stops, or the database is away."""
    poll_s, ping_s = _next_poll_s(start), monotonic_s() + _PING_S
    try:
        with start.hub.watching(start.positions, reads_text=LLM_CHUNK in start.names) as watch:
            while True:
                async for events in _read_on(start, watch, id_of):
                    yield events
                    ping_s = monotonic_s() + _PING_S
                if not watch.open or not await start.hub.wait(watch, min(poll_s, ping_s) - monotonic_s()):
                    return
                if monotonic_s() >= poll_s:
                    watch.note(watch.open)
                    poll_s = _next_poll_s(start)
                if monotonic_s() >= ping_s:
                    yield KEEPALIVE_COMMENT
                    ping_s = monotonic_s() + _PING_S
    except DatabaseError as error:
        # The client connects again, and continues where it was.
        _log.warning("a stream ends because the database is not available", cause=error.message)


def _next_poll_s(start: StreamStart) -> float:
    """Return when to read again without a change. Streams do so at the same times, so that one query reads for all."""
    return monotonic_s() // start.poll_s * start.poll_s + start.poll_s


async def _read_on(start: StreamStart, watch: Watch, id_of: Any) -> AsyncGenerator[bytes]:
    """Yield the events and the text of runs that the client does not know, and at the end of a run its last event."""
    pages = await start.hub.read(watch) if watch.changed else {}
    for run_id, page in pages.items():
        async for events in _read_run(start, watch, run_id, page, id_of):
            yield events
    for run_id in watch.take_written():
        if chunks := _chunks(start, watch, run_id):
            yield chunks


async def _read_run(
    start: StreamStart, watch: Watch, run_id: str, page: dict[str, Any] | None, id_of: Any
) -> AsyncGenerator[bytes]:
    """Yield the stored events of a run from `page` on, and new text; at its end also the last one."""
    while page is not None:
        await _await_texts(start.hub, watch, page)
        if events := b"".join(_events_of(start, watch, page, id_of)):
            yield events
        if page["next_after"] is None:
            break
        query = partial(read_events, execution_id=run_id, after=page["next_after"], limit=_AT_ONCE)
        try:
            page = await start.database.read_async(query)
        except NotFoundError:
            page = None
    if chunks := _chunks(start, watch, run_id):
        yield chunks
    status = None if page is None else Status(page["status"])
    if status is None or status.is_final:
        yield await _read_ending(start, run_id, status)
        watch.end(run_id)


def _chunks(start: StreamStart, watch: Watch, run_id: str, path: str | None = None) -> bytes:
    return b"".join(map(_chunk, start.hub.take_texts(watch, run_id, path=path)))


def _events_of(start: StreamStart, watch: Watch, page: dict[str, Any], id_of: Any) -> Iterator[bytes]:
    """Yield the events of a page, each end of a task after the text of its answers."""
    run_id = page["execution_id"]
    for event in page["events"]:
        start.positions[run_id] = event["seq"]
        if _is_end(event):
            yield _chunks(start, watch, run_id, event["path"])
        if event["kind"] in start.names:
            yield _encode(event["kind"], {"execution_id": run_id, **event}, id_of(start.positions, run_id))


async def _await_texts(hub: Hub, watch: Watch, page: dict[str, Any]) -> None:
    """Wait a moment for the rest of answers whose tasks have ended.

    The text of another process may arrive after the event that its task has ended.
    """
    ended = [event["path"] for event in page["events"] if _is_end(event) and event["data"]["status"] == Status.SUCCESS]
    ends_s = monotonic_s() + _LATE_S
    while (left_s := ends_s - monotonic_s()) > 0 and hub.is_writing(watch, page["execution_id"], ended):
        if not await hub.wait_for_text(watch, left_s):
            return


def _is_end(event: dict[str, Any]) -> bool:
    return event["kind"] == TASK_STATUS and Status(event["data"]["status"]).is_final


def _encode(name: str, data: dict[str, Any], number: str | None = None) -> bytes:
    return format_sse_event(event=name, data_str=dump_json(data), id=number)


def _chunk(delta: TextDelta) -> bytes:
    return _encode(LLM_CHUNK, chunk_document(delta))


def chunk_document(delta: TextDelta) -> dict[str, Any]:
    """Return a piece of an answer as JSON."""
    document = asdict(delta)
    return {**document, "final": document.pop("is_last")}


async def _read_ending(start: StreamStart, run_id: str, status: Status | None) -> bytes:
    """Return the last event of a run: of its final state, or None if the run was deleted."""
    data: dict[str, Any] = {"execution_id": run_id, "status": None if status is None else status.value}
    if status is Status.SUCCESS:
        return _encode(COMPLETE, data)
    try:
        run = await start.database.read_async(partial(get_execution, workflow_exec_id=run_id))
    except NotFoundError as error:
        return _encode(ERROR, {**data, "error": error.to_json()})
    return _encode(ERROR, {**data, "error": run.error})
