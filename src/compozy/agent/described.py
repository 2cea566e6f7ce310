"""A model request as JSON that decides about its answer: without IDs, times and names that differ between runs.

It does not depend on the version of the model library. Texts, arguments and results of the user stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import JsonValue, TypeAdapter
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters

from compozy.agent.attachment.content import Attached
from compozy.agent.attachment.results import recorded_files
from compozy.boundary import OutsideRequest
from compozy.jsoninput import parse_json

_ANY: TypeAdapter[Any] = TypeAdapter(Any)
# How a part of another type differs between two runs of the same request.
_DROPPED = frozenset(
    {
        "timestamp",
        "run_id",
        "conversation_id",
        "usage",
        "model_name",
        "finish_reason",
        "history_digest",
        "state",
        "tool_call_id",
    }
)


def describe_request(
    step: str,
    path: str,
    model: Mapping[str, Any],
    messages: Sequence[ModelMessage],
    settings: Mapping[str, Any] | None,
    parameters: ModelRequestParameters,
    attached: Attached | None,
) -> OutsideRequest:
    """Return a model request as the boundary of a run sees it.

    Args:
        step: that records the answer.
        path: of the task.
        model: the model as the files name it.
        messages: the conversation.
        settings: parameters of the request.
        parameters: the tools, and the schema of the answer.
        attached: files that join the first prompt.
    """
    content: dict[str, Any] = {"model": dict(model), "messages": list(_messages(messages))}
    if settings:
        content["settings"] = _plain(dict(settings))
    if parameters.function_tools:
        tools = sorted(parameters.function_tools, key=lambda tool: tool.name)
        content["tools"] = [
            {"name": tool.name, "description": tool.description or "", "schema": tool.parameters_json_schema}
            for tool in tools
        ]
    if parameters.output_object is not None:
        content["schema"] = parameters.output_object.json_schema
    if attached is not None:
        content["attachments"] = attached.describe()
    return OutsideRequest(kind="model", path=path, content=content, step=step)


def _messages(messages: Sequence[ModelMessage]) -> Iterator[dict[str, JsonValue]]:
    # Providers make up the IDs of calls; here they are numbered as they appear.
    calls: dict[str, str] = {}
    instructions: str | None = None
    for message in messages:
        if isinstance(message, ModelRequest) and message.instructions and message.instructions != instructions:
            instructions = message.instructions
            yield {"instructions": instructions}
        for part in message.parts:
            described = _part(part, calls)
            if described is not None:
                yield described


def _part(part: Any, calls: dict[str, str]) -> dict[str, JsonValue] | None:
    match part:
        case UserPromptPart():
            return {"user": _plain(part.content)}
        case ToolReturnPart():
            call = _number(part.tool_call_id, calls)
            described: dict[str, JsonValue] = {"result": _plain(part.content), "of": call, "tool": part.tool_name}
            files: JsonValue = [{key: file[key] for key in ("media_type", "sha256")} for file in recorded_files(part)]
            return {**described, "outcome": part.outcome, **({"files": files} if files else {})}
        case TextPart():
            return {"assistant": part.content} if part.content else None
        case ThinkingPart():
            # Only its signature goes back to a provider.
            return None
        case ToolCallPart():
            call = _number(part.tool_call_id, calls)
            return {"call": part.tool_name, "id": call, "arguments": _arguments(part.args)}
        case _:
            dumped: dict[str, Any] = _plain(part)
            return {
                name: value
                for name, value in dumped.items()
                if name not in _DROPPED and not name.startswith("provider_") and value is not None
            }


def _number(call_id: str, calls: dict[str, str]) -> str:
    return calls.setdefault(call_id, f"call-{len(calls) + 1}")


def _arguments(args: Any) -> JsonValue:
    """Return arguments as JSON; whether they arrive as text or as a map depends on the provider."""
    if not isinstance(args, str):
        return _plain(args or {})
    try:
        return parse_json(args, lenient=True) if args.strip() else {}
    except ValueError:
        return args


def _plain(value: Any) -> Any:
    return _ANY.dump_python(value, mode="json", warnings=False)
