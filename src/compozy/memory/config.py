"""Memories: `memory/*.yaml`, `memories:` of compozy.yaml, and `memory:` of agents and tasks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from compozy.config.duration import TimeLimitS
from compozy.config.settings import Section
from compozy.knowledge.config import MAX_TOP_K
from compozy.memory.limits import Limits
from compozy.memory.redact import check_pattern, redacted

MEMORY_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$"
DEFAULT_TOKENS = 4000
"""Limit of a memory of `type: token_based` that states none."""
DEFAULT_MESSAGES = 50
"""Limit of a memory of `type: message_count_based` that states none."""

Role = Literal["user", "assistant", "system", "tool"]
Pattern = Annotated[str, AfterValidator(check_pattern)]


class MemoryFlushing(Section):
    """`flushing:`, how a memory makes room for new messages."""

    type: Literal["simple_fifo", "hybrid_summary"] = Field(
        default="simple_fifo",
        description="`simple_fifo` removes the oldest turns; `hybrid_summary` lets the model summarize them first.",
    )
    llm: str | None = Field(
        default=None, min_length=1, description="Provider that summarizes. Default: that of the agent."
    )
    model: str | None = Field(
        default=None, min_length=1, description="Model that summarizes. Default: that of the agent, or of `llm`."
    )
    summarize_threshold: float = Field(
        default=0.8, gt=0, le=1, description="Share of the limit from which old turns are summarized."
    )
    summary_tokens: int = Field(default=500, ge=1, le=100_000, description="Largest summary, in tokens.")
    summarize_oldest_percent: int = Field(
        default=30, ge=1, le=100, description="Share of the messages that one summary replaces, in percent."
    )


class MemoryPersistence(Section):
    """`persistence:`, how long a conversation is kept."""

    type: Literal["database"] = Field(
        default="database", description="Conversations are stored in the database of the project."
    )
    ttl: TimeLimitS | None = Field(
        default=None, description="Time after the last message until a conversation is forgotten. Default: never."
    )


class WorkingMemory(Section):
    """`working_memory:`, a text about each conversation that the model keeps up to date."""

    template: str = Field(
        min_length=1, max_length=20_000, description="Text that a new conversation starts with, such as headings."
    )
    max_tokens: int = Field(default=1000, ge=1, le=100_000, description="Largest text, in tokens.")


class MemoryRecall(Section):
    """`recall:`, older turns that are found by meaning and sent with those that fit the limit."""

    knowledge: str = Field(min_length=1, description="Knowledge base whose store and embedder are used.")
    top_k: int = Field(default=3, ge=1, le=MAX_TOP_K, description="Most turns.")
    max_tokens: int = Field(default=1000, ge=1, le=1_000_000, description="Most tokens of these turns.")
    keep_messages: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Messages of a conversation that are kept; older ones go."
    )


class MemoryPrivacy(Section):
    """`privacy_policy:`, texts and messages that are not stored."""

    redact_patterns: tuple[Pattern, ...] = Field(
        default=(), max_length=100, description="Regular expressions in Go's syntax; what they match is replaced."
    )
    default_redaction_string: str = Field(default="[REDACTED]", description="Text in place of a match.")
    non_persistable_message_types: tuple[Role, ...] = Field(
        default=(), description="Roles of messages that are not stored."
    )

    def redact(self, text: str) -> str:
        """Return `text` as it is stored.

        Raises:
            ConversationError: a pattern takes too long on this text.
        """
        return redacted(text, self.redact_patterns, self.default_redaction_string)


class MemoryOptions(Section):
    """Limits, lifetime and privacy of conversations."""

    type: Literal["token_based", "message_count_based", "buffer"] = Field(
        default="token_based",
        description="Limit by tokens (default 4000), by messages (default 50), or only by the limits that are written.",
    )
    max_tokens: int | None = Field(default=None, ge=1, description="Tokens of the messages that a model is sent.")
    max_messages: int | None = Field(default=None, ge=1, description="Number of messages that a model is sent.")
    max_context_ratio: float | None = Field(
        default=None, gt=0, le=1, description="The same as a share of the model's context window."
    )
    flushing: MemoryFlushing = Field(default=MemoryFlushing(), description="How room is made for new messages.")
    persistence: MemoryPersistence = Field(default=MemoryPersistence(), description="How long it is kept.")
    privacy_policy: MemoryPrivacy = Field(
        default=MemoryPrivacy(), description="Texts and messages that are not stored."
    )
    working_memory: WorkingMemory | None = Field(
        default=None, description="A text that the model is sent, and replaces with `cp__update_memory`."
    )
    recall: MemoryRecall | None = Field(
        default=None, description="Keeps turns beyond the limit, and finds those that are similar to the prompt."
    )
    default_key_template: str | None = Field(
        default=None, min_length=1, description="Key of a conversation if the agent has none; a template."
    )
    strict: bool = Field(
        default=False, description="Whether a task fails if another run changed the conversation meanwhile."
    )

    def limits(self, window: int | None) -> Limits:
        """Return the limits for a model that accepts `window` tokens, None if that is not known."""
        shares = [int(self.max_context_ratio * window)] if self.max_context_ratio is not None and window else []
        tokens = [*shares, *([self.max_tokens] if self.max_tokens is not None else [])]
        messages = self.max_messages
        if self.type == "token_based" and not tokens:
            tokens = [DEFAULT_TOKENS]
        if self.type == "message_count_based" and messages is None:
            messages = DEFAULT_MESSAGES
        return Limits(tokens=min(tokens, default=None), messages=messages)

    def kept(self, limits: Limits) -> Limits:
        """Return the limits of what is stored: with `recall`, turns stay that a model is not sent."""
        return limits if self.recall is None else Limits(messages=self.recall.keep_messages)

    @property
    def ttl_ms(self) -> int | None:
        """Time after the last message until a conversation is forgotten, None for never."""
        ttl = self.persistence.ttl
        return None if ttl is None else int(ttl * 1000)


class MemoryUse(MemoryOptions):
    """An item of `memory:`, a conversation that an agent remembers."""

    id: str = Field(pattern=MEMORY_ID_PATTERN, description="ID of the memory.")
    key: str | None = Field(
        default=None,
        min_length=1,
        description="Key of the conversation; a template. Default: `default_key_template` of the memory.",
    )
    mode: Literal["read-write", "read-only"] = Field(
        default="read-write", description="Whether the question and the answer are stored."
    )


class MemoryResource(MemoryOptions):
    """A memory: a file in `memory/`, or an item of `memories` in compozy.yaml."""

    resource: Literal["memory"] = Field(default="memory", description="Kind of file, for files that `autoload` finds.")
    id: str = Field(pattern=MEMORY_ID_PATTERN, description="Name of the memory, unique in the project.")
    description: str | None = Field(default=None, description="For people.")
    version: str | None = Field(default=None, description="Version of the memory, any text.")
