"""Questions of an MCP server to a person (elicitation), and the answers."""

from __future__ import annotations

import json
from typing import Any

from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult, InputResponses

from compozy.schema import check_schema
from compozy.tool.kind import Answer, Questions, ToolResult

_MAX_SCHEMA = 16 * 1024


def asked_by(result: InputRequiredResult) -> ToolResult:
    """Return the questions of a server, or why they cannot be put to a person."""
    messages: dict[str, str] = {}
    schemas: dict[str, Any] = {}
    for name, request in (result.input_requests or {}).items():
        if not isinstance(request, ElicitRequest):
            words = f"the server requests {request.method}, which Compozy does not support"
            return ToolResult(outcome="failed", content=words)
        params = request.params
        if not isinstance(params, ElicitRequestFormParams):
            messages[name] = f"{params.message}: {params.url}"
            continue
        messages[name] = params.message
        schemas[name] = params.requested_schema
        text = json.dumps(params.requested_schema)
        if check_schema(params.requested_schema) or "$ref" in text or len(text) > _MAX_SCHEMA:
            return ToolResult(outcome="failed", content="the server asks a question whose schema cannot be used")
    if not messages:
        return ToolResult(outcome="failed", content="the server sent neither questions nor an answer")
    questions = Questions(messages=messages, schemas=schemas, state=result.request_state)
    return ToolResult(outcome="asks", content=questions.to_json())


def is_same_question(result: InputRequiredResult, asked: Questions) -> bool:
    """Return whether a server asks what was answered."""
    found = asked_by(result)
    if found.outcome != "asks":
        return False
    again = Questions(**found.content)
    return (again.messages, again.schemas) == (asked.messages, asked.schemas)


def responses_to(answer: Answer) -> InputResponses:
    """Return the answers for the server, by the names of its questions."""
    if not answer.accepted:
        return {name: ElicitResult(action="decline") for name in answer.questions.messages}
    return {name: ElicitResult(action="accept", content=answer.values.get(name)) for name in answer.questions.messages}
