"""Older turns that are found by meaning: through the stores of knowledge bases, on both databases."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from compozy.database.memories import clear_memory, delete_memory, find_memory, lock_memory
from compozy.knowledge.base import KnowledgeProject
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.config import KnowledgeSettings
from compozy.memory.turn_index import base_of_turns, conversation_name
from tests.harness.embeddings import serve_embeddings
from tests.harness.recalling import knowledge_of
from tests.harness.remembering import Listening, asking, texts_of
from tests.harness.runs import Flows, Watch, check_run, flowing

OLDER = "Earlier parts of this conversation that may matter now:\n\n"
LIMITS: dict[str, Any] = {"type": "message_count_based", "max_messages": 2}
STORE = {"id": "notes", "provider": "filesystem"}
RECALL: dict[str, Any] = {**LIMITS, "recall": {"knowledge": "notes", "top_k": 1}}


@pytest.fixture
async def local_knowledge(tmp_path: Path) -> AsyncGenerator[KnowledgeCatalog, None]:
    """A knowledge base with the local embedder, which is costly, and a store in a folder."""
    project = KnowledgeProject(
        name="p",
        root=tmp_path,
        settings=KnowledgeSettings.model_validate({"vector_dbs": [STORE]}),
        providers=(),
        environ={},
        database=DatabaseSettings(driver="sqlite", path=str(tmp_path / "unused.db")),
    )
    catalog = KnowledgeCatalog(project, None)
    yield catalog
    await catalog.aclose()


@pytest.fixture
async def knowledge(tmp_path: Path) -> AsyncGenerator[KnowledgeCatalog, None]:
    """A knowledge base with a store in a folder; texts that share words are similar."""
    with serve_embeddings() as (url, _):
        catalog = KnowledgeCatalog(knowledge_of(tmp_path, {"provider": "filesystem"}, url), None)
        yield catalog
        await catalog.aclose()


async def talk(flows: Flows, prompts: Sequence[str], **memory: Any) -> None:
    """Ask one prompt after the other in one conversation."""
    for prompt in prompts:
        check_run(await flows.run(asking(prompt, **{**RECALL, **memory})))


PETS = ("My cat is called Tiger.", "I live in Lisbon.", "I like to play chess.", "Tomorrow I travel by train.")


async def test_an_older_turn_is_found_by_meaning(database: Database, local_knowledge: KnowledgeCatalog) -> None:
    model = Listening()
    async with flowing(database, answers=model, knowledge=local_knowledge) as flows:
        await talk(flows, PETS)
        ran = await flows.run(asking("What is the name of my pet?", **RECALL))
    check_run(ran)
    before = "User: My cat is called Tiger.\n\nAssistant: re: My cat is called Tiger."
    assert model.heard[-1] == [
        f"user: {OLDER}{before}\n\n{PETS[-1]}",
        f"assistant: re: {PETS[-1]}",
        "user: What is the name of my pet?",
    ]
    assert ran.steps == ["ask.memory.chat", "ask.memory.chat.recall", "ask.model.request", "ask.end"]
    # Turns beyond the limit stay, and two runs had none.
    assert len(texts_of(database, "chat", "ana")) == 10
    assert model.heard[1] == [f"user: {PETS[0]}", f"assistant: re: {PETS[0]}", f"user: {PETS[1]}"]


async def test_no_conversation_reads_turns_of_another(database: Database, knowledge: KnowledgeCatalog) -> None:
    model = Listening()
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        await talk(flows, PETS, key="bo")
        await talk(flows, ["one", "two", "three"])
        await talk(flows, ["What is the name of my pet?"])
    assert "Tiger" not in str(model.heard[-1])
    assert OLDER in str(model.heard[-1][0].replace("\\n", "\n"))


async def test_a_deleted_conversation_is_not_recalled(database: Database, knowledge: KnowledgeCatalog) -> None:
    """Its vectors are deleted when another conversation is indexed; those of cleared turns when they are found."""
    model = Listening()
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        await talk(flows, [*PETS, "hello"])
        await talk(flows, PETS, key="bo")
        await talk(flows, ["hello"], key="bo")
        with database.write() as connection:
            bo = find_memory(connection, "chat", "bo").generation
            delete_memory(connection, "chat", "ana")
            clear_memory(connection, lock_memory(connection, "chat", "bo"))
        await talk(flows, ["one", "two", "three", "my pet?"])
        await talk(flows, ["one", "two", "three", "my pet?"], key="bo")
        ana = find_memory_generation(database)
    assert not [heard for heard in model.heard[-8:] if "Tiger" in str(heard)]
    store = knowledge.store(base_of_turns(knowledge.project.base("notes")))
    stored = await store.documents()
    assert set(stored) == {conversation_name(bo), conversation_name(ana)}
    assert stored[conversation_name(bo)].chunks == 2


def find_memory_generation(database: Database) -> str:
    """Return the generation of Ana's conversation."""
    with database.read() as connection:
        return find_memory(connection, "chat", "ana").generation


