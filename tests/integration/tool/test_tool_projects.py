"""Projects with tools on the command line: a type of tool that exists only in this file, and validation messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compozy.tool.config import ToolConfig
from compozy.tool.kind import TOOL_KINDS, Tool, ToolCall, ToolHome, ToolKind, ToolResult, ToolSpec, register
from tests.conftest import RunCli
from tests.harness.projects import write_project

SHOUT = {"id": "shout", "run": "anything:loud", "with": {"text": "hey"}}
FUNCTIONS = "def pay(amount: int) -> int:\n    '''Pay.'''\n    return amount\n"


class ShoutTool:
    """Repeats its text in capital letters."""

    def __init__(self, config: ToolConfig) -> None:
        self._config = config

    async def describe(self) -> ToolSpec:
        """Return the description for the model."""
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        return ToolSpec(name=self._config.id, description="Shout.", schema=schema, effect="read", kind="shout")

    async def call(self, call: ToolCall) -> ToolResult:
        """Return the text in capital letters."""
        return ToolResult(outcome="ok", content=str(call.input["text"]).upper())


def new_tool(config: ToolConfig, _: ToolHome) -> Tool:
    """Return the tool."""
    return ShoutTool(config)


@pytest.fixture
def shout() -> Iterator[None]:
    """Register the kind, and remove it again."""
    register(ToolKind(name="shout", module=__name__, matches=lambda tool: (tool.run or "").endswith(":loud")))
    yield
    del TOOL_KINDS["shout"]


def write(folder: Path, task: dict[str, Any], tools: list[Any], **sections: Any) -> None:
    """Write a project with one task and shared tools."""
    workflow = {"tasks": [task], "output": {"said": f"{{{{ .tasks.{task['id']}.output }}}}"}}
    write_project(folder, {"w": workflow}, responses=[{"text": "any"}], tools=tools, **sections)
    (folder / "functions.py").write_text(FUNCTIONS)


@pytest.mark.usefixtures("shout")
def test_a_new_kind_is_one_record_and_one_module(cli: RunCli, tmp_path: Path) -> None:
    # Its `run` names no file, which the checks of Python tools would require.
    (tmp_path / "anything").touch()
    write(tmp_path, {"id": "say", "tool": "shout"}, [SHOUT])
    done = cli("workflow", "run", "w", "--format", "json")
    assert (done.status, json.loads(done.out)["output"]) == (0, {"said": "HEY"})


def test_a_task_that_may_pay_twice_is_a_warning(cli: RunCli, tmp_path: Path) -> None:
    pay = {"id": "pay", "run": "./functions.py:pay", "effect": "once"}
    task = {"id": "ask", "prompt": "Pay.", "tools": ["pay"], "retries": 2}
    write(tmp_path, task, [pay])
    done = cli("config", "validate")
    assert done.status == 0
    assert "if task 'ask' fails, it starts again with new idempotency keys, and may call pay again" in done.err


@pytest.mark.parametrize(("runtime", "words"), [("deno", "needs Deno, which is not installed"), ("bun", "needs bun")])
def test_the_typescript_runtime_is_missing_or_does_not_enforce_permissions(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, words: str
) -> None:
    monkeypatch.setattr("compozy.tool.kinds.typescript.packaged_deno", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.ts").write_text("export const look = () => 1;")
    tools = [{"id": name, "run": "./a.ts:look", "runtime": runtime, "input": {"type": "object"}} for name in "ab"]
    write(tmp_path, {"id": "ask", "prompt": "Look.", "tools": [{"id": "a"}]}, tools)

    done = cli("config", "validate")

    assert done.status == 0, done.err
    assert f"tool 'a' {words}" in done.err
    assert ("which does not enforce permissions" in done.err) is (runtime == "bun")
    assert "tool 'b'" not in done.err


@pytest.mark.parametrize(
    ("task", "tool", "message"),
    [
        ({"tool": "pya"}, {}, "unknown tool 'pya' (did you mean 'pay'?)"),
        ({"tool": "pay", "prompt": "x"}, {}, "task 'x' has both `tool` and `prompt`"),
        ({"tools": ["pay"]}, {}, "task 'x' has tools, but no prompt"),
        ({"prompt": "x", "tools": ["pay", "pay"]}, {}, "the tool 'pay' is listed twice"),
        ({"prompt": "x", "tools": ["pay"], "tool_choice": "pya"}, {}, "tool_choice: 'pya' is not one of the tools"),
        ({"prompt": "x", "tools": ["pay"], "max_tool_calls": {"pya": 1}}, {}, "'pya' is not one of the tools"),
        ({"tool": "pay"}, {"run": "./nowhere.py:pay"}, "the file nowhere.py does not exist"),
        ({"tool": "pay"}, {"run": "../functions.py:pay"}, "is outside of the project"),
        ({"tool": "pay"}, {"run": "./functions.py"}, "is not the name of a function"),
        ({"tool": "pay"}, {"run": "./functions.rb:pay"}, "names no kind of tool"),
        ({"tool": "pay"}, {"env": {"LD_PRELOAD": "x.so"}}, "env: LD_PRELOAD makes programs load code"),
        ({"tool": "pay"}, {"approve": {"when": "input.amount >"}}, "expected a value, got the end"),
        ({"prompt": "x", "tools": ["pay"], "approve": {"when": "input. >"}}, {}, "expected a field name, got '>'"),
        ({"tool": "pay"}, {"id": "cp__pay"}, "unknown built-in tool 'cp__pay'"),
        ({"prompt": "x", "tools": ["pay"]}, {"effect": "once", "check": "status"}, "check: 'status' is not one of"),
        ({"tool": "pay"}, {"effect": "twice"}, "effect"),
        ({"prompt": "x", "tools": ["cp__call_agent"]}, {}, "tool 'cp__call_agent' names no agents that it can call"),
        ({"prompt": "x", "tools": [{"id": "cp__call_task", "tasks": ["no"]}]}, {}, "unknown task 'no'"),
        ({"prompt": "x", "tools": [{"id": "cp__call_workflow", "workflows": ["v"]}]}, {}, "unknown workflow 'v'"),
        ({"type": "workflow", "workflow": "w"}, {}, "these workflows call one another in a circle: w -> w"),
        ({"type": "workflow", "workflow": "W"}, {}, "unknown workflow 'W'"),
        ({"type": "workflow", "workflow": {"id": "v"}}, {}, "expected the ID of a workflow, got a map"),
        ({"type": "workflow"}, {}, "missing key 'workflow' in task 'x'"),
        ({"prompt": "x", "sub_agents": ["helpr"]}, {}, "unknown agent 'helpr' (did you mean 'helper'?)"),
        ({"prompt": "x", "sub_agents": [{"id": "helper"}]}, {}, "expected the ID of a shared agent, got a map"),
        ({"prompt": "x", "sub_agents": "helper"}, {}, "sub_agents: expected a list"),
        ({"prompt": "x", "sub_agents": ["a"]}, {}, "these agents ask one another in a circle: a -> b -> a"),
        ({"prompt": "x", "sub_agents": ["c1"]}, {}, "more than 5 agents in a row: c1 -> c2 -> c3 -> c4 -> c5 -> c6"),
        ({"prompt": "x", "tools": [{"id": "cp__exec", "agents": ["helper"]}]}, {}, "'cp__exec' calls no agents"),
        ({"tool": "pay"}, {"limits": {"memory": "much"}}, "expected a size such as 512MB"),
    ],
)
def test_errors_are_reported_with_their_location(
    cli: RunCli, tmp_path: Path, task: dict[str, Any], tool: dict[str, Any], message: str
) -> None:
    chain = [{"id": f"c{n}", "sub_agents": [f"c{n + 1}"]} for n in range(1, 6)]
    circle = [{"id": "a", "sub_agents": ["b"]}, {"id": "b", "sub_agents": ["a"]}]
    needed = str(task.get("sub_agents"))
    agents = [{"id": "helper"}, {"id": "c6"}, *(circle if "'a'" in needed else chain if "c1" in needed else [])]
    write(tmp_path, {"id": "x", **task}, [{"id": "pay", "run": "./functions.py:pay", **tool}], agents=agents)
    done = cli("config", "validate")
    assert done.status == 5
    assert message in done.err
    assert "1 problem found" in done.err or "id" in tool
    assert "compozy.yaml:1:" in done.err or "workflows/w.yaml:1:" in done.err


def test_secrets_of_tools_are_not_stored(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "c4n4ry-of-the-shop")
    pay = {"id": "pay", "run": "./functions.py:pay", "env": {"TOKEN": "${SHOP_TOKEN}"}}
    database = {"driver": "sqlite", "path": "./d.db"}
    write(tmp_path, {"id": "x", "tool": "pay", "with": {"amount": 1}}, [pay], database=database)
    assert cli("workflow", "run", "w").status == 0
    assert b"c4n4ry-of-the-shop" not in b"".join(file.read_bytes() for file in tmp_path.glob("d.db*"))
