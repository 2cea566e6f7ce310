"""The conversations of one task: read as a recorded step, and continued in the transaction that ends the task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import sqlalchemy as sa
import structlog

from compozy.database.database import Database
from compozy.database.memories import (
    Memory,
    Message,
    append_messages,
    find_memory,
    list_messages,
    lock_memory,
    newest_first,
    remove_below,
    size_of,
    store_summary,
    touch_memory,
)
from compozy.errors import ConflictError, ConversationError, ModelError
from compozy.knowledge.tokens import estimate_tokens
from compozy.memory.config import MemoryFlushing, MemoryOptions
from compozy.memory.limits import Limits
from compozy.memory.recollection import BoundMemory, Recollection, look
from compozy.memory.window import latest_turns, turns_newest_first

if TYPE_CHECKING:
    from pydantic import JsonValue

    from compozy.knowledge.catalog import KnowledgeCatalog

_log = structlog.get_logger(__name__)

MAX_KEY = 256
"""Characters of a key."""
MESSAGE_TOKENS = 4
"""Tokens of a message besides those of its text."""


class Checkpoint(Protocol):
    """A durable step; see `compozy.agent.checkpoint.Checkpoint`."""

    async def __call__(self, name: str, call: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
        """Run the step `name`."""
        ...


Summarize = Callable[[str | None, Sequence[Message], MemoryFlushing], Awaitable[str]]
"""Returns a summary of an earlier summary and of messages."""


def check_key(memory_id: str, key: str) -> str:
    """Return the key of a conversation without blanks around it.

    Raises:
        ConversationError: it is empty or too long.
    """
    key = key.strip()
    if not key or "<no value>" in key:
        raise ConversationError(
            f"memory {memory_id!r}: the key of the conversation is {'empty' if not key else repr(key)}",
            hint="the template of the key must give a name, such as the ID of a person",
        )
    if len(key) > MAX_KEY:
        raise ConversationError(
            f"memory {memory_id!r}: the key has {len(key)} characters; at most {MAX_KEY} are allowed"
        )
    return key


def new_message(role: str, text: str, options: MemoryOptions, **source: Any) -> Message | None:
    """Return a message as it is stored, redacted; None if messages of this role are not stored.

    Raises:
        ConversationError: the text cannot be redacted.
    """
    policy = options.privacy_policy
    if role in policy.non_persistable_message_types or not text:
        return None
    content = policy.redact(text)
    return Message(role=role, content=content, tokens=estimate_tokens(content) + MESSAGE_TOKENS, **source)


class MemorySession:
    """The conversations that one task remembers.

    Args:
        bound: the memories with their keys, all different.
        database: where they are.
        execution_id: of the run.
        path: of the task.
    """

    def __init__(self, bound: Sequence[BoundMemory], database: Database, execution_id: str, path: str) -> None:
        self._bound = bound
        self._database = database
        self._execution_id = execution_id
        self._path = path
        self._read: list[Recollection] = []

    @property
    def tokens(self) -> int:
        """Return the tokens of everything that was read."""
        return sum(each.sent_tokens + estimate_tokens(each.working_text or "") for each in self._read)

    @property
    def keeping(self) -> list[str]:
        """Return the names of the conversations whose working memory the model can change."""
        return [self.name_of(bound) for bound in self._bound if bound.keeps]

    @property
    def has_several(self) -> bool:
        """Return whether the task reads several working memories, so that the model needs their names."""
        return sum(bound.use.working_memory is not None for bound in self._bound) > 1

    def name_of(self, bound: BoundMemory) -> str:
        """Return how the model names a conversation: by its memory, and its key if the memory has several here."""
        is_only = sum(bound.use.id == other.use.id for other in self._bound) == 1
        return bound.use.id if is_only else f"{bound.use.id} {bound.key}"

    def keep(self, name: str, content: str) -> str:
        """Replace the working memory of a conversation at the end of the task; return why not, "" if it is done.

        Raises:
            ConversationError: the text cannot be redacted.
        """
        each = next(each for each in self._read if self.name_of(each.bound) == name)
        use, kept = each.bound.use, each.bound.use.working_memory
        limit = 0 if kept is None else kept.max_tokens
        text = use.privacy_policy.redact(content).strip()
        if (size := estimate_tokens(text)) > limit:
            return f"the text has about {size} tokens; at most {limit} are kept, so shorten it"
        each.new_working = text
        return ""

    async def read(self, checkpoint: Checkpoint, window: Callable[[], int | None]) -> None:
        """Read the conversations; which messages they are is one recorded step for each of them.

        Args:
            checkpoint: records a step.
            window: returns the context window of the model; called only when a conversation is really read.
        """
        for bound in self._bound:
            loaded: list[list[Message]] = []

            async def read(bound: BoundMemory = bound, loaded: list[list[Message]] = loaded) -> JsonValue:
                found, messages = await self._database.read_async(partial(look, bound, window()))
                loaded.append(messages)
                return found

            found = await checkpoint(f"{self._path}.memory.{bound.use.id}", read)
            self._read.append(Recollection.of(bound, cast("dict[str, Any]", found), loaded[0] if loaded else None))

    async def find(self, checkpoint: Checkpoint, knowledge: KnowledgeCatalog | None, question: str) -> None:
        """Find older turns that are similar to a question; which ones is a recorded step for each conversation.

        Raises:
            KnowledgeError: embedder or store failed.
            ConversationError: the question cannot be redacted.
        """
        for each in self._read:
            use = each.bound.use
            if use.recall is None:
                continue
            # At first use: other memories load nothing of knowledge bases.
            from compozy.memory.recall import Recall

            step = f"{self._path}.memory.{use.id}.recall"
            recall = Recall(
                database=self._database,
                knowledge=knowledge,
                config=use.recall,
                each=each,
                path=self._path,
                step=step,
                question=use.privacy_policy.redact(question),
            )
            each.recalled = cast("list[dict[str, Any]]", await checkpoint(step, recall.find))

    async def recall(self) -> list[Recollection]:
        """Return the conversations with their messages; those that were removed since they were read are missing."""
        for each in self._read:
            if each.messages is None:
                query = partial(list_messages, memory_id=each.bound.use.id, key=each.bound.key)
                seen = partial(query, generation=each.generation, first=each.first, last=each.last)
                each.messages = await self._database.read_async(seen)
            if each.recalled and each.older is None:
                each.older = await self._database.read_async(each.load_older)
        return self._read

    def remember(self, question: str, answer: str) -> None:
        """Prepare the turn that is stored with the end of the task.

        Raises:
            ConversationError: a text cannot be redacted.
        """
        for each in self._read:
            if each.bound.use.mode == "read-only":
                continue
            texts = (("user", question), ("assistant", answer))
            made = (
                new_message(role, text, each.bound.use, execution_id=self._execution_id, path=self._path, n=number)
                for number, (role, text) in enumerate(texts)
            )
            each.added = [message for message in made if message is not None]

    async def summarize(self, ask: Summarize) -> None:
        """Summarize old turns where it is due. If the model fails, the oldest turns are removed without a summary."""
        for each in self._read:
            if not each.is_summary_due:
                continue
            await self.recall()
            old = [message for message in each.messages or () if message.seq <= each.old_last]
            flushing = each.bound.use.flushing
            try:
                text = await ask(each.summary, old, flushing)
            except ModelError as error:
                _log.warning(
                    "a conversation was not summarized; its oldest turns are removed when it reaches its limit",
                    memory=each.bound.use.id,
                    error=error.message,
                )
                continue
            each.new_summary = summary_text(text, each.bound.use) or None

    def write(self, connection: sa.Connection) -> None:
        """Append what the task adds. Nothing is changed if it is refused.

        Raises:
            ConflictError: a `strict` conversation was changed by another run since it was read.
        """
        writing = sorted((each for each in self._read if each.is_changed), key=lambda each: each.bound.name)
        # In one order for all runs, so that two of them never wait for each other.
        locked = [(each, lock_memory(connection, *each.bound.name)) for each in writing]
        for each, memory in locked:
            if each.bound.use.strict and each.was_changed(memory):
                raise ConflictError(
                    f"memory {each.bound.use.id!r}: another run changed this conversation since this task read it",
                    hint="run it again, or remove `strict` from the memory",
                    details={"memory": each.bound.use.id},
                )
        for each, memory in locked:
            _append(connection, each, memory)


def summary_text(text: str, options: MemoryOptions) -> str:
    """Return a summary as it is stored: redacted, and not longer than its limit.

    Raises:
        ConversationError: the text cannot be redacted.
    """
    return cut_text(options.privacy_policy.redact(text), options.flushing.summary_tokens)


def cut_text(text: str, tokens: int) -> str:
    """Return the beginning of a text that has at most so many tokens."""
    text = text.strip()
    while text and estimate_tokens(text) > tokens:
        # Each pass removes at least a character; most texts need a few.
        share = tokens / estimate_tokens(text)
        text = text[: min(len(text) - 1, int(len(text) * share))].rstrip()
    return text


def trim(connection: sa.Connection, memory: Memory, limits: Limits) -> int:
    """Remove the oldest turns of a locked conversation that exceed its limits; the latest turn always stays.

    Returns:
        The number of removed messages.
    """
    if limits.tokens is None and (limits.messages is None or size_of(connection, memory).messages <= limits.messages):
        return 0
    window = latest_turns(newest_first(connection, memory), limits.without(memory.summary_tokens))
    if window.is_all:
        return 0
    latest = window.messages or next(turns_newest_first(newest_first(connection, memory)))
    return remove_below(connection, memory, latest[0].seq)


def _append(connection: sa.Connection, each: Recollection, memory: Memory) -> None:
    use = each.bound.use
    append_messages(connection, memory, each.added, ttl_ms=use.ttl_ms)
    # Nothing that was made of deleted messages comes back.
    if each.was_deleted(memory):
        return
    if each.new_working is not None:
        touch_memory(connection, memory, ttl_ms=use.ttl_ms, working=each.new_working)
    # Another run may have summarized the same turns meanwhile; then its summary counts.
    if each.new_summary is not None and memory.summary == each.summary:
        tokens = estimate_tokens(each.new_summary)
        removes = use.recall is None
        store_summary(connection, memory, each.new_summary, tokens=tokens, last=each.old_last, removes=removes)
        memory = find_memory(connection, *each.bound.name)
    trim(connection, memory, use.kept(each.limits))
