"""Parts of an execution over HTTP: one task, the messages of its models, its definition and its graph."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from compozy.database.executions import execution_not_found, is_execution_id
from compozy.database.status import Status
from compozy.server.body import ParsedRoute
from compozy.server.conditional import CONDITIONAL, answer_if_changed
from compozy.server.models import GraphEdge, GraphNode, TaskInfo
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, ExecutionId, problems, service_of
from compozy.workflow.details import messages_of, read_definition, read_graph, read_task
from compozy.workflow.requests import list_requests

router = APIRouter(
    prefix=f"{PREFIX}/executions/workflows/{{execution_id}}",
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses={**problems(400, 401, 403, 404, 413, 415, 422, 500, 503), **CONDITIONAL},
    tags=["executions"],
)


class MessageInfo(BaseModel):
    """One message of a conversation with a model."""

    path: str = Field(description="Path of the task.")
    request: int = Field(description="Number of the model request among those of its task, from 1.")
    role: str = Field(description="`system`, `user`, `assistant` or `tool`.")
    content: Any = Field(description="Text, or the result of the tool; null if the request failed.")
    provider: str | None = Field(description="Provider that answered.")
    model: str | None = Field(description="Model that answered.")
    tool: str | None = Field(description="The tool whose result this is.")
    outcome: str | None = Field(description="`ok`, `failed`, `unknown` or `denied`, for results of tools.")
    tool_calls: list[dict[str, Any]] = Field(description="Calls that the answer asks for: `tool` and `arguments`.")
    error: dict[str, Any] | None = Field(description="Error of the failed request.")


class MessageList(BaseModel):
    """The messages of an execution, in the order in which its model requests were recorded."""

    execution_id: str
    messages: list[MessageInfo]


class ExecutionDefinition(BaseModel):
    """The definition that an execution keeps of its workflow."""

    execution_id: str
    workflow_id: str
    kind: str = Field(description="`workflow`, or the kind of an execution without a workflow, such as `ingestion`.")
    file: str | None = Field(description="The workflow file.")
    workflow: dict[str, Any] | None = Field(description="The workflow with the options of the project.")
    providers: list[dict[str, Any]] = Field(description="Providers that it can use, without keys.")


class ExecutionGraph(BaseModel):
    """The tasks of an execution with their states, and the transitions between them."""

    execution_id: str
    workflow_id: str
    status: Status
    nodes: list[GraphNode]
    edges: list[GraphEdge]


TaskPath = Annotated[str, Path(description="Path of the task, such as `load/fetch-2`.", max_length=4096)]


@router.get("/tasks/{path:path}", response_model=TaskInfo)
async def get_task(request: Request, execution_id: ExecutionId, path: TaskPath) -> Response:
    """Return one task of an execution."""
    return await _answer(request, execution_id, partial(read_task, path=path))


@router.get("/definition", response_model=ExecutionDefinition)
async def get_execution_definition(request: Request, execution_id: ExecutionId) -> Response:
    """Return the definition that an execution keeps of its workflow; it does not change when files change."""
    return await _answer(request, execution_id, read_definition)


@router.get("/graph", response_model=ExecutionGraph)
async def get_execution_graph(request: Request, execution_id: ExecutionId) -> Response:
    """Return the tasks of an execution as nodes with their states, and the transitions between them as edges."""
    return await _answer(request, execution_id, read_graph)


@router.get("/messages", response_model=MessageList)
async def list_messages(request: Request, execution_id: ExecutionId) -> Response:
    """List what models received and answered: instructions, prompts, answers, and results of tools."""
    service = service_of(request)
    await service.get(execution_id)
    requests = await asyncio.to_thread(list_requests, service.app.database, execution_id)
    return answer_if_changed(request, {"execution_id": execution_id, "messages": messages_of(requests)})


async def _answer(request: Request, execution_id: str, read: Any) -> Response:
    if not is_execution_id(execution_id):
        raise execution_not_found(execution_id)
    database = service_of(request).app.database
    return answer_if_changed(request, await database.read_async(partial(read, execution_id=execution_id)))
