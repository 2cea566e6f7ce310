"""Schedules over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from compozy.schedule.config import Moment
from compozy.scheduler.documents import MAX_NEXT
from compozy.scheduler.verbs import ScheduleVerbs
from compozy.server.body import ParsedRoute
from compozy.server.gate import identity_of, may_see
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of
from compozy.telemetry.traces import traceparent_for_runs

ScheduleId = Annotated[str, Path(description="Schedule ID, or the ID of a workflow with one schedule.")]

router = APIRouter(
    prefix=f"{PREFIX}/schedules",
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["schedules"],
)


class SkippedTick(BaseModel):
    """The last scheduled time at which no run started."""

    at: str
    reason: str = Field(description="overlap, missed, invalid_input, exists or internal_error.")
    message: str


class ScheduleInfo(BaseModel):
    """A schedule and where it stands."""

    schedule_id: str
    workflow_id: str
    state: str = Field(description="active, paused, ended or removed.")
    reason: str | None = Field(description="Why it is paused.")
    cron: str | None
    every: float | None = Field(description="Interval in seconds.")
    timezone: str | None
    description: str = Field(description="Its times in words.")
    next_at: str | None = Field(description="Scheduled time of the next run.")
    buffered_at: str | None = Field(description="Scheduled time of the run that waits for the end of the previous one.")
    last_at: str | None
    last_execution_id: str | None
    started: int = Field(description="Number of runs that it started.")
    skipped: dict[str, int] = Field(description="Number of scheduled times without a run, by reason.")
    last_skip: SkippedTick | None
    overlap_policy: str
    catch_up: str
    differs_from_file: list[str] = Field(description="Keys that were changed since the file was read.")


class ScheduleList(BaseModel):
    """The schedules of the project."""

    schedules: list[ScheduleInfo]


class NextTime(BaseModel):
    """A scheduled time, in UTC and in the time zone of the schedule."""

    at: str
    local: str


class NextTimes(BaseModel):
    """The next scheduled times."""

    schedule_id: str
    timezone: str
    state: str
    next: list[NextTime]


class Triggered(BaseModel):
    """A run that was started besides the times of its schedule."""

    schedule_id: str
    execution_id: str


class BackfillBody(BaseModel):
    """A period in the past, both ends included."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    start: Moment = Field(description="First time.")
    end: Moment = Field(description="Last time.")


class Backfilled(BaseModel):
    """The runs of past times."""

    schedule_id: str
    started: list[str] = Field(description="IDs of the new executions.")
    existing: list[str] = Field(description="IDs of executions that existed.")


class ScheduleChange(BaseModel):
    """Values to change until the file of the workflow changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    enabled: bool | None = Field(default=None, description="False pauses the schedule.")
    cron: str | None = Field(default=None, max_length=256, description="Cron expression.")
    every: float | None = Field(default=None, description="Interval in seconds.")
    timezone: str | None = Field(default=None, max_length=64, description="Time zone of `cron`.")


@router.get("", response_model=ScheduleList)
async def list_schedules(request: Request) -> JsonResponse:
    """The schedules of the project, or of the workflows that the API key is limited to."""
    listed = (await _verbs(request).list())["schedules"]
    return JsonResponse({"schedules": [each for each in listed if may_see(request, each["workflow_id"])]})


@router.get("/{schedule_id}", response_model=ScheduleInfo, responses=problems(404))
async def get_schedule(request: Request, schedule_id: ScheduleId) -> JsonResponse:
    """One schedule."""
    return JsonResponse(await _verbs(request).get(schedule_id))


@router.patch("/{schedule_id}", response_model=ScheduleInfo, responses=problems(404, 409))
async def change_schedule(request: Request, schedule_id: ScheduleId, body: ScheduleChange) -> JsonResponse:
    """Pause, resume or change a schedule until the file of its workflow changes."""
    asked: dict[str, Any] = {name: value for name, value in body if value is not None}
    return JsonResponse(await _verbs(request).change(schedule_id, asked, reason="paused by a request"))


@router.delete("/{schedule_id}", response_model=ScheduleInfo, responses=problems(404, 409))
async def remove_schedule(request: Request, schedule_id: ScheduleId) -> JsonResponse:
    """Stop a schedule until the file of its workflow changes, or until it is enabled again."""
    return JsonResponse(await _verbs(request).remove(schedule_id))


@router.get("/{schedule_id}/next", response_model=NextTimes, responses=problems(404))
async def list_next_times(
    request: Request,
    schedule_id: ScheduleId,
    count: Annotated[int, Query(description="Number of times.", ge=1, le=MAX_NEXT)] = 10,
) -> JsonResponse:
    """The next times of a schedule, also if it is paused."""
    return JsonResponse(await _verbs(request).next(schedule_id, count))


@router.post("/{schedule_id}/trigger", status_code=202, response_model=Triggered, responses=problems(404))
async def trigger_schedule(request: Request, schedule_id: ScheduleId) -> JsonResponse:
    """Start a run now, whether or not the schedule is paused and its previous run has ended."""
    service_of(request).refuse_when_stopping()
    started = await _verbs(request).trigger(schedule_id, by=identity_of(request).known_name)
    return JsonResponse(started, status_code=202)


@router.post("/{schedule_id}/backfill", status_code=202, response_model=Backfilled, responses=problems(404))
async def backfill_schedule(request: Request, schedule_id: ScheduleId, body: BackfillBody) -> JsonResponse:
    """Start the runs of past times that have none, at most 1,000."""
    service_of(request).refuse_when_stopping()
    start_ms, end_ms = (int(moment.timestamp() * 1000) for moment in (body.start, body.end))
    filled = await _verbs(request).backfill(schedule_id, start_ms, end_ms, by=identity_of(request).known_name)
    return JsonResponse(filled, status_code=202)


def _verbs(request: Request) -> ScheduleVerbs:
    app = service_of(request).app
    return ScheduleVerbs(app.project, app.database, wake=app.runtime.wake, traceparent=traceparent_for_runs())
