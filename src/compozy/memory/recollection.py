"""A conversation as a task has read it: which messages it sees, and what it adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from compozy.database.memories import Memory, Message, find_memory, list_messages, newest_first
from compozy.memory.config import MemoryOptions, MemoryUse
from compozy.memory.limits import Limits
from compozy.memory.window import Window, latest_turns, turns_newest_first

if TYPE_CHECKING:
    from pydantic import JsonValue


@dataclass(frozen=True, kw_only=True)
class BoundMemory:
    """A memory of an agent with the key of the conversation."""

    use: MemoryUse
    key: str

    @property
    def name(self) -> tuple[str, str]:
        """Return what identifies the conversation."""
        return self.use.id, self.key

    @property
    def keeps(self) -> bool:
        """Return whether the model can change its working memory."""
        return self.use.working_memory is not None and self.use.mode != "read-only"


@dataclass(kw_only=True)
class Recollection:
    """One conversation as a task has read it, and what the task adds.

    Attributes:
        generation: of the conversation when it was read, "" if it was not stored.
        revision: number of changes when it was read.
        first: number of the first message that was read.
        last: number of the last one; smaller than `first` for none.
        count: how many messages were read.
        tokens: theirs and those of the summary.
        limits: of the messages and the summary.
        old_last: number of the last message that a summary would replace.
        messages: loaded when they are needed.
        recalled: which older turns are sent, too.
        older: their messages; loaded when they are needed.
        added: new messages.
        new_summary: the summary that replaces the messages up to `old_last`.
        new_working: the text that replaces the working memory.
    """

    bound: BoundMemory
    generation: str
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
    recalled: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    older: list[Message] | None = None
    added: list[Message] = field(default_factory=list[Message])
    new_summary: str | None = None
    new_working: str | None = None

    @classmethod
    def of(cls, bound: BoundMemory, found: dict[str, Any], messages: list[Message] | None) -> Recollection:
        """Return it from what `look` recorded."""
        return cls(
            bound=bound,
            generation=found["generation"],
            revision=found["revision"],
            first=found["first"],
            last=found["last"],
            count=found["count"],
            tokens=found["tokens"],
            limits=Limits(**found["limits"]),
            summary=found.get("summary"),
            working=found.get("working"),
            old_last=found.get("old_last", 0),
            messages=messages,
        )

    @property
    def working_text(self) -> str | None:
        """Return the working memory that the model is sent; a new conversation starts with the template."""
        kept = self.bound.use.working_memory
        return None if kept is None else self.working or kept.template

    @property
    def sent_tokens(self) -> int:
        """Return the tokens of the messages, the summary and the recalled turns."""
        return self.tokens + sum(turn["tokens"] for turn in self.recalled)

    def load_older(self, connection: sa.Connection) -> list[Message]:
        """Return the messages of the recalled turns."""
        return [
            message
            for turn in self.recalled
            for message in list_messages(
                connection, *self.bound.name, generation=self.generation, first=turn["first"], last=turn["last"]
            )
        ]

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

    def was_changed(self, memory: Memory) -> bool:
        """Return whether another run changed the conversation, `memory` as it is now, since it was read."""
        return memory.revision != self.revision or self.was_deleted(memory)

    def was_deleted(self, memory: Memory) -> bool:
        """Return whether the conversation was deleted since it was read."""
        return self.generation not in {"", memory.generation}


def look(bound: BoundMemory, window: int | None, connection: sa.Connection) -> tuple[JsonValue, list[Message]]:
    """Return what is recorded of a conversation, and its messages."""
    memory = find_memory(connection, *bound.name)
    limits = bound.use.limits(window)
    shown = window_of(connection, memory, limits)
    messages = list(shown.messages)
    found: dict[str, JsonValue] = {
        "generation": memory.generation,
        "revision": memory.revision,
        "first": messages[0].seq if messages else memory.last_seq + 1,
        "last": messages[-1].seq if messages else memory.last_seq,
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


def old_turns(connection: sa.Connection, memory: Memory, options: MemoryOptions) -> Sequence[Message]:
    """Return the messages that a summary would replace if it were made now; the latest turn stays."""
    turns = list(turns_newest_first(newest_first(connection, memory, above=memory.summary_seq)))[::-1]
    older = Window(messages=tuple(message for turn in turns[:-1] for message in turn), is_all=True)
    last = _old_last(older, options.limits(None), options)
    return [message for message in older.messages if message.seq <= last]


def window_of(connection: sa.Connection, memory: Memory, limits: Limits) -> Window:
    """Return the latest turns of a conversation that fit, besides its summary and without what the summary replaces."""
    messages = newest_first(connection, memory, above=memory.summary_seq)
    return latest_turns(messages, limits.without(memory.summary_tokens))


def _old_last(shown: Window, limits: Limits, use: MemoryOptions) -> int:
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
