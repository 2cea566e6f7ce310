"""Rows of `memories` and `memory_messages`: conversations by memory and key, with a number for each change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.tables import insert_if_new, memories, memory_messages
from compozy.ids import new_generation_id

_PAGE = 200
_PRUNED_AT_ONCE = 200
# Columns of a conversation without content.
_NOTHING = {"summary": None, "summary_tokens": 0, "summary_seq": 0, "working": None, "expires_ms": None}


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One conversation.

    Attributes:
        generation: differs for a conversation that was deleted and stored again; "" if nothing is stored.
        revision: number of changes; 0 if nothing is stored.
        last_seq: number of the last message, 0 for none.
        summary: of the first messages, None for none.
        summary_seq: number of the last message that it replaces; models are not sent that message.
        working: the text that the model keeps, None for none.
        expires_ms: when the content is forgotten, None for never.
        flushed_ms: when messages were last removed to make room.
    """

    memory_id: str
    key: str
    generation: str = ""
    revision: int = 0
    last_seq: int = 0
    summary: str | None = None
    summary_tokens: int = 0
    summary_seq: int = 0
    working: str | None = None
    expires_ms: int | None = None
    flushed_ms: int | None = None
    created_ms: int | None = None
    updated_ms: int | None = None

    def is_expired(self, at_ms: int) -> bool:
        """Return whether the content is forgotten."""
        return self.expires_ms is not None and self.expires_ms <= at_ms


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a conversation; `seq` is its number, 0 before it is stored."""

    role: str
    content: str
    tokens: int
    seq: int = 0
    execution_id: str | None = None
    path: str | None = None
    n: int | None = None
    created_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of a conversation is stored, without its summary."""

    messages: int
    tokens: int


def find_memory(connection: sa.Connection, memory_id: str, key: str) -> Memory:
    """Return a conversation as it can be read now: with revision 0 if it is not stored, and empty if it has expired."""
    row = connection.execute(sa.select(memories).where(*_is(memories, memory_id, key))).mappings().first()
    memory = _memory_of(row) if row is not None else Memory(memory_id=memory_id, key=key)
    return _forgotten(memory) if memory.is_expired(now_ms()) else memory


def lock_memory(connection: sa.Connection, memory_id: str, key: str) -> Memory:
    """Return a conversation and lock it until the end of this transaction; it is created if it is not stored.

    Expired content is deleted.
    """
    at_ms = now_ms()
    new = {"memory_id": memory_id, "memory_key": key, "generation": new_generation_id(), "revision": 0, "last_seq": 0}
    empty = {"summary_tokens": 0, "summary_seq": 0, "created_ms": at_ms, "updated_ms": at_ms}
    connection.execute(insert_if_new(memories), {**new, **empty})
    query = sa.select(memories).where(*_is(memories, memory_id, key)).with_for_update()
    memory = _memory_of(connection.execute(query).mappings().one())
    if not memory.is_expired(at_ms):
        return memory
    connection.execute(sa.delete(memory_messages).where(*_is(memory_messages, memory_id, key)))
    forgotten = _forgotten(memory)
    _update(connection, forgotten, **_NOTHING)
    return forgotten


def append_messages(
    connection: sa.Connection, memory: Memory, messages: Sequence[Message], *, ttl_ms: int | None
) -> int:
    """Add messages to a locked conversation and return how many are new; those of a run are stored once."""
    at_ms = now_ms()
    seq, added = memory.last_seq, 0
    for message in messages:
        values = {
            "memory_id": memory.memory_id,
            "memory_key": memory.key,
            "seq": seq + 1,
            "role": message.role,
            "content": message.content,
            "tokens": message.tokens,
            "execution_id": message.execution_id,
            "path": message.path,
            "n": message.n,
            "created_ms": at_ms,
        }
        inserted = connection.execute(insert_if_new(memory_messages).returning(memory_messages.c.seq), values)
        if inserted.first() is not None:
            seq, added = seq + 1, added + 1
    if added:
        touch_memory(connection, memory, ttl_ms=ttl_ms, last_seq=seq)
    return added


def touch_memory(connection: sa.Connection, memory: Memory, *, ttl_ms: int | None, **values: Any) -> None:
    """Change a locked conversation; its time to live starts again."""
    expires_ms = None if ttl_ms is None else now_ms() + ttl_ms
    _update(connection, memory, **values, expires_ms=expires_ms)


def remove_below(connection: sa.Connection, memory: Memory, seq: int) -> int:
    """Remove the messages of a locked conversation before `seq`, and return how many."""
    column = memory_messages.c.seq
    query = sa.delete(memory_messages).where(*_is(memory_messages, memory.memory_id, memory.key), column < seq)
    removed = connection.execute(query).rowcount
    if removed:
        _update(connection, memory, flushed_ms=now_ms())
    return removed


def store_summary(
    connection: sa.Connection, memory: Memory, summary: str, *, tokens: int, last: int, removes: bool
) -> bool:
    """Store a summary of the messages of a locked conversation up to `last`; False if they were removed meanwhile.

    Args:
        connection: of the transaction that locked it.
        memory: the conversation.
        summary: the text.
        tokens: its size.
        last: number of the last message that it replaces.
        removes: whether the messages are removed. Otherwise models are not sent them again.
    """
    seq, ours = memory_messages.c.seq, _is(memory_messages, memory.memory_id, memory.key)
    if connection.execute(sa.select(seq).where(*ours, seq == last)).first() is None:
        return False
    if removes:
        connection.execute(sa.delete(memory_messages).where(*ours, seq <= last))
    changes = {"summary": summary, "summary_tokens": tokens, "summary_seq": last, "flushed_ms": now_ms()}
    _update(connection, memory, **changes)
    return True


