"""Messages for the model: the first messages of a task, and requests for a better answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)


def first_messages(prompt: str, instructions: str | None) -> list[ModelMessage]:
    """Return the conversation that asks `prompt` of a model with `instructions`."""
    return [ModelRequest(parts=[UserPromptPart(prompt)], instructions=instructions or None)]


def tool_messages(
    messages: Sequence[ModelMessage],
    response: ModelResponse,
    returns: Sequence[ToolReturnPart],
    *,
    instructions: str | None,
) -> list[ModelMessage]:
    """Return the conversation after the calls of `response` gave `returns`."""
    # Signed reasoning goes back: some providers refuse the results of calls without it.
    parts = [part for part in response.parts if not isinstance(part, ThinkingPart) or part.signature]
    request = ModelRequest(parts=list(returns), instructions=instructions or None)
    return [*messages, replace(response, parts=parts), request]


def repair_messages(
    messages: Sequence[ModelMessage],
    response: ModelResponse,
    problems: Sequence[str],
    *,
    schema: Mapping[str, Any],
    instructions: str | None,
) -> list[ModelMessage]:
    """Return the conversation that continues after an answer that does not match its schema.

    An answer without text stays out: providers refuse an empty turn.
    """
    words = _repair_words(problems, schema, cut=response.finish_reason == "length")
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if calls:
        returns = [
            ToolReturnPart(tool_name=call.tool_name, content=words, tool_call_id=call.tool_call_id, outcome="retried")
            for call in calls
        ]
        return tool_messages(messages, response, returns, instructions=instructions)
    # Reasoning is not sent back: servers would take it for a part of the answer.
    answer = replace(response, parts=[part for part in response.parts if not isinstance(part, ThinkingPart)])
    told = [*messages, answer] if response.text else list(messages)
    return [*told, ModelRequest(parts=[UserPromptPart(words)], instructions=instructions or None)]


def _repair_words(problems: Sequence[str], schema: Mapping[str, Any], *, cut: bool) -> str:
    listed = "\n".join(f"- {problem}" for problem in problems)
    short = "Your answer was cut off; answer shorter.\n" if cut else ""
    return (
        f"Your answer does not match the JSON Schema that it must follow.\n{short}Problems:\n{listed}\n"
        f"Answer again with JSON alone that matches this schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )
