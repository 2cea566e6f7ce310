"""Conversations whose turns are found by meaning, in each type of vector store; the embedder is a test server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from threading import Barrier
from typing import Any

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.memories import Message, append_messages, find_memory, lock_memory
from compozy.knowledge.base import KnowledgeProject
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.config import KnowledgeSettings
from compozy.memory.turn_index import open_index

TURNS = 12
ROUNDS = 4
_PATIENCE_S = 300


def knowledge_of(root: Path, section: Mapping[str, Any], url: str, *, names: tuple[str, ...] = ("notes",)) -> Any:
    """Return a project with knowledge bases in one vector store, an entry of `vector_dbs`; `url` is of the embedder."""
    settings = {
        "vector_dbs": [{"id": name, **section} for name in names],
        "embedders": [{"id": "e", "provider": "openai", "base_url": url, "model": "test", "batch_size": 2}],
    }
    return KnowledgeProject(
        name="p",
        root=root,
        settings=KnowledgeSettings.model_validate(settings),
        providers=(),
        environ={},
        database=DatabaseSettings(driver="sqlite", path=str(root / "unused.db")),
    )


def fill_conversation(database: Database) -> None:
    """Store a conversation of short turns under the key `ana` of the memory `chat`."""
    messages: list[Message] = []
    for number in range(TURNS):
        messages.append(Message(role="user", content=f"word{number} is question {number}", tokens=5))
        messages.append(Message(role="assistant", content=f"answer {number}", tokens=5))
    with database.write() as connection:
        append_messages(connection, lock_memory(connection, "chat", "ana"), messages, ttl_ms=None)


def names_of_rounds() -> tuple[str, ...]:
    """Return the knowledge bases of `index_in_rounds`."""
    return tuple(f"notes{number}" for number in range(ROUNDS))


def index_in_rounds(
    settings: DatabaseSettings, root: Path, section: Mapping[str, Any], url: str, barrier: Barrier
) -> None:
    """Look for a turn in a new collection, when all processes of the barrier do, round after round."""
    asyncio.run(_index_in_rounds(settings, root, section, url, barrier))


async def _index_in_rounds(
    settings: DatabaseSettings, root: Path, section: Mapping[str, Any], url: str, barrier: Barrier
) -> None:
    names = names_of_rounds()
    with contextlib.closing(open_database(settings)) as database:
        catalog = KnowledgeCatalog(knowledge_of(root, section, url, names=names), database)
        with database.read() as connection:
            memory = find_memory(connection, "chat", "ana")
        for name in names:
            await asyncio.to_thread(barrier.wait, _PATIENCE_S)
            index = await open_index(catalog, database, name, ("chat", "ana"), memory.generation)
            await index.add(memory.last_seq + 1)
            found = await index.search("User: word0 is question 0\n\nAssistant: answer 0", limit=1)
            assert [match.first for match in found][:1] == [1], found
        await catalog.aclose()