def clear_memory(connection: sa.Connection, memory: Memory) -> int:
    """Remove everything that a locked conversation holds; return the number of messages. Its key stays."""
    removed = connection.execute(
        sa.delete(memory_messages).where(*_is(memory_messages, memory.memory_id, memory.key))
    ).rowcount
    _update(connection, memory, **_NOTHING)
    return removed


def delete_memory(connection: sa.Connection, memory_id: str, key: str) -> bool:
    """Delete a conversation with its key; False if it is not stored."""
    connection.execute(sa.delete(memory_messages).where(*_is(memory_messages, memory_id, key)))
    return connection.execute(sa.delete(memories).where(*_is(memories, memory_id, key))).rowcount > 0


def newest_first(
    connection: sa.Connection, memory: Memory, *, below: int | None = None, above: int = 0
) -> Iterator[Message]:
    """Yield the messages of a conversation with numbers between both, the newest first; they are read in pages."""
    while not memory.is_expired(now_ms()):
        query = sa.select(memory_messages).where(*_is(memory_messages, memory.memory_id, memory.key))
        query = query.where(memory_messages.c.seq > above)
        if below is not None:
            query = query.where(memory_messages.c.seq < below)
        rows = connection.execute(query.order_by(memory_messages.c.seq.desc()).limit(_PAGE)).mappings().all()
        yield from map(_message_of, rows)
        if len(rows) < _PAGE:
            return
        below = rows[-1]["seq"]


def list_messages(
    connection: sa.Connection, memory_id: str, key: str, *, generation: str, first: int, last: int
) -> list[Message]:
    """Return the messages with the numbers `first` to `last`, in order; removed ones are missing.

    A conversation of another generation has none of them: it was deleted, and its numbers started again.
    """
    seq = memory_messages.c.seq
    is_same = sa.exists().where(*_is(memories, memory_id, key), memories.c.generation == generation)
    query = sa.select(memory_messages).where(*_is(memory_messages, memory_id, key), seq >= first, seq <= last, is_same)
    return [_message_of(row) for row in connection.execute(query.order_by(seq)).mappings()]


def size_of(connection: sa.Connection, memory: Memory) -> Size:
    """Return how much of a conversation is stored."""
    if memory.is_expired(now_ms()):
        return Size(messages=0, tokens=0)
    counts = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(memory_messages.c.tokens), 0))
    row = connection.execute(counts.where(*_is(memory_messages, memory.memory_id, memory.key))).one()
    return Size(messages=int(row[0]), tokens=int(row[1]))


def list_memories(
    connection: sa.Connection, *, memory_id: str | None = None, after: tuple[str, str] | None = None, limit: int = 100
) -> list[tuple[Memory, Size]]:
    """Return conversations in the order of memory and key, with their sizes; expired ones are left out."""
    query = sa.select(memories).where(sa.or_(memories.c.expires_ms.is_(None), memories.c.expires_ms > now_ms()))
    if memory_id is not None:
        query = query.where(memories.c.memory_id == memory_id)
    if after is not None:
        query = query.where(sa.tuple_(memories.c.memory_id, memories.c.memory_key) > sa.tuple_(*map(sa.literal, after)))
    found = connection.execute(query.order_by(memories.c.memory_id, memories.c.memory_key).limit(limit)).mappings()
    return [(memory, size_of(connection, memory)) for memory in map(_memory_of, found.all())]


def list_generations(connection: sa.Connection) -> list[str]:
    """Return the generations of all conversations."""
    return list(connection.execute(sa.select(memories.c.generation)).scalars())


def count_expired(connection: sa.Connection, at_ms: int) -> int:
    """Return the number of conversations that have expired."""
    query = sa.select(sa.func.count()).select_from(memories).where(memories.c.expires_ms <= at_ms)
    return int(connection.execute(query).scalar_one())


def delete_expired(connection: sa.Connection, at_ms: int) -> int:
    """Delete conversations that have expired, some hundred at most; return their number."""
    query = sa.select(memories.c.memory_id, memories.c.memory_key).where(memories.c.expires_ms <= at_ms)
    rows = connection.execute(query.limit(_PRUNED_AT_ONCE).with_for_update(skip_locked=True)).all()
    for memory_id, key in rows:
        delete_memory(connection, memory_id, key)
    return len(rows)


def _update(connection: sa.Connection, memory: Memory, **values: Any) -> None:
    change = {**values, "revision": memories.c.revision + 1, "updated_ms": now_ms()}
    connection.execute(sa.update(memories).where(*_is(memories, memory.memory_id, memory.key)).values(change))


def _is(table: sa.Table, memory_id: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.memory_id == memory_id, table.c.memory_key == key)


def _forgotten(memory: Memory) -> Memory:
    """Return a conversation without its content; its numbers stay, so that nothing is mistaken for older content."""
    return Memory(
        memory_id=memory.memory_id,
        key=memory.key,
        generation=memory.generation,
        revision=memory.revision,
        last_seq=memory.last_seq,
        expires_ms=memory.expires_ms,
        created_ms=memory.created_ms,
        updated_ms=memory.updated_ms,
    )


def _memory_of(row: Mapping[str, Any] | sa.RowMapping) -> Memory:
    return Memory(**{"key" if name == "memory_key" else name: value for name, value in row.items()})


def _message_of(row: Mapping[str, Any] | sa.RowMapping) -> Message:
    return Message(**{name: value for name, value in row.items() if not name.startswith("memory_")})
