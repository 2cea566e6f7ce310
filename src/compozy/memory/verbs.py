"""Operations of commands and servers on conversations, and the documents that they return."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any, TypeVar, cast

import sqlalchemy as sa

from compozy.clock import format_time, now_ms
from compozy.database.database import Database
from compozy.database.memories import (
    Memory,
    Message,
    Size,
    find_memory,
    list_memories,
    newest_first,
    size_of,
)
from compozy.errors import NotFoundError, UsageError
from compozy.memory import operations
from compozy.memory.config import MemoryOptions, MemoryResource
from compozy.memory.session import check_key
from compozy.nearest import suggest

T = TypeVar("T")
Document = dict[str, Any]

MAX_PAGE = 1000
"""Conversations or messages of one page."""
# Keys that are compared with a misspelled one.
_COMPARED = 100


class MemoryVerbs:
    """The operations on the conversations of a project.

    Args:
        resources: the memories of its files by ID.
        database: None where it does not exist yet.
    """

    def __init__(self, resources: Mapping[str, MemoryResource], database: Database | None) -> None:
        self._resources = resources
        self._database = database

    async def list(self, memory_id: str | None = None, *, limit: int, cursor: str | None = None) -> Document:
        """Return a page of conversations in the order of memory and key; expired ones are left out.

        Raises:
            NotFoundError: neither the project nor its database has this memory.
            UsageError: the cursor is invalid.
        """
        after = None if cursor is None else _decode(cursor)
        query = partial(list_memories, memory_id=memory_id, after=after, limit=limit + 1)
        found = [] if self._database is None else await self._database.read_async(query)
        if not found and cursor is None and memory_id is not None and memory_id not in self._resources:
            raise self._unknown(memory_id)
        page = found[:limit]
        more = len(found) > limit
        return {
            "conversations": [_conversation(memory, size) for memory, size in page],
            "next_cursor": _encode(page[-1][0]) if more else None,
        }

    async def read(self, memory_id: str, key: str, *, limit: int, before: int | None = None) -> Document:
        """Return the latest messages of a conversation, oldest first; `before` continues with earlier ones.

        Raises:
            NotFoundError: nothing is stored under this key.
        """
        return await self._read(memory_id, key, lambda c, memory: _page(c, memory, limit, before))

    async def stats(self, memory_id: str, key: str) -> Document:
        """Return how much a conversation holds; raises like `read`."""
        options = self._resources.get(memory_id) or MemoryOptions()
        return await self._read(memory_id, key, lambda c, _: operations.stats(c, memory_id, key, options))

    async def append(self, memory_id: str, key: str, payload: Any, *, request_id: str | None = None) -> Document:
        """Add messages to a conversation; a repeated request with the same ID adds nothing.

        Raises:
            NotFoundError: the project has no such memory.
            UsageError: the payload has another form.
            ConversationError: the key is empty or too long, or a text cannot be redacted.
        """
        options = self._options(memory_id)
        messages = operations.messages_from(payload, options)
        if request_id is not None:
            messages = operations.with_source(messages, request_id, "")
        key = check_key(memory_id, key)
        return await self._write(lambda c: operations.append(c, memory_id, key, messages, options))

    async def write(self, memory_id: str, key: str, payload: Any) -> Document:
        """Replace the messages of a conversation; raises like `append`."""
        options, key = self._options(memory_id), check_key(memory_id, key)
        messages = operations.messages_from(payload, options)
        return await self._write(lambda c: operations.write(c, memory_id, key, messages, options))

    async def flush(self, memory_id: str, key: str, *, dry_run: bool) -> Document:
        """Remove the oldest turns that exceed the limits of the memory.

        Raises:
            NotFoundError: the project has no such memory, or nothing is stored under this key.
        """
        options = self._options(memory_id)
        await self._check(memory_id, key)
        if dry_run:
            return await self._read(
                memory_id, key, lambda c, _: operations.flush(c, memory_id, key, options, dry_run=True)
            )
        return await self._write(lambda c: operations.flush(c, memory_id, key, options))

    async def clear(self, memory_id: str, key: str) -> Document:
        """Remove everything that a conversation holds, also one of a memory that the files do not define.

        Raises:
            NotFoundError: nothing is stored under this key.
        """
        await self._check(memory_id, key)
        return await self._write(lambda c: operations.clear(c, memory_id, key))

    async def delete(self, memory_id: str, key: str) -> Document:
        """Delete a conversation with its key; raises like `clear`."""
        await self._check(memory_id, key)
        return await self._write(lambda c: operations.delete(c, memory_id, key))

    async def _check(self, memory_id: str, key: str) -> None:
        await self._read(memory_id, key, lambda _, memory: memory)

    async def _read(self, memory_id: str, key: str, read: Callable[[sa.Connection, Memory], T]) -> T:
        def find(connection: sa.Connection) -> T | None:
            memory = find_memory(connection, memory_id, key)
            return read(connection, memory) if memory.revision and not memory.is_expired(now_ms()) else None

        found = None if self._database is None else await self._database.read_async(find)
        if found is None:
            raise await self._missing(memory_id, key)
        return found

    async def _write(self, change: Callable[[sa.Connection], Document]) -> Document:
        if self._database is None:
            raise UsageError("the project does not have a database yet")
        return await self._database.write_async(change)

    def _options(self, memory_id: str) -> MemoryResource:
        found = self._resources.get(memory_id)
        if found is None:
            raise self._unknown(memory_id)
        return found

    def _unknown(self, memory_id: str) -> NotFoundError:
        listed = ", ".join(sorted(self._resources)) or "none"
        hint = suggest(memory_id, self._resources) or f"memories of the project: {listed}"
        return NotFoundError(f"memory {memory_id!r} not found", hint=hint)

    async def _missing(self, memory_id: str, key: str) -> NotFoundError:
        query = partial(list_memories, memory_id=memory_id, limit=_COMPARED)
        stored = [] if self._database is None else await self._database.read_async(query)
        if not stored and memory_id not in self._resources:
            return self._unknown(memory_id)
        hint = suggest(key, (memory.key for memory, _ in stored))
        return NotFoundError(
            f"memory {memory_id!r} has no conversation {key!r}",
            hint=hint or "list them with `compozy memory list`",
            http_hint=hint or "list them: GET /api/v0/memory",
        )


def _page(connection: sa.Connection, memory: Memory, limit: int, before: int | None) -> Document:
    found = list(islice(newest_first(connection, memory, below=before), limit + 1))
    page, more = found[:limit][::-1], len(found) > limit
    return {
        **_conversation(memory, size_of(connection, memory)),
        "summary": memory.summary,
        "working_memory": memory.working,
        "messages": [_message(each) for each in page],
        "next_before": page[0].seq if more else None,
    }


def _conversation(memory: Memory, size: Size) -> Document:
    return {
        "memory_id": memory.memory_id,
        "key": memory.key,
        "message_count": size.messages,
        "token_count": size.tokens + memory.summary_tokens,
        "revision": memory.revision,
        "created_at": format_time(memory.created_ms),
        "updated_at": format_time(memory.updated_ms),
        "expires_at": format_time(memory.expires_ms),
    }


def _message(message: Message) -> Document:
    # Messages of people and programs have no path; see `MemoryVerbs.append`.
    return {
        "seq": message.seq,
        "role": message.role,
        "content": message.content,
        "tokens": message.tokens,
        "execution_id": message.execution_id if message.path else None,
        "task": message.path or None,
        "created_at": format_time(message.created_ms),
    }


def _encode(memory: Memory) -> str:
    return base64.urlsafe_b64encode(json.dumps([memory.memory_id, memory.key]).encode()).decode()


def _decode(cursor: str) -> tuple[str, str]:
    try:
        position = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        position = None
    names = cast("list[Any]", position) if isinstance(position, list) else []
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise UsageError("expected the `next_cursor` of a page")
    return names[0], names[1]
