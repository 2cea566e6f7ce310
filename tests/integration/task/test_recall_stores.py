"""Recall through every type of vector store, on both databases."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from compozy.database.database import Database
from compozy.database.memories import clear_memory, delete_memory, find_memory, lock_memory
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.store.protocol import VectorStore
from compozy.memory.turn_index import base_of_turns, conversation_name
from tests.harness.embeddings import Embeddings, serve_embeddings
from tests.harness.recalling import knowledge_of
from tests.harness.remembering import Listening, asking, texts_of
from tests.harness.runs import Flows, check_run, flowing
from tests.harness.vectorstores import KINDS, section_of

RECALL: dict[str, Any] = {
    "type": "message_count_based",
    "max_messages": 2,
    "recall": {"knowledge": "notes", "top_k": 1},
}
FACTS = (
    "My cat is called Tiger.",
    "Lisbon became home in spring.",
    "Chess fills every evening.",
    "A train leaves soon.",
)
QUESTION = "My cat is called what?"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The type of vector store."""
    return str(request.param)


@pytest.fixture
def embeddings() -> Any:
    """The URL of the embedder, and its requests."""
    with serve_embeddings() as found:
        yield found


@pytest.fixture
async def knowledge(
    tmp_path: Path, kind: str, database: Database, embeddings: tuple[str, Embeddings]
) -> AsyncGenerator[KnowledgeCatalog, None]:
    """A knowledge base in this type of vector store."""
    with section_of(kind, tmp_path) as section:
        catalog = KnowledgeCatalog(knowledge_of(tmp_path, section, embeddings[0]), database)
        yield catalog
        await catalog.aclose()


async def talk(flows: Flows, *prompts: str, key: str = "ana") -> None:
    """Send one prompt after the other in one conversation."""
    for prompt in prompts:
        check_run(await flows.run(asking(prompt, key=key, **RECALL)))


async def test_turns_are_recalled_and_forgotten(
    database: Database, knowledge: KnowledgeCatalog, embeddings: tuple[str, Embeddings]
) -> None:
    model, sent = Listening(), embeddings[1]
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        await talk(flows, *FACTS, QUESTION)
        assert "User: My cat is called Tiger." in model.heard[-1][0]
        # Another conversation in the same collection.
        await talk(flows, *FACTS[1:], "hello", QUESTION, key="bo")
        assert "Tiger" not in str(model.heard[-1])
        # No turn is embedded twice in a conversation: a turn of Ana differs from the same turn of Bo only by its place.
        turns = {text: count for text, count in sent.texts.items() if text.startswith("User: ")}
        assert max(turns.values()) <= 2
        assert turns["User: My cat is called Tiger.\n\nAssistant: re: My cat is called Tiger."] == 1
        await _forget(database)
        await talk(flows, "one", "two", "three", QUESTION)
        await talk(flows, "one", "two", "three", QUESTION, key="bo")
    assert not [heard for heard in model.heard[-8:] if "Tiger" in str(heard) or "Lisbon" in str(heard)]
    held = await _store(knowledge).documents()
    assert {name: contents.chunks for name, contents in held.items()} == _indexed(database, "ana", "bo")


async def test_a_lost_collection_is_filled_again(database: Database, knowledge: KnowledgeCatalog) -> None:
    model = Listening()
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        await talk(flows, *FACTS, "hello")
        await _store(knowledge).reset(None)
        await talk(flows, QUESTION)
    assert "User: My cat is called Tiger." in model.heard[-1][0]
    # All turns but the one that is shown in any case and the new one.
    assert len(texts_of(database, "chat", "ana")) == 12
    held = await _store(knowledge).documents()
    assert [contents.chunks for contents in held.values()] == [4]


async def _forget(database: Database) -> None:
    with database.write() as connection:
        delete_memory(connection, "chat", "ana")
        clear_memory(connection, lock_memory(connection, "chat", "bo"))


def _store(knowledge: KnowledgeCatalog) -> VectorStore:
    return knowledge.store(base_of_turns(knowledge.project.base("notes")))


def _indexed(database: Database, *keys: str) -> dict[str, int]:
    """Return the conversations with the two turns of each that were embedded."""
    with database.read() as connection:
        return {conversation_name(find_memory(connection, "chat", key).generation): 2 for key in keys}
