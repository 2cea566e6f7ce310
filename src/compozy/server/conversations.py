"""Conversations of memories over HTTP. Each route calls one operation of `compozy.memory.verbs`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from compozy.memory.config import Role
from compozy.memory.operations import MAX_MESSAGES
from compozy.memory.session import MAX_KEY
from compozy.memory.verbs import MAX_PAGE, MemoryVerbs
from compozy.project.memories import memories_of
from compozy.server.body import ParsedRoute
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of

MemoryId = Annotated[str, Path(description="Memory ID.", max_length=128)]
Key = Annotated[str, Query(description="Key of the conversation.", min_length=1, max_length=MAX_KEY)]
Text = Annotated[str, Field(min_length=1, max_length=1_000_000, description="Text of the message.")]

router = APIRouter(
    prefix=f"{PREFIX}/memory",
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["memory"],
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    key: str = Field(min_length=1, max_length=MAX_KEY, description="Key of the conversation.")


class NewMessage(BaseModel):
    """A message to store."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    role: Role = Field(default="user", description="Role of the message.")
    content: Text


class WriteBody(_Body):
    """The new messages of a conversation."""

    messages: tuple[NewMessage, ...] = Field(min_length=1, max_length=MAX_MESSAGES, description="Messages in order.")


class AppendBody(WriteBody):
    """Messages to add to a conversation."""

    id: str | None = Field(
        default=None, min_length=1, max_length=128, description="ID of the request; repeating it adds nothing."
    )


class ClearBody(_Body):
    """Confirmation that a conversation loses its content."""

    confirm: Literal[True] = Field(description="Must be true.")


class DeleteBody(_Body):
    """The conversation to delete."""


class FlushBody(_Body):
    """The conversation whose oldest turns are removed."""

    dry_run: bool = Field(default=False, description="Only report whether turns would be removed.")


class Conversation(BaseModel):
    """How much is stored under one key of a memory."""

    memory_id: str
    key: str
    message_count: int
    token_count: int = Field(description="Estimated tokens of the messages and the summary.")
    revision: int = Field(description="Number of changes.")
    created_at: str
    updated_at: str
    expires_at: str | None = Field(description="When its content is forgotten.")


class ConversationList(BaseModel):
    """A page of conversations in the order of memory and key."""

    conversations: list[Conversation]
    next_cursor: str | None


class StoredMessage(BaseModel):
    """A message as it is stored."""

    seq: int = Field(description="Its number in the conversation, from 1.")
    role: str
    content: str
    tokens: int = Field(description="An estimate.")
    execution_id: str | None = Field(description="Execution that stored it.")
    task: str | None = Field(description="Path of the task that stored it.")
    created_at: str


class ConversationMessages(Conversation):
    """A page of messages of a conversation, the latest ones first read, in their order."""

    summary: str | None = Field(description="Summary of messages that were removed.")
    working_memory: str | None = Field(description="Text that the model keeps.")
    messages: list[StoredMessage]
    next_before: int | None = Field(description="`before` of the page with earlier messages.")


class Appended(BaseModel):
    """The number of messages that were added."""

    success: bool
    key: str
    appended: int
    total_count: int


class Written(BaseModel):
    """The number of messages of a conversation."""

    success: bool
    key: str
    count: int


class Cleared(BaseModel):
    """The number of messages that were removed."""

    success: bool
    key: str
    messages_cleared: int
    backup_created: bool


class DeletedConversation(BaseModel):
    """A conversation that was deleted."""

    success: bool
    key: str


class Flushed(BaseModel):
    """How much a conversation holds after its oldest turns were removed."""

    success: bool
    key: str
    summary_generated: bool
    message_count: int
    token_count: int
    dry_run: bool = False
    would_flush: bool | None = Field(default=None, description="With `dry_run`: whether turns would be removed.")


class MemoryStats(BaseModel):
    """How much a conversation holds."""

    key: str
    message_count: int
    token_count: int
    avg_tokens_per_message: float
    actual_strategy: str
    last_flush: str | None = Field(description="When turns were last removed to make room.")


@router.get("", response_model=ConversationList, responses=problems(404))
async def list_conversations(
    request: Request,
    memory_id: Annotated[str | None, Query(description="Only this memory.", max_length=128)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Conversations on a page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=4096, description="`next_cursor` of the previous page.")] = None,
) -> JsonResponse:
    """The conversations that are stored; expired ones are left out."""
    return JsonResponse(await _verbs(request).list(memory_id, limit=limit, cursor=cursor))


@router.get("/{memory_id}/read", response_model=ConversationMessages, responses=problems(404))
async def read_conversation(
    request: Request,
    memory_id: MemoryId,
    key: Key,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Messages on a page.")] = 100,
    before: Annotated[int | None, Query(ge=1, description="`next_before` of a page, to read earlier messages.")] = None,
) -> JsonResponse:
    """The latest messages of a conversation, oldest first."""
    return JsonResponse(await _verbs(request).read(memory_id, key, limit=limit, before=before))


@router.get("/{memory_id}/stats", response_model=MemoryStats, responses=problems(404))
async def get_memory_stats(request: Request, memory_id: MemoryId, key: Key) -> JsonResponse:
    """The numbers of messages and tokens of a conversation."""
    return JsonResponse(await _verbs(request).stats(memory_id, key))


@router.post("/{memory_id}/append", response_model=Appended, responses=problems(404))
async def append_to_conversation(request: Request, memory_id: MemoryId, body: AppendBody) -> JsonResponse:
    """Add messages to a conversation; the oldest turns are removed if it exceeds the limits of the memory."""
    payload = [message.model_dump() for message in body.messages]
    return JsonResponse(await _verbs(request).append(memory_id, body.key, payload, request_id=body.id))


@router.post("/{memory_id}/write", response_model=Written, responses=problems(404))
async def write_conversation(request: Request, memory_id: MemoryId, body: WriteBody) -> JsonResponse:
    """Replace the messages of a conversation."""
    payload = [message.model_dump() for message in body.messages]
    return JsonResponse(await _verbs(request).write(memory_id, body.key, payload))


@router.post("/{memory_id}/flush", response_model=Flushed, responses=problems(404))
async def flush_conversation(request: Request, memory_id: MemoryId, body: FlushBody) -> JsonResponse:
    """Remove the oldest turns of a conversation that exceed the limits of the memory."""
    return JsonResponse(await _verbs(request).flush(memory_id, body.key, dry_run=body.dry_run))


@router.post("/{memory_id}/clear", response_model=Cleared, responses=problems(404))
async def clear_conversation(request: Request, memory_id: MemoryId, body: ClearBody) -> JsonResponse:
    """Remove everything that a conversation holds; its key stays."""
    return JsonResponse(await _verbs(request).clear(memory_id, body.key))


@router.post("/{memory_id}/delete", response_model=DeletedConversation, responses=problems(404))
async def delete_conversation(request: Request, memory_id: MemoryId, body: DeleteBody) -> JsonResponse:
    """Delete a conversation with its key."""
    return JsonResponse(await _verbs(request).delete(memory_id, body.key))


def _verbs(request: Request) -> MemoryVerbs:
    app = service_of(request).app
    return MemoryVerbs(memories_of(app.project), app.database)
