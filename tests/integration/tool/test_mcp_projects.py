"""Projects with MCP servers on the command line: runs, the servers of a workflow, and validation messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness import rawmcp
from tests.harness.projects import query, write_project
from tests.harness.rawmcp import RawServer, calls_in, serve

ASK = {"id": "ask", "prompt": "Say hello."}


def server(folder: Path, era: str = "modern", **more: Any) -> dict[str, Any]:
    """Return the configuration of a server that is started; its ledger is `ledger`."""
    args = ["-S", rawmcp.__file__, era, str(folder / "ledger")]
    return {"id": "raw", "command": sys.executable, "args": args, **more}


def write(
    folder: Path, calls: Sequence[tuple[str, Mapping[str, Any]]], task: Mapping[str, Any] = ASK, **sections: Any
) -> None:
    """Write a project whose model calls tools of servers, one after another, and then answers."""
    answers = [{"tool_calls": [{"tool": name, "arguments": given}]} for name, given in calls]
    own = {key: sections.pop(key) for key in ("mcps_of_workflow", "agents") if key in sections}
    workflow: dict[str, Any] = {"tasks": [dict(task)], "output": {"said": "{{ .tasks.ask.output }}"}}
    if "mcps_of_workflow" in own:
        workflow["mcps"] = own.pop("mcps_of_workflow")
    responses = {"ask": [*answers, {"text": "done"}]}
    write_project(folder, {"w": {**workflow, **own}}, responses=responses, **sections)


def calls_of(cli: RunCli, run_id: str) -> list[dict[str, Any]]:
    """Return the calls of tools of a run."""
    document = json.loads(cli("workflow", "get", run_id, "--verbose", "--format", "json").out)
    return [call for request in document["requests"] for call in request.get("tool_calls", [])]


@pytest.mark.parametrize("where", ["task", "agent", "workflow", "project"])
def test_a_run_calls_the_tools_of_a_server(cli: RunCli, tmp_path: Path, where: str) -> None:
    found = server(tmp_path)
    calls = [("raw__echo", {"text": "{{ .workflow.id }}"})]
    if where == "task":
        write(tmp_path, calls, {**ASK, "mcps": [found]})
    elif where == "agent":
        write(tmp_path, calls, {**ASK, "agent": "a"}, agents=[{"id": "a", "mcps": [found]}])
    elif where == "workflow":
        write(tmp_path, calls, mcps_of_workflow=[found])
    else:
        write(tmp_path, calls, {**ASK, "mcps": ["raw"]}, mcps=[found])
    done = cli("workflow", "run", "w", "--id", "one")
    assert (done.status, done.err) == (0, ""), done.err
    (call,) = calls_of(cli, "one")
    assert (call["tool"], call["outcome"], call["result"]) == ("raw__echo", "ok", "{{ .workflow.id }}")
    ((tool, key),) = calls_in(tmp_path / "ledger")
    assert tool == "echo"
    assert len(key or "") == 24


def test_agents_use_none_of_the_servers_of_their_workflow(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path, [], {**ASK, "mcps": []}, mcps_of_workflow=[server(tmp_path)])
    assert cli("workflow", "run", "w").status == 0
    assert not (tmp_path / "ledger").exists()


def test_a_lost_server_does_not_end_a_run(cli: RunCli, tmp_path: Path) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("raw__die", {}), ("raw__echo", {"text": "after"})]
    write(tmp_path, calls, {**ASK, "mcps": ["raw"]}, mcps=[server(tmp_path)])
    assert cli("workflow", "run", "w", "--id", "one").status == 0
    lost, after = calls_of(cli, "one")
    assert lost["outcome"] == "unknown"
    assert (after["outcome"], after["result"]) == ("ok", "after")
    assert [tool for tool, _ in calls_in(tmp_path / "ledger")] == ["die", "echo"]


def test_a_server_that_cannot_be_used_fails_the_task(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path, [], {**ASK, "mcps": [{"id": "raw", "command": "no-such-program"}]})
    done = cli("workflow", "run", "w")
    assert done.status == 1
    assert "MCP server 'raw' cannot be used: no-such-program was not found" in done.err
    assert "check the `command` or `url` of the server" in done.err


def test_secrets_are_not_stored(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_TOKEN", "c4n4ry-of-the-server")
    with serve(RawServer(era="modern", ledger=tmp_path / "ledger")) as port:
        address = {"url": f"http://localhost:{port}/mcp", "headers": {"Authorization": "Bearer ${MCP_TOKEN}"}}
        database = {"driver": "sqlite", "path": "./d.db"}
        write(tmp_path, [("raw__echo", {"text": "x"})], mcps_of_workflow=[{"id": "raw", **address}], database=database)
        done = cli("workflow", "run", "w")
    assert done.status == 0, done.err
    assert b"c4n4ry-of-the-server" not in b"".join(file.read_bytes() for file in tmp_path.glob("d.db*"))


def test_a_run_keeps_the_tools_that_it_recorded(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path, [], mcps_of_workflow=[server(tmp_path)])
    assert cli("workflow", "run", "w", "--id", "one").status == 0
    ((text,),) = query(tmp_path, "SELECT output FROM operation_outputs WHERE function_name = 'ask.tools'")
    assert '"remote":"echo"' in text.replace(" ", "")


def test_servers_are_listed_and_checked(cli: RunCli, tmp_path: Path) -> None:
    broken = {"id": "broken", "command": "no-such-program"}
    write(tmp_path, [], {**ASK, "mcps": ["raw"]}, mcps=[server(tmp_path), broken])
    listed = cli("mcp", "list", "--format", "json")
    assert [(each["id"], each["transport"]) for each in json.loads(listed.out)["servers"]] == [
        ("raw", "stdio"),
        ("broken", "stdio"),
    ]
    checked = cli("mcp", "check", "raw", "--format", "json")
    assert checked.status == 0
    (found,) = json.loads(checked.out)["servers"]
    assert (found["protocol"], found["tools"][0]) == (
        "2026-07-28",
        {"name": "raw__echo", "remote": "echo", "effect": "once"},
    )
    everything = cli("mcp", "check")
    assert everything.status == 1
    assert "raw__echo" in everything.out
    assert "no-such-program was not found" in everything.err
    assert "no MCP server 'row'" in cli("mcp", "check", "row").err


def test_a_missing_package_is_named(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compozy.tool.mcp.servers.find_spec", lambda _: None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    write(tmp_path, [], mcps_of_workflow=[server(tmp_path)])
    done = cli("workflow", "run", "w")
    assert done.status == 1
    assert "MCP server 'raw' needs the package mcp, which is not installed" in done.err
    assert "compozy[mcp]" in done.err


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "MCP server 'raw' has neither `command` nor `url`"),
        ({"command": "a", "url": "https://b.example"}, "has both `command` and `url`"),
        ({"command": "a", "transport": "sse"}, "has `command`, which does not go with `transport: sse`"),
        ({"url": "https://b.example", "transport": "stdio"}, "has `url`, which does not go with `transport: stdio`"),
        ({"url": "https://b.example", "env": {"A": "b"}}, "`env` does not go with `url`"),
        ({"command": "a", "headers": {"A": "b"}}, "`headers` does not go with `command`"),
        ({"url": "ftp://b.example"}, "url: 'ftp://b.example' is not a URL of the web"),
        ({"url": "https://me:secret@b.example"}, "url: the URL holds a user or a password"),
        ({"url": "https://b.example", "headers": {"Host": "c"}}, "the header Host cannot be set"),
        ({"command": "a", "proto": "2025-01-01"}, "unknown version '2025-01-01' of the protocol"),
        ({"command": "a", "prefix": "cp__"}, "prefix: the names of its tools would begin with 'cp__'"),
        ({"command": "a", "env": {"LD_PRELOAD": "x.so"}}, "env: LD_PRELOAD makes programs load code"),
        ({"command": "a", "approve": {"when": "input.a >"}}, "expected a value, got the end"),
        ({"command": "a", "tools": {"approve": {"pay": {"when": "input.a >"}}}}, "expected a value, got the end"),
        ({"command": "a", "tools": {"effect": {"pay": "twice"}}}, "pay: expected read, retry or once, got 'twice'"),
        ({"command": "a", "start_timeout": "0s"}, "a time limit is longer than 0s"),
        ({"command": "a", "max_sessions": 3}, "max_sessions"),
    ],
)
def test_errors_are_reported_with_their_location(
    cli: RunCli, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    write(tmp_path, [], {**ASK, "mcps": ["raw"]}, mcps=[{"id": "raw", **config}])
    done = cli("config", "validate")
    assert done.status == 5, done.err
    assert message in done.err
    assert "compozy.yaml:1:" in done.err


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"mcps": ["row"]}, "unknown MCP server 'row' (did you mean 'raw'?)"),
        ({"mcps": ["raw", "raw"]}, "the MCP server 'raw' is listed twice"),
        ({"mcps": ["raw"], "tool_choice": "row__echo"}, "tool_choice: 'row__echo' is not one of the tools"),
        ({"mcps": ["raw"], "max_tool_calls": {"row__echo": 1}}, "'row__echo' is not one of the tools"),
    ],
)
def test_errors_of_tasks(cli: RunCli, tmp_path: Path, task: dict[str, Any], message: str) -> None:
    write(tmp_path, [], {**ASK, **task}, mcps=[server(tmp_path)])
    done = cli("config", "validate")
    assert (done.status, message in done.err) == (5, True), done.err


def test_warnings_of_validation(cli: RunCli, tmp_path: Path) -> None:
    old = {"id": "old", "url": "http://localhost:9/sse", "transport": "sse"}
    write(tmp_path, [], {**ASK, "mcps": ["raw"], "retries": 2}, mcps=[server(tmp_path), old])
    done = cli("config", "validate")
    assert done.status == 0
    assert "may call tools of MCP server raw again" in done.err
    assert "the transport `sse` is deprecated" in done.err


def test_tools_of_servers_can_be_limited_and_selected(cli: RunCli, tmp_path: Path) -> None:
    limits = {"mcps": ["raw"], "tool_choice": "raw__echo", "max_tool_calls": {"raw__echo": 1}}
    write(tmp_path, [], {**ASK, **limits}, mcps=[server(tmp_path)])
    assert cli("config", "validate").status == 0


@pytest.mark.parametrize("where", ["project", "workflow"])
def test_a_task_calls_a_tool_of_a_server_without_a_model(cli: RunCli, tmp_path: Path, where: str) -> None:
    found = server(tmp_path, timeout="1m")
    task = {"id": "ask", "tool": "raw__echo", "with": {"text": "{{ .workflow.id }}"}}
    write(tmp_path, [], task, **({"mcps": [found]} if where == "project" else {"mcps_of_workflow": [found]}))
    done = cli("workflow", "run", "w", "--id", "one")
    assert (done.status, done.err) == (0, ""), done.err
    assert 'Result: {"said": "w"}' in done.out
    ((tool, key),) = calls_in(tmp_path / "ledger")
    assert (tool, len(key or "")) == ("echo", 24)


def test_a_task_whose_server_lacks_the_tool_fails(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path, [], {"id": "ask", "tool": "raw__ecko"}, mcps=[server(tmp_path)])
    assert cli("config", "validate").status == 0
    done = cli("workflow", "run", "w")
    assert done.status == 1
    assert "MCP server 'raw' has no tool 'raw__ecko'" in done.err
    assert "did you mean 'raw__echo'?" in done.err
    assert not (tmp_path / "ledger").exists()


def test_a_tool_of_the_project_is_not_one_of_a_server(cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def own() -> str:\n    return 'own'\n")
    own = {"id": "raw__echo", "description": "Own", "run": "./own.py:own"}
    write(tmp_path, [], {"id": "ask", "tool": "raw__echo"}, mcps=[server(tmp_path)], tools=[own])
    assert 'Result: {"said": "own"}' in cli("workflow", "run", "w").out
    write(tmp_path, [], {"id": "ask", "tool": "raw__echo", "mcps": ["raw"]}, mcps=[server(tmp_path)], tools=[own])
    assert "task 'ask' has both `tool` and `mcps`" in cli("config", "validate").err
