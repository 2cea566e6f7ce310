"""Tools for models without native tool calls: a grammar lets them write either a call or the answer, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from compozy.ids import new_call_id
from compozy.jsoninput import parse_json

_TOOL, _ARGUMENTS, _ANSWER = "tool", "arguments", "answer"
# Start of an answer that reached its token limit before the closing quote.
_CUT_ANSWER = re.compile(r'^\s*\{\s*"answer"\s*:\s*"')


def offered_tools(
    messages: Sequence[ModelMessage],
    settings: ModelSettings,
    parameters: ModelRequestParameters,
    *,
    answers_after_result: bool,
) -> list[ToolDefinition]:
    """Return the tools that the model can call in this request.

    A tool whose result has just come is not offered again: small models would repeat the call instead of answering. If
    the model `answers_after_result`, no tool is offered then: the smallest models would call one tool after the other.
    """
    choice = settings.get("tool_choice")
    if choice == "none":
        return []
    last = messages[-1] if messages else None
    answered = {
        part.tool_name
        for part in (last.parts if isinstance(last, ModelRequest) else ())
        if isinstance(part, ToolReturnPart) and part.outcome == "success"
    }
    if answered and answers_after_result:
        return []
    tools = [tool for tool in parameters.function_tools if tool.name not in answered]
    return [tool for tool in tools if tool.name in choice] if isinstance(choice, list) else tools


def reply_schema(tools: Sequence[ToolDefinition], answer: dict[str, Any] | None, *, must_call: bool) -> dict[str, Any]:
    """Return the JSON Schema of a reply: a call of one of `tools`, or the answer.

    Args:
        tools: those that can be called.
        answer: JSON Schema of the answer, None for text.
        must_call: whether the reply has to be a call.
    """
    choices = [_object({_TOOL: {"const": tool.name}, _ARGUMENTS: tool.parameters_json_schema}) for tool in tools]
    if not must_call or not choices:
        choices.append(_object({_ANSWER: answer or {"type": "string"}}))
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def tool_words(tools: Sequence[ToolDefinition]) -> str:
    """Return the instructions that describe the tools and the form of a reply."""
    if not tools:
        return ""
    lines = [
        f"- {tool.name}: {tool.description or ''} Arguments: {_shown(tool.parameters_json_schema)}" for tool in tools
    ]
    return (
        "You can call one of these tools if you need it:\n"
        + "\n".join(lines)
        + '\nTo call a tool, reply {"tool": name, "arguments": {...}}. To answer, reply {"answer": ...}.'
    )


def read_reply(text: str) -> list[ModelResponsePart]:
    """Return the call or the answer in a reply; a text that is neither is the answer itself."""
    try:
        value: Any = parse_json(text, lenient=True)
    except ValueError:
        return [TextPart(_CUT_ANSWER.sub("", text))]
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if _TOOL in fields:
        arguments: Any = fields.get(_ARGUMENTS)
        return [ToolCallPart(tool_name=str(fields[_TOOL]), args=arguments or {}, tool_call_id=new_call_id())]
    if _ANSWER not in fields:
        return [TextPart(text)]
    answer = fields[_ANSWER]
    return [TextPart(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))]


def call_words(response: ModelResponse) -> str:
    """Return an answer of the model as it wrote it: its text, and each of its calls."""
    calls = [
        json.dumps({_TOOL: part.tool_name, _ARGUMENTS: part.args_as_dict()}, ensure_ascii=False)
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    return "\n".join(([response.text] if response.text else []) + calls)


def result_words(part: ToolReturnPart, *, can_call: bool) -> str:
    """Return the result of a call as the model reads it, and what to do with it."""
    if not can_call and part.outcome == "success":
        return f"Use this information to answer in one sentence: {part.model_response_str()}"
    verb = "returned" if part.outcome == "success" else "failed"
    return f"The tool {part.tool_name} {verb}: {part.model_response_str()}"


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _shown(schema: dict[str, Any]) -> str:
    return json.dumps(schema.get("properties") or {}, ensure_ascii=False)
