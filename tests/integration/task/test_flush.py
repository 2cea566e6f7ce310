"""`operation: flush` of a memory with summaries: a recorded model request, whose cost is that of the task."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compozy.agent.config import CompactionConfig
from compozy.database.database import Database
from compozy.database.memories import Memory, clear_memory, find_memory, lock_memory
from compozy.model.catalog import ResolvedModel
from compozy.model.price import PriceConfig
from tests.harness.remembering import Listening, asking, texts_of
from tests.harness.runs import Answers, Document, Watch, check_run, flowing

POLICY = {"redact_patterns": ["Tiger"]}
FLUSHING = {"type": "hybrid_summary", "summarize_oldest_percent": 50, "llm": "small", "model": "tiny"}
MEMORY: dict[str, Any] = {"max_tokens": 4000, "flushing": FLUSHING}
TALK = ("one", "two", "three", "four")


class Noting(Answers):
    """Keeps which models it was asked as."""

    def __init__(self) -> None:
        super().__init__()
        self.price = PriceConfig(input=1.0, output=1.0)
        self.chosen: list[tuple[str | None, str | None]] = []

    def resolve(self, llm: str | None, model: str | None) -> ResolvedModel:
        """Return the model."""
        self.chosen.append((llm, model))
        return super().resolve(llm, model)


class Named(Noting, Listening):
    """Keeps what it hears, too."""


def flushing(**more: Any) -> Document:
    """Return a workflow that flushes the conversation."""
    memory = {"id": "chat", **MEMORY, **more}
    task = {"id": "tidy", "type": "memory", "operation": "flush", "memory_ref": "chat", "key_template": "ana"}
    return {"tasks": [{"id": "first"}, {**task, "memory": memory}]}


def memory_of(database: Database) -> Memory:
    """Return the conversation as it is stored."""
    with database.read() as connection:
        return find_memory(connection, "chat", "ana")


async def test_the_oldest_turns_become_a_summary(database: Database) -> None:
    model = Named()
    async with flowing(database, answers=model) as flows:
        for prompt in TALK:
            await flows.run(asking(prompt, **MEMORY))
        model.chosen.clear()
        ran = await flows.run(flushing())
        again = await flows.run(flushing(type="message_count_based", max_messages=2))
    check_run(ran)
    assert ran.steps == ["first.end", "tidy.memory.look", "tidy.model.request", "tidy.memory", "tidy.end"]
    assert ran.tasks["tidy"].output == {
        "success": True,
        "key": "ana",
        "summary_generated": True,
        "message_count": 4,
        "token_count": ran.tasks["tidy"].output["token_count"],
    }
    assert set(model.chosen) == {("small", "tiny")}
    assert ran.run.usage is not None
    assert (ran.run.usage[0]["requests"], ran.run.usage[0]["cost_micros"] > 0) == (1, True)
    assert "User: two" in model.heard[-2][0]
    assert again.tasks["tidy"].output["summary_generated"]
    assert "Summary of the earlier conversation:" in model.heard[-1][0]
    assert texts_of(database, "chat", "ana") == ["user: four", "assistant: re: four"]


async def test_a_summary_is_redacted(database: Database) -> None:
    async with flowing(database, answers=Listening()) as flows:
        for prompt in ("My cat is Tiger", "two", "three"):
            await flows.run(asking(prompt, **MEMORY))
        check_run(await flows.run(flushing(privacy_policy=POLICY)))
    summary = memory_of(database).summary or ""
    assert "[REDACTED]" in summary
    assert "Tiger" not in summary


async def test_one_turn_needs_no_request(database: Database) -> None:
    model = Listening()
    async with flowing(database, answers=model) as flows:
        await flows.run(asking("one", **MEMORY))
        ran = await flows.run(flushing())
    assert ran.tasks["tidy"].output["summary_generated"] is False
    assert len(model.heard) == 1


async def test_a_failed_request_removes_nothing(database: Database) -> None:
    model = Listening()
    asked = model._answer  # pyright: ignore[reportPrivateUsage] - only the request for a summary fails

    async def answer(prompt: str) -> str:
        return await asked("fail: x" if prompt.startswith("Below is") else prompt)

    model._answer = answer  # pyright: ignore[reportPrivateUsage] - see above
    async with flowing(database, answers=model) as flows:
        for prompt in TALK:
            await flows.run(asking(prompt, **MEMORY))
        ran = await flows.run(flushing())
    assert ran.states["tidy"] == "FAILED"
    assert len(texts_of(database, "chat", "ana")) == 8


async def test_turns_that_were_cleared_meanwhile_are_not_summarized(database: Database) -> None:
    model = Listening()
    asked = model._answer  # pyright: ignore[reportPrivateUsage] - the conversation changes while it answers

    async def answer(prompt: str) -> str:
        if prompt.startswith("Below is"):
            with database.write() as connection:
                clear_memory(connection, lock_memory(connection, "chat", "ana"))
        return await asked(prompt)

    model._answer = answer  # pyright: ignore[reportPrivateUsage] - see above
    async with flowing(database, answers=model) as flows:
        for prompt in TALK:
            await flows.run(asking(prompt, **MEMORY))
        ran = await flows.run(flushing())
    check_run(ran)
    assert ran.tasks["tidy"].output["summary_generated"] is False
    assert memory_of(database).summary is None


@pytest.mark.parametrize("cut_at", ["tidy began", 1, 2, 3])
async def test_a_resumed_run_flushes_once(database: Database, cut_at: Any) -> None:
    model = Listening()
    async with flowing(database, answers=model) as flows:
        for prompt in TALK:
            await flows.run(asking(prompt, **MEMORY))
    async with flowing(database, answers=model, watch=Watch(cut_at=cut_at)) as flows:
        run_id = await flows.start(flushing())
        await flows.until(run_id, lambda ran: ran.status.value in {"PAUSED", "SUCCESS"})
    async with flowing(database, answers=model) as flows:
        if (await flows.read(run_id)).status.value == "PAUSED":
            await flows.resume(run_id)
        check_run(await flows.ended(run_id))
    assert len(model.heard) == len(TALK) + 1
    assert len(texts_of(database, "chat", "ana")) == 4


async def test_a_conversation_with_tools_is_summarized_by_another_model(database: Database) -> None:
    compaction = CompactionConfig(max_tokens=1, keep_turns=1, llm="small", model="tiny").model_dump(exclude_unset=True)
    rounds = [[{"tool": "cp__update_memory", "arguments": {"content": text}}] for text in ("x", "y")]
    memory = {"id": "chat", "key": "ana", "working_memory": {"template": "-"}}
    task = {"id": "ask", "prompt": f"tools: {json.dumps(rounds)}", "compaction": compaction, "memory": [memory]}
    model = Noting()
    async with flowing(database, answers=model) as flows:
        ran = await flows.run({"tasks": [task]})
    check_run(ran)
    assert ("small", "tiny") in model.chosen
    assert model.chosen[0] == (None, None)
