"""Tools of models without native tool calls: the grammar of their answers, and its meaning."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from compozy.model.local_tools import offered_tools, read_reply, reply_schema
from compozy.schema import validate_value

ADD = ToolDefinition(
    name="add",
    parameters_json_schema={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
)
READ = ToolDefinition(name="read")
PARAMETERS = ModelRequestParameters(function_tools=[ADD, READ])
ASKED = ModelRequest(parts=[UserPromptPart("1 + 1?")])


def returned(outcome: Any = "success") -> list[Any]:
    """Return a conversation in which `add` has just returned a result."""
    call = ModelResponse(parts=[ToolCallPart(tool_name="add", args={"a": 1}, tool_call_id="1")])
    part = ToolReturnPart(tool_name="add", content=2, tool_call_id="1", outcome=outcome)
    return [ASKED, call, ModelRequest(parts=[part])]


def names(messages: list[Any], *, smallest: bool = False, **settings: Any) -> list[str]:
    """Return the names of the tools that are offered."""
    found = offered_tools(messages, settings, PARAMETERS, answers_after_result=smallest)  # pyright: ignore[reportArgumentType]
    return [tool.name for tool in found]


def test_a_tool_is_not_offered_directly_after_its_result() -> None:
    assert names([ASKED]) == ["add", "read"]
    assert names(returned()) == ["read"]
    assert names(returned(), smallest=True) == []
    assert names(returned("failed"), smallest=True) == ["add", "read"]


def test_the_choice_of_a_tool_is_kept() -> None:
    assert names([ASKED], tool_choice="none") == []
    assert names([ASKED], tool_choice=["read"]) == ["read"]


@pytest.mark.parametrize(
    ("reply", "fits"),
    [
        ({"tool": "add", "arguments": {"a": 1}}, True),
        ({"tool": "add", "arguments": {"a": "1"}}, False),
        ({"tool": "other", "arguments": {}}, False),
        ({"answer": "2"}, True),
        ({"answer": 2}, False),
    ],
)
def test_the_grammar_allows_calls_and_answers_only(reply: Any, fits: bool) -> None:
    assert (validate_value(reply_schema([ADD, READ], None, must_call=False), reply) == []) == fits


def test_a_call_can_be_required_and_an_answer_can_have_a_schema() -> None:
    assert validate_value(reply_schema([ADD], None, must_call=True), {"answer": "2"}) != []
    assert validate_value(reply_schema([ADD], {"type": "integer"}, must_call=False), {"answer": 2}) == []
    # Without a tool there is nothing to call.
    assert validate_value(reply_schema([], None, must_call=True), {"answer": "2"}) == []


def test_replies_become_calls_and_texts() -> None:
    (call,) = read_reply('{"tool": "add", "arguments": {"a": 1}}')
    assert isinstance(call, ToolCallPart)
    assert (call.tool_name, call.args) == ("add", {"a": 1})
    assert read_reply('{"answer": "two"}') == [TextPart("two")]
    assert read_reply('{"answer": {"n": 2}}') == [TextPart('{"n": 2}')]
    assert read_reply("plain words") == [TextPart("plain words")]
    assert read_reply('{ "answer": "it was cut o') == [TextPart("it was cut o")]
