"""Operations on one conversation, each within a transaction of the caller. They return the documents that users see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import sqlalchemy as sa

from compozy.clock import format_time
from compozy.database.memories import (
    Memory,
    Message,
    append_messages,
    clear_memory,
    delete_memory,
    find_memory,
    lock_memory,
    size_of,
    store_summary,
)
from compozy.errors import UsageError
from compozy.knowledge.tokens import estimate_tokens
from compozy.memory.config import MemoryOptions
from compozy.memory.limits import Limits
from compozy.memory.recollection import window_of
from compozy.memory.session import new_message, trim

Document = dict[str, Any]
ROLES = ("user", "assistant", "system", "tool")
MAX_MESSAGES = 1000
"""Messages of one append."""


def messages_from(payload: Any, options: MemoryOptions) -> list[Message]:
    """Return the messages of a payload, redacted: a text of the user, `{role, content}`, or a list of both.

    Raises:
        UsageError: the payload has another form.
        ConversationError: a text cannot be redacted.
    """
    items = cast("list[Any]", payload) if isinstance(payload, list) else [payload]
    if not items or len(items) > MAX_MESSAGES:
        raise UsageError(f"a payload has 1 to {MAX_MESSAGES} messages, not {len(items)}")
    made = [new_message(*_role_and_text(item), options) for item in items]
    return [message for message in made if message is not None]


def _role_and_text(item: Any) -> tuple[str, str]:
    if isinstance(item, str):
        return "user", item
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", item) if isinstance(item, Mapping) else {}
    role, content = fields.get("role", "user"), fields.get("content")
    if not isinstance(content, str) or role not in ROLES or set(fields) - {"role", "content"}:
        hint = f"write a text, or `role` ({', '.join(ROLES)}) and `content`"
        raise UsageError("a message of the payload has no text or an unknown role", hint=hint)
    return role, content


def read(connection: sa.Connection, memory_id: str, key: str, limits: Limits | None = None) -> Document:
    """Return the messages that fit the limits, all without limits."""
    memory = find_memory(connection, memory_id, key)
    messages = window_of(connection, memory, limits or Limits()).messages
    shown = [{"role": each.role, "content": each.content} for each in messages]
    kept = {"summary": memory.summary, "working_memory": memory.working}
    more = {name: text for name, text in kept.items() if text is not None}
    return {"messages": shown, "count": len(shown), "key": key, **more}


def append(
    connection: sa.Connection, memory_id: str, key: str, messages: Sequence[Message], options: MemoryOptions
) -> Document:
    """Add messages; the oldest turns are removed if there are too many."""
    memory = lock_memory(connection, memory_id, key)
    added = append_messages(connection, memory, messages, ttl_ms=options.ttl_ms)
    trim(connection, memory, options.kept(options.limits(None)))
    return {"success": True, "appended": added, "total_count": size_of(connection, memory).messages, "key": key}


def write(
    connection: sa.Connection, memory_id: str, key: str, messages: Sequence[Message], options: MemoryOptions
) -> Document:
    """Replace the content of a conversation."""
    memory = lock_memory(connection, memory_id, key)
    clear_memory(connection, memory)
    append_messages(connection, memory, messages, ttl_ms=options.ttl_ms)
    trim(connection, memory, options.kept(options.limits(None)))
    return {"success": True, "count": size_of(connection, memory).messages, "key": key}


def clear(connection: sa.Connection, memory_id: str, key: str) -> Document:
    """Remove everything that a conversation holds."""
    removed = clear_memory(connection, lock_memory(connection, memory_id, key))
    return {"success": True, "key": key, "messages_cleared": removed, "backup_created": False}


def delete(connection: sa.Connection, memory_id: str, key: str) -> Document:
    """Delete a conversation and its key."""
    return {"success": delete_memory(connection, memory_id, key), "key": key}


def flush(
    connection: sa.Connection, memory_id: str, key: str, options: MemoryOptions, *, dry_run: bool = False
) -> Document:
    """Remove the oldest turns that exceed the limits, without a summary."""
    memory = find_memory(connection, memory_id, key)
    limits = options.kept(options.limits(None))
    if dry_run:
        window = window_of(connection, memory, limits)
        return {**_flushed(connection, memory), "dry_run": True, "would_flush": not window.is_all}
    memory = lock_memory(connection, memory_id, key)
    trim(connection, memory, limits)
    return _flushed(connection, memory)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A summary of the messages of a conversation up to `last`, as it was read.

    Attributes:
        generation: of the conversation.
        earlier: the summary that it includes, None for none.
        text: the new summary.
    """

    generation: str
    last: int
    earlier: str | None
    text: str


def flush_with(
    connection: sa.Connection, memory_id: str, key: str, options: MemoryOptions, *, summary: Summary
) -> Document:
    """Replace the oldest turns by a summary; not if another run did so, or the conversation was deleted meanwhile."""
    memory = lock_memory(connection, memory_id, key)
    is_same = memory.generation == summary.generation and memory.summary == summary.earlier
    tokens, removes = estimate_tokens(summary.text), options.recall is None
    made = is_same and store_summary(
        connection, memory, summary.text, tokens=tokens, last=summary.last, removes=removes
    )
    memory = find_memory(connection, memory_id, key)
    trim(connection, memory, options.kept(options.limits(None)))
    return {**_flushed(connection, memory), "summary_generated": made}


def _flushed(connection: sa.Connection, memory: Memory) -> Document:
    size = size_of(connection, memory)
    counts = {"message_count": size.messages, "token_count": size.tokens + memory.summary_tokens}
    return {"success": True, "key": memory.key, "summary_generated": False, **counts}


def stats(connection: sa.Connection, memory_id: str, key: str, options: MemoryOptions) -> Document:
    """Return how much a conversation holds."""
    memory = find_memory(connection, memory_id, key)
    size = size_of(connection, memory)
    return {
        "key": key,
        "message_count": size.messages,
        "token_count": size.tokens + memory.summary_tokens,
        "avg_tokens_per_message": round(size.tokens / size.messages, 1) if size.messages else 0,
        "actual_strategy": options.flushing.type,
        "last_flush": format_time(memory.flushed_ms),
    }


def health(connection: sa.Connection, memory_id: str, key: str, options: MemoryOptions) -> Document:
    """Return whether a conversation can be read, and how much it holds."""
    known = stats(connection, memory_id, key, options)
    kept = ("key", "token_count", "message_count", "actual_strategy")
    return {"healthy": True, **{name: known[name] for name in kept}}


def with_source(messages: Sequence[Message], execution_id: str, path: str) -> list[Message]:
    """Return messages of the task at `path` of a run, which are stored once."""
    return [replace(each, execution_id=execution_id, path=path, n=number) for number, each in enumerate(messages)]
