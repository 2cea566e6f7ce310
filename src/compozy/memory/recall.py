"""Older turns of a conversation that are similar to a question; which ones is a recorded step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa

from compozy.boundary import OutsideRequest, exchange
from compozy.database.database import Database
from compozy.database.memories import Message, find_memory, list_messages, newest_first
from compozy.errors import KnowledgeError
from compozy.knowledge.retrieve import MAX_QUERY
from compozy.memory.config import MemoryRecall
from compozy.memory.recollection import Recollection
from compozy.memory.turn_index import Found, open_index
from compozy.memory.window import turns_newest_first

if TYPE_CHECKING:
    from pydantic import JsonValue

    from compozy.knowledge.catalog import KnowledgeCatalog

# Messages of one turn; longer turns are not recalled.
_MAX_TURN = 200


@dataclass(frozen=True, kw_only=True)
class Recall:
    """A search for older turns of one conversation.

    Attributes:
        path: of the task.
        step: that records the result.
        question: the prompt; parts that the memory redacts are not in it.
    """

    database: Database
    knowledge: KnowledgeCatalog | None
    config: MemoryRecall
    each: Recollection
    path: str
    step: str
    question: str

    async def find(self) -> JsonValue:
        """Return the turns, `{first, last, tokens, score}`, the oldest first; nothing is asked if all turns are shown.

        Raises:
            KnowledgeError: embedder or store failed.
        """
        if not self.question.strip() or not await self.database.read_async(self._has_older):
            return []
        return await exchange(self._describe, self._search)

    def _has_older(self, connection: sa.Connection) -> bool:
        memory = find_memory(connection, *self.each.bound.name)
        is_same = memory.generation == self.each.generation
        return is_same and next(newest_first(connection, memory, below=self.each.first), None) is not None

    def _describe(self) -> OutsideRequest:
        recall = {"top_k": self.config.top_k, "max_tokens": self.config.max_tokens}
        content = {
            "knowledge": [{"knowledge_base_id": self.config.knowledge, **recall}],
            "memory": self.each.bound.use.id,
            "query": self.question,
            "before": self.each.first,
        }
        return OutsideRequest(kind="knowledge", path=self.path, content=content, step=self.step)

    async def _search(self) -> JsonValue:
        if self.knowledge is None:
            raise KnowledgeError("the project has no knowledge base", hint="add a store to `knowledge.vector_dbs`")
        name, generation = self.each.bound.name, self.each.generation
        index = await open_index(self.knowledge, self.database, self.config.knowledge, name, generation)
        await index.add(self.each.first)
        question = self.question[:MAX_QUERY]
        found = await index.search(question, limit=self.config.top_k)
        if await self.database.read_async(partial(self._is_outdated, found)):
            await index.prune()
            found = await index.search(question, limit=self.config.top_k)
        return cast("JsonValue", await self.database.read_async(partial(self._fit, found)))

    def _is_outdated(self, found: Sequence[Found], connection: sa.Connection) -> bool:
        """Return whether a turn was found that is not stored any more."""
        return not all(self._messages(connection, match.first, match.first) for match in found)

    def _fit(self, found: Sequence[Found], connection: sa.Connection) -> list[dict[str, int | float]]:
        """Return the best turns that are still stored and fit, in the order of the conversation."""
        kept: list[dict[str, int | float]] = []
        room = self.config.max_tokens
        for match in found:
            turn = self._turn(connection, match.first)
            tokens = sum(message.tokens for message in turn)
            if not turn or tokens > room:
                # A shorter one after it may fit still.
                continue
            room -= tokens
            kept.append({"first": match.first, "last": turn[-1].seq, "tokens": tokens, "score": match.score})
            if len(kept) == self.config.top_k:
                break
        return sorted(kept, key=lambda turn: turn["first"])

    def _turn(self, connection: sa.Connection, first: int) -> list[Message]:
        """Return the turn that starts with a message, [] if it is not stored or is shown anyway."""
        if first >= self.each.first:
            return []
        messages = self._messages(connection, first, min(first + _MAX_TURN, self.each.first - 1))
        turns = list(turns_newest_first(reversed(messages)))
        return turns[-1] if turns and turns[-1][0].seq == first else []

    def _messages(self, connection: sa.Connection, first: int, last: int) -> list[Message]:
        generation = self.each.generation
        return list_messages(connection, *self.each.bound.name, generation=generation, first=first, last=last)