async def test_the_store_has_no_texts(database: Database, knowledge: KnowledgeCatalog, tmp_path: Path) -> None:
    policy = {"redact_patterns": [r"\d{4}-\d{4}"]}
    async with flowing(database, answers=Listening(), knowledge=knowledge) as flows:
        await talk(flows, ["My card is 1234-5678.", *PETS, "Is it 8765-4321?"], privacy_policy=policy)
    files = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    for text in (b"1234-5678", b"called Tiger", b"8765-4321"):
        assert not [data for data in files if text in data]


async def test_recalled_turns_fit_their_limits(database: Database, knowledge: KnowledgeCatalog) -> None:
    long = "My cat is called Tiger, and " + "it sleeps all day. " * 40
    recall = {"knowledge": "notes", "top_k": 5, "max_tokens": 60, "keep_messages": 8}
    model = Listening()
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        await talk(flows, [long, *PETS, "my pet?"], recall=recall)
    assert "sleeps" not in str(model.heard[-1])
    assert "Tiger." in str(model.heard[-1])
    assert len(texts_of(database, "chat", "ana")) == 8


async def test_summarized_turns_are_recalled_and_not_sent_again(
    database: Database, knowledge: KnowledgeCatalog
) -> None:
    memory = {"max_messages": 4, "flushing": {"type": "hybrid_summary", "summarize_oldest_percent": 50}}
    model = Listening()
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        await talk(flows, PETS, **memory)
        await talk(flows, ["What is the name of my pet?"], **memory)
    asked = next(heard for heard in model.heard if heard[-1] == "user: What is the name of my pet?")
    assert asked[0].startswith("user: Summary of the earlier conversation:")
    assert f"{OLDER}User: My cat is called Tiger." in asked[0]
    assert len(texts_of(database, "chat", "ana")) == 10


@pytest.mark.parametrize("cut_at", ["ask began", 1, 2, 3])
async def test_a_resumed_run_recalls_what_it_recalled(
    database: Database, knowledge: KnowledgeCatalog, cut_at: Any
) -> None:
    model = Listening()
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        await talk(flows, PETS)
    workflow = asking("my pet?", **RECALL)
    workflow["tasks"] = [{"id": "first"}, *workflow["tasks"]]
    async with flowing(database, answers=model, knowledge=knowledge, watch=Watch(cut_at=cut_at)) as flows:
        run_id = await flows.start(workflow)
        await flows.until(run_id, lambda ran: ran.status.value in {"PAUSED", "SUCCESS"})
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        if (await flows.read(run_id)).status.value == "PAUSED":
            await flows.resume(run_id)
        check_run(await flows.ended(run_id))
    assert sum(heard[-1] == "user: my pet?" for heard in model.heard) == 1
    assert "Tiger" in json.dumps(model.heard[-1])


async def test_a_store_that_is_lost_is_filled_again(database: Database, knowledge: KnowledgeCatalog) -> None:
    model = Listening()
    async with flowing(database, answers=model, knowledge=knowledge) as flows:
        await talk(flows, [*PETS, "hello"])
        await knowledge.store(base_of_turns(knowledge.project.base("notes"))).reset(None)
        await talk(flows, ["my pet?"])
    assert "Tiger" in str(model.heard[-1])


async def test_a_knowledge_base_that_does_not_exist(database: Database) -> None:
    async with flowing(database, answers=Listening()) as flows:
        await talk(flows, PETS[:1])
        await flows.run(asking("two", **RECALL))
        ran = await flows.run(asking("three", **RECALL))
    assert ran.run.error is not None
    assert ran.run.error["code"] == "knowledge"
