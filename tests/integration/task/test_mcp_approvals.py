"""`approve` of an MCP server and of its tools, applied to calls of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compozy.database.database import Database
from compozy.tool.kind import ToolHome
from compozy.tool.mcp.config import McpConfig
from compozy.tool.mcp.servers import McpServers, ServerHome
from compozy.workflow.operate import approve
from tests.harness.rawmcp import RawServer, calls_in, serve
from tests.harness.runs import Answers, flowing

WAIT = "ask/approve-0-0-raw__echo"
CALL = {"tool": "raw__echo", "arguments": {"text": "hello"}}
CALLS = {"prompt": "tools: " + json.dumps([[CALL]])}


def server(port: int, rules: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the server, as a task names it."""
    return {"id": "raw", "url": f"http://localhost:{port}/mcp", **rules}


def workflow(config: dict[str, Any]) -> str:
    """Return a workflow whose task can call the tools of the server."""
    return f"""
        tasks:
          - id: ask
            prompt: "{{{{ .input.prompt }}}}"
            mcps: [{json.dumps(config)}]
        output: {{said: "{{{{ .tasks.ask.output.text }}}}"}}
    """


def home(folder: Path, config: dict[str, Any]) -> ToolHome:
    """Return the project with the server."""
    servers = McpServers([McpConfig.model_validate(config)], ServerHome(root=folder, environ={}))
    return ToolHome(root=folder, environ={}, servers=servers)


@pytest.mark.parametrize("rules", [{"approve": "ask"}, {"approve": "never", "tools": {"approve": {"ec*": "ask"}}}])
@pytest.mark.parametrize(
    ("answer", "outcome", "content"),
    [
        ({"approve": True}, "success", "hello"),
        ({"approve": True, "arguments": {"text": "changed"}}, "success", "changed"),
        ({"approve": False, "reason": "not now"}, "denied", "a person denied this call: not now"),
    ],
    ids=["approved", "changed", "denied"],
)
async def test_a_call_waits_for_an_approval(
    database: Database, tmp_path: Path, rules: dict[str, Any], answer: dict[str, Any], outcome: str, content: str
) -> None:
    ledger = tmp_path / "ledger"
    with serve(RawServer(era="modern", ledger=ledger)) as port:
        config = server(port, rules)
        async with flowing(database, tools=home(tmp_path, config), answers=Answers()) as flows:
            run_id = await flows.start(workflow(config), CALLS)
            waiting = await flows.until_waiting(run_id, WAIT)
            called_before = calls_in(ledger)
            form: dict[str, Any] = waiting.tasks[WAIT].output["form"]
            await approve(flows.database, run_id, answer)
            flows.runtime.wake()
            ran = await flows.ended(run_id)

    assert called_before == []
    assert form["description"] == 'The agent wants to call raw__echo with {"text": "hello"}'
    assert json.loads(ran.output["said"]) == [["raw__echo", outcome, content]]
    assert [tool for tool, _ in calls_in(ledger)] == ([] if outcome == "denied" else ["echo"])


@pytest.mark.parametrize(
    "rules",
    [{"approve": "deny"}, {"tools": {"approve": {"echo": "deny"}}}, {"approve": {"when": 'input.text == "hello"'}}],
    ids=["server", "tool", "condition"],
)
async def test_a_rule_of_a_server_applies_to_its_calls(
    database: Database, tmp_path: Path, rules: dict[str, Any]
) -> None:
    """`deny` refuses calls without asking; a condition selects the calls that ask."""
    ledger = tmp_path / "ledger"
    with serve(RawServer(era="modern", ledger=ledger)) as port:
        config = server(port, rules)
        async with flowing(database, tools=home(tmp_path, config), answers=Answers()) as flows:
            run_id = await flows.start(workflow(config), CALLS)
            if isinstance(rules.get("approve"), dict):
                await flows.until_waiting(run_id, WAIT)
                await approve(flows.database, run_id, {"approve": False})
                flows.runtime.wake()
            ran = await flows.ended(run_id)

    ((name, outcome, _),) = json.loads(ran.output["said"])
    assert (name, outcome) == ("raw__echo", "denied")
    assert calls_in(ledger) == []
