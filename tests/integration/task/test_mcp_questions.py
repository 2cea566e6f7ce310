"""Questions of MCP servers: waits that survive restarts of Compozy and of the server, on both databases."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from compozy.database.database import Database
from compozy.database.events import TOOL_CALL, list_events
from compozy.errors import SchemaMismatchError
from compozy.tool.kind import ToolHome
from compozy.tool.mcp.config import McpConfig
from compozy.tool.mcp.servers import McpServers, ServerHome
from compozy.workflow.operate import approve
from compozy.workflow.requests import list_requests
from tests.harness.rawmcp import RawServer, calls_in, serve
from tests.harness.runs import Answers, flowing

CALLS = {"prompt": "tools: " + json.dumps([[{"tool": "raw__ask", "arguments": {}}]])}
WAIT = "ask/answer-0-0-raw__ask-1"


def home(folder: Path, port: int) -> ToolHome:
    """Return a project with the server, in the form that a new process loads."""
    servers = McpServers([server(port)], ServerHome(root=folder, environ={}))
    return ToolHome(root=folder, environ={}, servers=servers)


def server(port: int) -> McpConfig:
    """Return the configuration of the server."""
    return McpConfig.model_validate({"id": "raw", "url": f"http://localhost:{port}/mcp"})


def workflow(port: int) -> str:
    """Return a workflow whose task can call the tools of the server."""
    config = json.dumps({"id": "raw", "url": f"http://localhost:{port}/mcp"})
    return f"""
        tasks:
          - id: ask
            prompt: "{{{{ .input.prompt }}}}"
            mcps: [{config}]
        output: {{said: "{{{{ .tasks.ask.output.text }}}}"}}
    """


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"accept": True, "answer": {"sure": {"sure": True}}}, {"action": "accept", "content": {"sure": True}}),
        ({"accept": False}, {"action": "decline"}),
    ],
)
async def test_a_question_survives_restarts(
    database: Database, tmp_path: Path, answer: dict[str, Any], result: dict[str, Any]
) -> None:
    ledger, answers = tmp_path / "ledger", Answers()
    with serve(RawServer(era="modern", ledger=ledger)) as port:
        async with flowing(database, tools=home(tmp_path, port), answers=answers) as flows:
            run_id = await flows.start(workflow(port), CALLS)
            waiting = await flows.until_waiting(run_id, WAIT)
            form: dict[str, Any] = waiting.tasks[WAIT].output["form"]
            assert form["description"] == "Delete it?"
            with pytest.raises(SchemaMismatchError):
                await approve(flows.database, run_id, {"accept": True})
    await approve(database, run_id, answer)
    # Another server at the same address: it does not know the question, and asks again.
    with serve(RawServer(era="modern", ledger=ledger), port):
        async with flowing(database, tools=home(tmp_path, port), answers=answers) as flows:
            ran = await flows.ended(run_id)
    ((name, outcome, text),) = json.loads(ran.output["said"])
    assert (name, outcome, json.loads(text)) == ("raw__ask", "success", result)
    keys = {key for _, key in calls_in(ledger)}
    assert len(keys) == 1
    (call,) = (await asyncio.to_thread(list_requests, database, run_id))[0]["tool_calls"]
    assert call["outcome"] == "ok"
    with database.read() as connection:
        events = [
            event.data for event in list_events(connection, run_id, after=0, limit=1000) if event.kind == TOOL_CALL
        ]
    assert [(event["tool"], event["outcome"]) for event in events] == [("raw__ask", "asks"), ("raw__ask", "ok")]
