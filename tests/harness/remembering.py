"""A model that keeps what it was sent, and conversations as they are stored."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from compozy.database.database import Database
from compozy.database.memories import Message, find_memory, list_messages
from tests.harness.runs import Answers, Document

_ROLES: dict[type[Any], str] = {UserPromptPart: "user", SystemPromptPart: "system", TextPart: "assistant"}


class Listening(Answers):
    """Answers as `Answers` does, and keeps the messages of each request as `role: text`.

    Attributes:
        heard: the requests.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[list[str]] = []
        self._function = FunctionModel(self._listen, model_name="m")

    async def _listen(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.heard.append([shown for message in messages for shown in _shown(message)])
        return await self._reply(messages[-1:], info)


def _shown(message: ModelMessage) -> list[str]:
    parts: list[Any] = list(message.parts)
    return [f"{_ROLES[type(part)]}: {part.content}" for part in parts if type(part) in _ROLES]


def messages_of(database: Database, memory_id: str, key: str) -> list[Message]:
    """Return the messages of a conversation as they are stored."""
    with database.read() as connection:
        memory = find_memory(connection, memory_id, key)
        generation, last = memory.generation, memory.last_seq
        return list_messages(connection, memory_id, key, generation=generation, first=1, last=last)


def texts_of(database: Database, memory_id: str, key: str) -> list[str]:
    """Return the messages of a conversation as `role: text`."""
    return [f"{message.role}: {message.content}" for message in messages_of(database, memory_id, key)]


def rows_with(database: Database, text: str) -> list[str]:
    """Return the tables of the product that hold `text` in any column."""
    found: list[str] = []
    with database.read() as connection:
        inspector = sa.inspect(connection)
        for table in inspector.get_table_names():
            for row in connection.execute(sa.text(f"SELECT * FROM {table}")):
                if text in str(tuple(row)):
                    found.append(table)
    return sorted(set(found))


def asking(prompt: str, **memory: Any) -> Document:
    """Return a workflow that asks `prompt` with one memory, whose key is `ana` unless it is given."""
    use = {"id": "chat", "key": "ana", **memory}
    return {"tasks": [{"id": "ask", "prompt": prompt, "memory": [use]}]}
