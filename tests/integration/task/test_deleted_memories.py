"""Conversations that are deleted while a run that has read them is interrupted, on both databases."""

from __future__ import annotations

import pytest

from compozy.database.database import Database
from compozy.database.memories import Message, append_messages, delete_memory, find_memory, lock_memory
from tests.harness.remembering import Listening, asking, texts_of
from tests.harness.runs import Document, check_run, flowing

SUMMARIZED = {"type": "message_count_based", "max_messages": 4, "flushing": {"type": "hybrid_summary"}}


class Awake(Listening):
    """Answers prompts that a model of `hang` does not."""

    async def _answer(self, prompt: str) -> str:
        return f"re: {prompt}"


def replace(database: Database, *texts: str) -> None:
    """Delete the conversation and store another one under its key, with the same numbers."""
    with database.write() as connection:
        assert delete_memory(connection, "chat", "ana")
        memory = lock_memory(connection, "chat", "ana")
        append_messages(
            connection, memory, [Message(role="user", content=text, tokens=5) for text in texts], ttl_ms=None
        )


async def interrupt(database: Database, workflow: Document) -> str:
    """Start a run, and end its process while the model answers; return its ID."""
    model = Listening()
    async with flowing(database, answers=model) as flows:
        run_id = await flows.start(workflow)
        await flows.until(run_id, lambda _: bool(model.heard))
    return run_id


async def test_a_resumed_run_reads_no_newer_conversation(database: Database) -> None:
    async with flowing(database, answers=Awake()) as flows:
        await flows.run(asking("before"))
    run_id = await interrupt(database, asking("hang: question"))
    replace(database, "secret 1", "secret 2", "secret 3")
    model = Awake()
    async with flowing(database, answers=model) as flows:
        ran = await flows.ended(run_id)
    check_run(ran)
    assert model.heard == [["user: hang: question"]]
    assert texts_of(database, "chat", "ana")[-2:] == ["user: hang: question", "assistant: re: hang: question"]
    assert len(texts_of(database, "chat", "ana")) == 5


async def test_a_summary_of_deleted_turns_is_not_stored(database: Database) -> None:
    async with flowing(database, answers=Awake()) as flows:
        await flows.run(asking("before", **SUMMARIZED))
    run_id = await interrupt(database, asking("hang: question", **SUMMARIZED))
    replace(database, "new 1", "new 2", "new 3")
    async with flowing(database, answers=Awake()) as flows:
        check_run(await flows.ended(run_id))
    with database.read() as connection:
        assert find_memory(connection, "chat", "ana").summary is None
    assert texts_of(database, "chat", "ana")[:3] == ["user: new 1", "user: new 2", "user: new 3"]


async def test_notes_of_a_deleted_conversation_are_not_stored(database: Database) -> None:
    kept = {"working_memory": {"template": "- Name:"}}
    async with flowing(database, answers=Awake()) as flows:
        await flows.run(asking("before", **kept))
    run_id = await interrupt(database, asking("hang: question", **kept))
    replace(database, "new")
    async with flowing(database, answers=Awake()) as flows:
        check_run(await flows.ended(run_id))
    with database.read() as connection:
        assert find_memory(connection, "chat", "ana").working is None


@pytest.mark.parametrize("stored", [("one", "two"), ()])
async def test_a_strict_run_fails_if_its_conversation_was_deleted(database: Database, stored: tuple[str, ...]) -> None:
    """Even if the new conversation counts as many changes as the deleted one."""
    async with flowing(database, answers=Awake()) as flows:
        await flows.run(asking("before"))
    run_id = await interrupt(database, asking("hang: question", strict=True))
    replace(database, *stored)
    async with flowing(database, answers=Awake()) as flows:
        ran = await flows.ended(run_id)
    assert ran.run.error is not None
    assert ran.run.error["code"] == "conflict"
