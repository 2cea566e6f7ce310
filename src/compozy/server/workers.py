"""The processes that execute runs, and the runs that wait for one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from compozy.clock import format_time
from compozy.database.executors import list_executors
from compozy.database.load import read_load
from compozy.server.body import ParsedRoute
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["workers"],
)


class WorkerInfo(BaseModel):
    """A process whose lease is valid."""

    worker_id: str
    role: str = Field(description="server, worker or run.")
    host: str
    pid: int
    started_at: str = Field(description="RFC 3339 in UTC with milliseconds.")
    queues: list[str] | None = Field(description="Queues whose executions it executes; null for all.")
    runs: int = Field(description="Unfinished executions that it owns.")
    is_this: bool = Field(description="Whether it is the process that answers.")


class WorkerList(BaseModel):
    """The processes that execute runs on the database, and its unfinished executions by state."""

    workers: list[WorkerInfo]
    executions: dict[str, int] = Field(description="Number of unfinished executions by state.")
    oldest_pending_seconds: float = Field(description="Age of the execution that has waited longest for a free slot.")
    max_concurrent_workflows: int = Field(description="Slots of the process that answers.")


@router.get("/workers", response_model=WorkerList)
async def list_workers(request: Request) -> JsonResponse:
    """The processes that execute runs, and the number of unfinished executions."""
    app = service_of(request).app
    document = await app.database.read_async(_read_workers)
    for worker in document["workers"]:
        worker["is_this"] = worker["worker_id"] == app.runtime.executor_id
    return JsonResponse({**document, "max_concurrent_workflows": app.project.concurrency})


def _read_workers(connection: sa.Connection) -> dict[str, Any]:
    load = read_load(connection)
    return {
        "workers": [
            {
                "worker_id": row.executor_id,
                "role": row.role,
                "host": row.host,
                "pid": row.pid,
                "started_at": format_time(row.started_ms),
                "queues": row.queues,
                "runs": row.runs,
            }
            for row in list_executors(connection)
        ],
        "executions": {status.value: count for status, count in load.open.items()},
        "oldest_pending_seconds": load.oldest_pending_s,
    }
