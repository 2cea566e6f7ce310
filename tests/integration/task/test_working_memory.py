"""A working memory: the model reads it with every message and replaces it with a tool, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo

from compozy.database.database import Database
from compozy.database.memories import find_memory
from tests.harness.remembering import Listening, asking, rows_with, texts_of
from tests.harness.runs import Document, Watch, check_run, flowing

KEEPS = "Your notes about this conversation, which you change with `cp__update_memory`:\n\n"
TEMPLATE = "- Name:"


class Keeping(Listening):
    """Calls `cp__update_memory` for a prompt `keep: TEXT`, and answers with the outcome of the call.

    Attributes:
        tools: names of the tools of each request.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tools: list[list[str]] = []

    async def _listen(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.tools.append([tool.name for tool in info.function_tools])
        last: Any = messages[-1].parts[-1]
        if isinstance(last, ToolReturnPart):
            return ModelResponse(parts=[TextPart(f"{last.outcome}: {last.content}")])
        if isinstance(last, UserPromptPart) and str(last.content).startswith("keep: "):
            content = str(last.content).removeprefix("keep: ")
            return ModelResponse(parts=[ToolCallPart("cp__update_memory", {"content": content}, "call-1")])
        return await super()._listen(messages, info)


def keeping(prompt: str, **memory: Any) -> Document:
    """Return a workflow that asks `prompt` with a working memory."""
    return asking(prompt, working_memory={"template": TEMPLATE, "max_tokens": 20}, **memory)


def kept_in(database: Database) -> str | None:
    """Return the working memory that is stored."""
    with database.read() as connection:
        return find_memory(connection, "chat", "ana").working


async def test_the_model_replaces_the_text(database: Database) -> None:
    model = Keeping()
    async with flowing(database, answers=model) as flows:
        await flows.run(keeping("hello"))
        ran = await flows.run(keeping("keep: - Name: Ana"))
        await flows.run(keeping("again"))
    check_run(ran)
    assert ran.steps == [
        "ask.memory.chat",
        "ask.model.request",
        "ask.tool.0.0.cp__update_memory",
        "ask.model.request",
        "ask.end",
    ]
    assert model.heard[0] == [f"user: {KEEPS}{TEMPLATE}", "user: hello"]
    assert model.heard[1][0] == f"user: {KEEPS}- Name: Ana\n\nhello"
    assert model.tools == [["cp__update_memory"]] * 4
    assert kept_in(database) == "- Name: Ana"
    assert "assistant: success: kept" in texts_of(database, "chat", "ana")


async def test_a_text_is_redacted_and_not_longer_than_its_limit(database: Database) -> None:
    policy = {"redact_patterns": [r"\d{4}-\d{4}"]}
    model = Keeping()
    async with flowing(database, answers=model) as flows:
        await flows.run(keeping("keep: card 1234-5678", privacy_policy=policy))
        assert kept_in(database) == "card [REDACTED]"
        assert "memories" not in rows_with(database, "1234-5678")
        await flows.run(keeping(f"keep: {'long ' * 100}"))
    assert kept_in(database) == "card [REDACTED]"
    assert texts_of(database, "chat", "ana")[-1].startswith("assistant: failed: the text has about ")


async def test_only_reading_offers_no_tool(database: Database) -> None:
    model = Keeping()
    async with flowing(database, answers=model) as flows:
        await flows.run(keeping("keep: x"))
        await flows.run(keeping("hello", mode="read-only"))
    assert model.tools[-1] == []
    assert model.heard[-1][0].startswith("user: Your notes about this conversation:\n\nx")


async def test_a_failed_task_changes_nothing(database: Database) -> None:
    workflow = keeping("keep: x")
    workflow["tasks"][0]["outputs"] = {"x": "{{ .output.nothing.at.all }}"}
    async with flowing(database, answers=Keeping()) as flows:
        ran = await flows.run(workflow)
    assert ran.states == {"ask": "FAILED"}
    assert kept_in(database) is None


async def test_the_model_names_one_of_several_conversations(database: Database) -> None:
    """Two conversations of one memory are named by their keys; one that is only read has no name in the tool."""
    notes = {"working_memory": {"template": TEMPLATE, "max_tokens": 20}}
    uses = [
        {"id": "chat", "key": "ana", **notes},
        {"id": "chat", "key": "team", **notes},
        {"id": "facts", "key": "ana", "mode": "read-only", **notes},
    ]
    calls = json.dumps([[{"tool": "cp__update_memory", "arguments": {"memory": "chat team", "content": "for all"}}]])
    workflow: Document = {"tasks": [{"id": "ask", "prompt": f"tools: {calls}", "memory": uses}]}
    model = Keeping()
    async with flowing(database, answers=model) as flows:
        ran = await flows.run(workflow)
        wrong = calls.replace("chat team", "facts")
        refused = await flows.run({"tasks": [{"id": "ask", "prompt": f"tools: {wrong}", "memory": uses}]})
        await flows.run({"tasks": [{"id": "ask", "prompt": "hello", "memory": uses}]})
    check_run(ran)
    heard = "\n".join(model.heard[-1])
    for title in ("'chat ana', which you change with `cp__update_memory`:", "'chat team', which", "'facts':"):
        assert f"Your notes {title}" in heard
    assert kept_in(database) is None
    with database.read() as connection:
        assert find_memory(connection, "chat", "team").working == "for all"
        assert find_memory(connection, "facts", "ana").working is None
    assert "memory: expected 'chat ana' or 'chat team', got 'facts'" in refused.output["ask"]["text"]


@pytest.mark.parametrize("cut_at", range(1, 6))
async def test_a_resumed_run_keeps_what_it_recorded(database: Database, cut_at: int) -> None:
    """A run that is halted after any step stores the text once, and calls the tool once."""
    workflow = keeping("keep: x")
    workflow["tasks"] = [{"id": "first"}, *workflow["tasks"]]
    model = Keeping()
    async with flowing(database, answers=model, watch=Watch(cut_at=cut_at)) as flows:
        run_id = await flows.start(workflow)
        await flows.until(run_id, lambda ran: ran.status.value in {"PAUSED", "SUCCESS"})
    async with flowing(database, answers=model) as flows:
        if (await flows.read(run_id)).status.value == "PAUSED":
            await flows.resume(run_id)
        ran = await flows.ended(run_id)
    check_run(ran)
    assert kept_in(database) == "x"
    assert ran.steps.count("ask.tool.0.0.cp__update_memory") == 1
    assert len(model.tools) == 2
