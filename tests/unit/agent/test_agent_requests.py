"""Requests as they reach a model, captured by a model that records them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from journal import Journal
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ThinkingPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.profiles import ModelProfile

from compozy.agent.checkpoint import CheckpointedModel
from compozy.agent.config import AgentConfig
from compozy.agent.run import AgentRequest, run_agent
from compozy.errors import ModelError
from compozy.model.call import CallPosition, current_position
from compozy.model.catalog import ModelCatalog, ResolvedModel
from compozy.model.failover import Failover
from compozy.model.fallback import FallbackModel

Reply = Callable[[list[ModelMessage], AgentInfo], ModelResponse]


class OneModelCatalog(ModelCatalog):
    """A catalog that always returns the model of this function."""

    def __init__(self, reply: Reply, profile: ModelProfile | None = None) -> None:
        self._function = FunctionModel(reply, profile=profile)

    def resolve(self, llm: str | None, model: str | None) -> ResolvedModel:
        return ResolvedModel(model=self._function, provider_id="f", provider_type="scripted", model_name="function")


async def run(reply: Reply, profile: ModelProfile | None = None, **fields: Any) -> Any:
    request: dict[str, Any] = {
        "execution_id": "e",
        "task_id": "t",
        "path": "t",
        "first_run_index": 5,
        "config": None,
        "prompt": "Ask",
        **fields,
    }
    return await run_agent(AgentRequest(**request), OneModelCatalog(reply, profile), checkpoint=Journal())


def prompts(messages: list[ModelMessage]) -> list[Any]:
    return [
        part.content
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]


async def test_prompt_instructions_settings_and_position_arrive() -> None:
    seen: list[Any] = []

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.extend([prompts(messages), info.instructions, info.model_settings, current_position()])
        return ModelResponse(parts=[TextPart("ok")])

    await run(reply, instructions="Be kind.", config=AgentConfig(temperature=0.0, max_tokens=9))

    assert seen == [
        ["Ask"],
        "Be kind.",
        {"temperature": 0.0, "max_tokens": 9},
        CallPosition(execution_id="e", task_id="t", path="t", run_index=5, task_index=0),
    ]


async def test_a_repair_shows_the_problems_and_continues_the_conversation() -> None:
    positions: list[CallPosition] = []
    asked: list[list[Any]] = []

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        positions.append(current_position())
        asked.append(prompts(messages))
        return ModelResponse(parts=[TextPart('{"n": "four"}' if len(asked) == 1 else '{"n": 4}')])

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    await run(reply, output_schema=schema)

    assert [(position.run_index, position.task_index) for position in positions] == [(5, 0), (6, 1)]
    assert len(asked[1]) == 2
    assert "n: expected a whole number, got 'four'" in asked[1][1]
    assert json.dumps(schema) in asked[1][1]


async def test_an_empty_answer_is_not_sent_back() -> None:
    """Providers refuse an empty turn."""
    asked: list[list[str]] = []

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked.append([message.kind for message in messages])
        return ModelResponse(parts=[TextPart("" if len(asked) == 1 else '"x"' if len(asked) == 2 else '{"n": 1}')])

    await run(reply, output_schema={"type": "object"})

    assert asked == [["request"], ["request", "request"], ["request", "request", "response", "request"]]


async def test_a_model_that_follows_schemas_gets_the_schema_of_an_object() -> None:
    seen: list[Any] = []

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(info.model_request_parameters)
        return ModelResponse(parts=[TextPart('{"value": [1]}')])

    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "array",
        "items": {"anyOf": [{"$ref": "#"}, {"$ref": "#/$defs/n"}]},
        "$defs": {"n": {"type": "integer"}},
    }
    result = await run(reply, output_schema=schema)

    assert result.output == [1]
    assert seen[0].output_mode == "native"
    assert seen[0].output_object.json_schema == {
        "type": "object",
        "properties": {
            "value": {
                "type": "array",
                "items": {"anyOf": [{"$ref": "#/properties/value"}, {"$ref": "#/$defs/n"}]},
            }
        },
        "required": ["value"],
        "additionalProperties": False,
        "$defs": {"n": {"type": "integer"}},
    }


async def test_a_model_without_schema_support_gets_the_schema_as_text() -> None:
    seen: list[Any] = []

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(info)
        return ModelResponse(parts=[TextPart('{"n": 4}')])

    profile = ModelProfile(supports_json_schema_output=False)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    result = await run(reply, profile, output_schema=schema, instructions="Be kind.")

    assert result.output == {"n": 4}
    assert seen[0].model_request_parameters.output_mode == "prompted"
    assert "Be kind." in seen[0].instructions
    assert '"n"' in seen[0].instructions


async def test_thinking_is_not_part_of_the_answer() -> None:
    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[ThinkingPart("hmm"), TextPart("4")])

    assert (await run(reply)).text == "4"


async def test_a_refusal_is_an_error() -> None:
    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        details = {"refusal": "I'd rather not"}
        return ModelResponse(parts=[], finish_reason="content_filter", provider_details=details)

    with pytest.raises(ModelError, match="refused to answer: I'd rather not"):
        await run(reply)
    with pytest.raises(ModelError, match="refused to answer"):
        await run(reply, output_schema={"type": "string"})


async def test_tokens_that_ran_out_before_the_answer_are_an_error() -> None:
    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[ThinkingPart("so")], finish_reason="length")

    with pytest.raises(ModelError, match="spent all its tokens") as caught:
        await run(reply)
    assert caught.value.hint == "raise `max_tokens`"


async def test_an_answer_without_a_text_is_an_error_unless_the_model_intended_it() -> None:
    def nothing(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[])

    def silence(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart("")], finish_reason="stop")

    with pytest.raises(ModelError, match="answered nothing"):
        await run(nothing)
    assert (await run(silence)).text == ""


async def test_an_answer_that_was_cut_off_is_reported() -> None:
    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked = prompts(messages)
        assert len(asked) == 1 or "cut off; answer shorter" in asked[-1]
        return ModelResponse(parts=[TextPart('{"n": 1')], finish_reason="length")

    with pytest.raises(ModelError) as caught:
        await run(reply, output_schema={"type": "object"})
    assert caught.value.hint == "its answers were cut off: raise `max_tokens`"


async def test_the_checkpointed_model_serves_an_agent_of_pydantic_ai() -> None:
    """The interface for tools: the same model in Pydantic AI's own loop, with each request as a step."""

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(f"{len(messages)} messages")])

    catalog = OneModelCatalog(reply)
    journal = Journal()
    position = CallPosition(execution_id="e", task_id="t", path="t", run_index=0, task_index=0)

    def model(checkpoint: Journal) -> CheckpointedModel:
        return CheckpointedModel(
            failover=Failover(FallbackModel()),
            resolve=lambda attempt: attempt.resolve(catalog),
            name=lambda _: ({}, {}),
            checkpoint=checkpoint,
            position=position,
        )

    first = await Agent(model(journal)).run("Ask")
    again = journal.replay()
    second = await Agent(model(again)).run("Ask")

    assert first.output == second.output == "1 messages"
    assert journal.called == ["t.model.request"]
    assert again.called == []
