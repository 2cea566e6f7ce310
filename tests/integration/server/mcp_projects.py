"""A project that offers workflows over MCP, its server without a socket, and calls of its tools."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

from mcp import Client
from mcp_types import CallToolResult, ElicitResult, InputRequiredResult
from starlette.types import ASGIApp

from compozy.app import SERVER, open_app
from compozy.project.load import load_project
from compozy.server.entry import new_entries
from compozy.server.gate import GuardSettings
from compozy.server.http import make_http
from compozy.server.service import Service
from compozy.storage import close_storage, open_storage
from compozy.task.report import Silence
from tests.harness.mcpclient import text_of
from tests.harness.projects import SLOW_MS
from tests.integration.server.conftest import LOOPBACK

FORM = {
    "type": "object",
    "title": "Refund 12 EUR?",
    "properties": {"approve": {"type": "boolean"}, "note": {"type": "string"}, "more": {"type": "object"}},
    "required": ["approve"],
}
NESTED = {"type": "object", "properties": {"lines": {"type": "array"}}, "required": ["lines"]}
NAME = {"type": "object", "properties": {"name": {"type": "string", "default": "World"}, "n": {"type": "integer"}}}
OFFERED: dict[str, Any] = {
    "greet": {
        "name": "Greeting",
        "description": "Greets a person.",
        "input": NAME,
        "triggers": [{"type": "mcp", "name": "say_hello"}],
        "tasks": [{"id": "pass", "with": {"text": "Hello, {{ .workflow.input.name }}!"}}],
        "output": {"text": "{{ .tasks.pass.output.text }}"},
    },
    "refund": {
        "triggers": [{"type": "mcp", "description": "Refunds an order."}],
        "tasks": [{"id": "approve", "type": "wait", "wait_for": "approval", "form": FORM}],
        "output": {"approved": "{{ .tasks.approve.output.payload.approve }}"},
    },
    "nested": {
        "triggers": [{"type": "mcp"}],
        "tasks": [{"id": "fill", "type": "wait", "wait_for": "lines", "form": NESTED}],
    },
    "fails": {"triggers": [{"type": "mcp"}], "tasks": [{"id": "bad", "prompt": "x"}]},
    "slow": {"triggers": [{"type": "mcp", "mode": "start"}], "tasks": [{"id": "slow", "prompt": "x"}]},
    "patient": {"triggers": [{"type": "mcp", "wait": "100ms"}], "tasks": [{"id": "late", "prompt": "x"}]},
    "hidden": {"tasks": [{"id": "pass", "with": {"text": "x"}}]},
}
RESPONSES = {"bad": {"error": "boom"}, **{task: {"text": "late", "delay_ms": SLOW_MS} for task in ("slow", "late")}}


@contextlib.asynccontextmanager
async def serving(folder: Path, guard: GuardSettings = LOOPBACK) -> AsyncGenerator[tuple[Service, ASGIApp]]:
    """Serve the project in `folder` without a socket, until the block ends."""
    project = load_project(None, cwd=folder, environ={})
    database = open_storage(project, wait_for_lock_s=0.0)
    try:
        async with open_app(project, database, role=SERVER, report=Silence()) as app:
            service = Service(app=app)
            entries = new_entries(service)
            try:
                yield service, make_http(service, guard, entries)
            finally:
                service.stopping.set()
                for entry in entries:
                    await entry.aclose()
    finally:
        close_storage(database)


async def call(client: Client, tool: str, arguments: dict[str, Any], **meta: Any) -> CallToolResult:
    """Call a tool. The client asks the person if the result contains a question."""
    return await client.call_tool(tool, arguments, meta=cast("Any", meta or None))


def run_of(result: CallToolResult) -> str:
    """Return the run ID in a result."""
    assert result.meta is not None, text_of(result)
    return str(result.meta["compozy/runId"])


async def ask(client: Client, tool: str, arguments: dict[str, Any]) -> InputRequiredResult:
    """Call a tool that asks, and leave its questions unanswered."""
    result = await client.session.call_tool(tool, arguments, allow_input_required=True)
    assert isinstance(result, InputRequiredResult)
    return result


async def resume(
    client: Client, tool: str, arguments: dict[str, Any], responses: dict[str, Any], state: str | None
) -> CallToolResult | InputRequiredResult:
    """Call a tool again with answers."""
    return await client.session.call_tool(
        tool, arguments, input_responses=responses, request_state=state, allow_input_required=True
    )


def leave(_: str, __: dict[str, Any]) -> ElicitResult:
    """Answer like a person who closes the question."""
    return ElicitResult(action="cancel")
