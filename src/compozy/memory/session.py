"""The conversations of one task: read as a recorded step, and continued in the transaction that ends the task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
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
    touch_memory,
)
from compozy.errors import ConflictError, ConversationError, ModelError
from compozy.knowledge.tokens import estimate_tokens
from compozy.memory.config import MemoryOptions, MemoryUse
from compozy.memory.limits import Limits
from compozy.memory.window import Window, latest_turns, turns_newest_first

if TYPE_CHECKING:
    from pydantic import JsonValue

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


Summarize = Callable[[str | None, Sequence[Message], int], Awaitable[str]]
"""Returns a summary of an earlier summary and of messages, in about so many tokens."""


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


@dataclass(frozen=True, kw_only=True)
class BoundMemory:
    """A memory of an agent with the key of the conversation."""

    use: MemoryUse
    key: str

    @property
    def name(self) -> tuple[str, str]:
        """Return what identifies the conversation."""
        return self.use.id, self.key


@dataclass(kw_only=True)
class Recollection:
    """One conversation as a task has read it, and what the task adds.

    Attributes:
        revision: number of changes when it was read.
        first: number of the first message that was read.
        last: number of the last one; smaller than `first` for none.
        count: how many messages were read.
        tokens: theirs and those of the summary.
        limits: of the messages and the summary.
        old_last: number of the last message that a summary would replace.
        messages: loaded when they are needed.
        added: new messages.
        new_summary: the summary that replaces the messages up to `old_last`.
        new_working: the text that replaces the working memory.
    """

    bound: BoundMemory
    revision: int
    first: int
    last: int
    count: int
    tokens: int
    limits: Limits
    summary: str | None
    working: str | None
    old_last: int
    messages: list[Message] | None = None
    added: list[Message] = field(default_factory=list[Message])
    new_summary: str | None = None
    new_working: str | None = None

    @property
    def working_text(self) -> str | None:
        """Return the working memory that the model is sent; a new conversation starts with the template."""
        kept = self.bound.use.working_memory
        return None if kept is None else self.working or kept.template

    @property
    def is_changed(self) -> bool:
        """Return whether the task adds anything."""
        return bool(self.added) or self.new_working is not None

    @property
    def is_summary_due(self) -> bool:
        """Return whether old turns are to be summarized; it depends on recorded figures only."""
        flushing = self.bound.use.flushing
        if flushing.type != "hybrid_summary" or not self.old_last or not self.added:
            return False
        tokens = self.tokens + sum(message.tokens for message in self.added)
        return not self.limits.scaled(flushing.summarize_threshold).allow(self.count + len(self.added), tokens)


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
        return sum(each.tokens + estimate_tokens(each.working_text or "") for each in self._read)

    @property
    def keeping(self) -> list[MemoryUse]:
        """Return the memories whose working memory the model can change."""
        uses = [bound.use for bound in self._bound]
        return [use for use in uses if use.working_memory is not None and use.mode != "read-only"]

    def keep(self, memory_id: str, content: str) -> str:
        """Replace the working memory of a conversation at the end of the task; return why not, "" if it is done.

        Raises:
            ConversationError: the text cannot be redacted.
        """
        each = next(each for each in self._read if each.bound.use.id == memory_id)
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

            async def look(bound: BoundMemory = bound, loaded: list[list[Message]] = loaded) -> JsonValue:
                found, messages = await self._database.read_async(partial(_look, bound, window()))
                loaded.append(messages)
                return found

            found = await checkpoint(f"{self._path}.memory.{bound.use.id}", look)
            recollection = _recollection(bound, cast("dict[str, Any]", found))
            recollection.messages = loaded[0] if loaded else None
            self._read.append(recollection)

    async def recall(self) -> list[Recollection]:
        """Return the conversations with their messages; those that were removed since they were read are missing."""
        for each in self._read:
            if each.messages is None:
                query = partial(list_messages, memory_id=each.bound.use.id, key=each.bound.key)
                each.messages = await self._database.read_async(partial(query, first=each.first, last=each.last))
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
                text = await ask(each.summary, old, flushing.summary_tokens)
            except ModelError as error:
                _log.warning(
                    "a conversation was not summarized; its oldest turns are removed when it reaches its limit",
                    memory=each.bound.use.id,
                    error=error.message,
                )
                continue
            each.new_summary = cut_text(each.bound.use.privacy_policy.redact(text), flushing.summary_tokens) or None

    def write(self, connection: sa.Connection) -> None:
        """Append what the task adds. Nothing is changed if it is refused.

        Raises:
            ConflictError: a `strict` conversation was changed by another run since it was read.
        """
        writing = sorted((each for each in self._read if each.is_changed), key=lambda each: each.bound.name)
        # In one order for all runs, so that two of them never wait for each other.
        locked = [(each, lock_memory(connection, *each.bound.name)) for each in writing]
        for each, memory in locked:
            if each.bound.use.strict and memory.revision != each.revision:
                raise ConflictError(
                    f"memory {each.bound.use.id!r}: another run changed this conversation since this task read it",
                    hint="run it again, or remove `strict` from the memory",
                    details={"memory": each.bound.use.id},
                )
        for each, memory in locked:
            _append(connection, each, memory)


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
    if limits.tokens is None and limits.messages is None:
        return 0
    window = latest_turns(newest_first(connection, memory), limits.without(memory.summary_tokens))
    if window.is_all:
        return 0
    latest = window.messages or next(turns_newest_first(newest_first(connection, memory)))
    return remove_below(connection, memory, latest[0].seq)


def _append(connection: sa.Connection, each: Recollection, memory: Memory) -> None:
    use = each.bound.use
    append_messages(connection, memory, each.added, ttl_ms=use.ttl_ms)
    if each.new_working is not None:
        touch_memory(connection, memory, ttl_ms=use.ttl_ms, working=each.new_working)
    # Another run may have summarized the same turns meanwhile; then its summary counts.
    if each.new_summary is not None and memory.summary == each.summary:
        tokens = estimate_tokens(each.new_summary)
        changed = {"summary": each.new_summary, "summary_tokens": tokens}
        remove_below(connection, memory, each.old_last + 1, **changed)
        memory = find_memory(connection, *each.bound.name)
    trim(connection, memory, each.limits)


def _look(bound: BoundMemory, window: int | None, connection: sa.Connection) -> tuple[JsonValue, list[Message]]:
    """Return what is recorded of a conversation, and its messages."""
    memory = find_memory(connection, *bound.name)
    limits = bound.use.limits(window)
    shown = latest_turns(newest_first(connection, memory), limits.without(memory.summary_tokens))
    messages = list(shown.messages)
    found: dict[str, JsonValue] = {
        "revision": memory.revision,
        "first": messages[0].seq if messages else 1,
        "last": messages[-1].seq if messages else 0,
        "count": len(messages),
        "tokens": shown.tokens + memory.summary_tokens,
        "limits": {"tokens": limits.tokens, "messages": limits.messages},
    }
    if memory.summary is not None:
        found["summary"] = memory.summary
    if memory.working is not None:
        found["working"] = memory.working
    if bound.use.flushing.type == "hybrid_summary":
        found["old_last"] = _old_last(shown, limits, bound.use)
    return found, messages


def _old_last(shown: Window, limits: Limits, use: MemoryUse) -> int:
    """Return the number of the last message that a summary would replace, 0 for none.

    It replaces the configured share of the messages, and as many more turns as leave less than the threshold.
    """
    share, allowed = use.flushing.summarize_oldest_percent / 100, limits.scaled(use.flushing.summarize_threshold)
    turns = list(turns_newest_first(reversed(shown.messages)))[::-1]
    left, tokens = len(shown.messages), shown.tokens + use.flushing.summary_tokens
    last = taken = 0
    for turn in turns:
        if taken >= share * len(shown.messages) and allowed.allow(left, tokens):
            break
        taken += len(turn)
        left -= len(turn)
        tokens -= sum(message.tokens for message in turn)
        last = turn[-1].seq
    return last


def _recollection(bound: BoundMemory, found: dict[str, Any]) -> Recollection:
    return Recollection(
        bound=bound,
        revision=found["revision"],
        first=found["first"],
        last=found["last"],
        count=found["count"],
        tokens=found["tokens"],
        limits=Limits(**found["limits"]),
        summary=found.get("summary"),
        working=found.get("working"),
        old_last=found.get("old_last", 0),
    )
