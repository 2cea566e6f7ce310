"""The events of executions as server-sent events: what is stored, in order, then what comes, and text as it arrives."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.events import KINDS, TASK_STATUS
from compozy.database.executions import execution_not_found, get_execution, get_status, is_execution_id
from compozy.database.jsontext import dump_json
from compozy.database.live_text import TextDelta
from compozy.database.status import Status
from compozy.errors import CompozyError, DatabaseError, NotFoundError, UsageError
from compozy.server.hub import Hub, Watch
from compozy.server.routes import PREFIX, ExecutionId, problems, service_of
from compozy.workflow.events import read_events

_log = structlog.get_logger(__name__)

COMPLETE = "complete"
ERROR = "error"
LLM_CHUNK = "llm_chunk"
_NAMES = (*KINDS, LLM_CHUNK, COMPLETE, ERROR)
_LAST = (COMPLETE, ERROR)
# How long text may arrive after the end of its task.
_LATE_S = 0.5
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

    The `id` of an event is its number. `llm_chunk` has none: it holds text that a model is writing, which is not
    stored. After the final state comes `complete` or `error`, without an `id`.
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
    left = list(start.positions)
    try:
        with start.hub.watching(left, reads_text=LLM_CHUNK in start.names) as watch:
            while True:
                changed, written = watch.take()
                for run_id in [run_id for run_id in left if run_id in changed or run_id in written]:
                    async for event in _read_on(start, watch, run_id, id_of, is_changed=run_id in changed):
                        if event.event in _LAST:
                            left.remove(run_id)
                        yield event
                if not left or not await start.hub.wait(watch, start.poll_s):
                    return
                if not watch.woken.is_set():
                    watch.note(())
    except DatabaseError as error:
        # The client connects again, and continues where it was.
        _log.warning("a stream ends because the database is not available", cause=error.message)


async def _read_on(
    start: StreamStart, watch: Watch, run_id: str, id_of: Any, *, is_changed: bool
) -> AsyncIterator[ServerSentEvent]:
    """Yield the stored events of a run that the client does not know, and new text; at its end also the last one."""
    status: Status | None = None
    while is_changed:
        query = partial(read_events, execution_id=run_id, after=start.positions[run_id], limit=_AT_ONCE)
        try:
            page = await start.database.read_async(query)
        except NotFoundError as error:
            yield _ending(run_id, None, error)
            return
        await _await_texts(start.hub, watch, page)
        for event in _events_of(start, watch, page, id_of):
            yield event
        status, is_changed = Status(page["status"]), page["next_after"] is not None
    for delta in start.hub.take_texts(watch, run_id):
        yield _chunk(delta)
    if status is not None and status.is_final:
        run = await start.database.read_async(partial(get_execution, workflow_exec_id=run_id))
        yield _ending(run_id, status, run.error)


def _events_of(start: StreamStart, watch: Watch, page: dict[str, Any], id_of: Any) -> Iterator[ServerSentEvent]:
    """Yield the events of a page, each end of a task after the text of its answers."""
    run_id = page["execution_id"]
    for event in page["events"]:
        start.positions[run_id] = event["seq"]
        if _is_end(event):
            yield from map(_chunk, start.hub.take_texts(watch, run_id, path=event["path"]))
        if event["kind"] in start.names:
            data = {"execution_id": run_id, **event}
            yield ServerSentEvent(event=event["kind"], raw_data=dump_json(data), id=id_of(start.positions, run_id))


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


def _chunk(delta: TextDelta) -> ServerSentEvent:
    return ServerSentEvent(event=LLM_CHUNK, raw_data=dump_json(chunk_document(delta)))


def chunk_document(delta: TextDelta) -> dict[str, Any]:
    """Return a piece of an answer as JSON."""
    document = asdict(delta)
    return {**document, "final": document.pop("is_last")}


def _ending(run_id: str, status: Status | None, error: CompozyError | dict[str, Any] | None) -> ServerSentEvent:
    known = error.to_json() if isinstance(error, CompozyError) else error
    data: dict[str, Any] = {"execution_id": run_id, "status": None if status is None else status.value}
    if status is Status.SUCCESS:
        return ServerSentEvent(event=COMPLETE, raw_data=dump_json(data))
    return ServerSentEvent(event=ERROR, raw_data=dump_json({**data, "error": known}))
