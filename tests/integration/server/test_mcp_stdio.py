"""`compozy mcp serve`: a process for one client, which executes runs or uses a server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from compozy.server.mcp.questions import AskedState
from tests.conftest import RunCli
from tests.harness.mcpclient import HANDSHAKE, Answers, Era
from tests.harness.projects import query, write_project
from tests.integration.server.mcp_projects import OFFERED, RESPONSES, ask, call, leave, run_of

_COMMAND = ("-m", "compozy", "mcp", "serve")
_PATIENCE_S = 60


@asynccontextmanager
async def started(folder: Path, log: Path, *, era: Era, answer: Answers | None = None) -> AsyncGenerator[Client]:
    """Connect the SDK's client to a process that it starts. `log` gets the messages of the process."""

    async def elicit(context: Any, params: Any) -> Any:
        assert answer is not None
        return answer(params.message, params.requested_schema)

    command = StdioServerParameters(command=sys.executable, args=list(_COMMAND), cwd=folder)
    with log.open("w", encoding="utf-8") as errors:
        streams = stdio_client(command, errlog=errors)
        async with Client(streams, mode=era, elicitation_callback=elicit if answer is not None else None) as client:
            yield client


async def test_two_clients_share_the_runs_of_a_project(tmp_path: Path) -> None:
    """The first process is a server, which the second one finds in the database."""
    write_project(tmp_path, OFFERED, responses=RESPONSES)
    async with (
        started(tmp_path, tmp_path / "first.log", era="auto", answer=leave) as first,
        started(tmp_path, tmp_path / "second.log", era="legacy") as second,
    ):
        hello = await call(second, "say_hello", {"name": "Ada"}, **{"compozy/idempotencyKey": "k"})
        again = await call(first, "say_hello", {"name": "Ada"}, **{"compozy/idempotencyKey": "k"})
        asked = await ask(first, "refund", {})
        run_id = AskedState.decode(str(asked.request_state)).execution_id
        found = await call(second, "get_run", {"run_id": run_id})
        await call(second, "answer_run", {"run_id": run_id, "answer": {"approve": True}})
        ended = await call(first, "wait_run", {"run_id": run_id})
        slow = await call(second, "slow", {})
        canceled = await call(second, "cancel_run", {"run_id": slow.structured_content["run_id"]})

    assert hello.structured_content == again.structured_content == {"text": "Hello, Ada!"}
    assert run_of(hello) == run_of(again)
    assert [question["task"] for question in found.structured_content["questions"]] == ["approve"]
    assert (ended.structured_content["status"], ended.structured_content["output"]) == ("SUCCESS", {"approved": True})
    assert canceled.structured_content["status"] == "CANCELED"
    assert "Server listening on" in (tmp_path / "first.log").read_text()
    assert "using the server at http://127.0.0.1:" in (tmp_path / "second.log").read_text()


async def test_the_output_contains_only_messages_and_the_end_of_the_input_ends_the_process(tmp_path: Path) -> None:
    write_project(tmp_path, OFFERED, responses=RESPONSES)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *_COMMAND, cwd=tmp_path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    hello: dict[str, Any] = {
        "protocolVersion": HANDSHAKE,
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    }
    requests: list[tuple[str, dict[str, Any]]] = [
        ("initialize", hello),
        ("tools/call", {"name": "slow", "arguments": {}}),
    ]
    lines = [b"this is no message\n", b"\n"]
    lines += [
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"
        for number, (method, params) in enumerate(requests)
    ]
    process.stdin.write(b"".join(lines))
    async with asyncio.timeout(_PATIENCE_S):
        answers: dict[int, Any] = {}
        while len(answers) < len(requests):
            message = json.loads(await process.stdout.readline())
            answers[message.get("id")] = message.get("result")
        process.stdin.close()
        rest = await process.stdout.read()
        status = await process.wait()

    assert (status, rest) == (0, b"")
    assert answers[0]["serverInfo"]["name"] == "demo"
    assert "is still running" in answers[1]["content"][0]["text"]
    # The next process continues the run.
    assert query(tmp_path, "SELECT status, owner FROM workflow_states") == [("RUNNING", None)]


def find_nothing(_: str) -> None:
    """Find no package."""


def test_a_project_that_offers_nothing_is_an_error(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    refused = cli("mcp", "serve")
    assert (refused.status, refused.out) == (2, "")
    assert "no workflow of project 'demo' is offered over MCP" in refused.err
    assert "add `triggers: [{type: mcp}]` to a workflow" in refused.err


@pytest.mark.parametrize("command", [("mcp", "serve"), ("start", "--port=0")])
def test_a_package_that_is_missing_is_an_error(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    write_project(tmp_path, OFFERED, responses=RESPONSES)
    monkeypatch.setattr("compozy.server.entry.find_spec", find_nothing)
    refused = cli(*command)
    assert (refused.status, refused.out) == (2, "")
    assert "triggers of type 'mcp' need mcp, which is not installed" in refused.err
    assert "compozy[mcp]" in refused.err
