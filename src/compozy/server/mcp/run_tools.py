"""The tools for runs, which are offered besides those of workflows."""

from __future__ import annotations

from typing import Any

from mcp_types import Tool, ToolAnnotations

from compozy.trigger.kinds.mcp import ANSWER, CANCEL, DEFAULT_WAIT_S, GET, WAIT

MAX_WAIT_S = 3600
_RUN_ID = {"run_id": {"type": "string", "minLength": 1, "description": "ID of the run, from an earlier result."}}


def _schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**_RUN_ID, **properties},
        "required": ["run_id", *required],
        "additionalProperties": False,
    }


_TOOLS = (
    Tool(
        name=GET,
        title="Get a run",
        description="Returns the status, output, error and open questions of a run.",
        input_schema=_schema(),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    ),
    Tool(
        name=WAIT,
        title="Wait for a run",
        description="Waits until a run ends or waits for a person, and returns the same as `get_run`.",
        input_schema=_schema(
            timeout_s={
                "type": "number",
                "minimum": 0,
                "maximum": MAX_WAIT_S,
                "default": DEFAULT_WAIT_S,
                "description": "Seconds to wait at most; the run continues after them.",
            }
        ),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    ),
    Tool(
        name=ANSWER,
        title="Answer a question of a run",
        description="Answers a task that waits for a person, such as an approval. The answer is that of the user: ask "
        "before you call this.",
        input_schema=_schema(
            "answer",
            answer={"type": "object", "description": "The answer; it must match the form of the question."},
            task={"type": "string", "description": "Path of the task, required if several tasks wait."},
        ),
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False),
    ),
    Tool(
        name=CANCEL,
        title="Cancel a run",
        description="Ends a run before it is done.",
        input_schema=_schema(
            reason={
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "default": "canceled by an MCP client",
                "description": "Error message of the run.",
            }
        ),
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True),
    ),
)
RUN_TOOLS = {tool.name: tool for tool in _TOOLS}
"""The tools by name."""
