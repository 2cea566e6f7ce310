"""Names of tasks and tools in expectations: a misspelled one is refused, one that only the run knows is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

HELLO = {"tasks": [{"id": "say", "prompt": "a"}]}
ITEM = {"id": "item-{{ .index }}", "prompt": "{{ .item }}"}
ALL = {"id": "all", "type": "collection", "items": 2, "task": ITEM}
BRANCHES = [{"id": "left", "prompt": "a"}, {"id": "right", "prompt": "b"}]
ROUTER: dict[str, Any] = {
    "id": "route",
    "type": "router",
    "condition": "input.way",
    "routes": {"a": {"id": "inline", "prompt": "a", "final": True}, "b": "ask"},
}
CALL = {"id": "cp__call_workflow", "workflows": ["hello"]}
REFUND = {"id": "refund", "run": "../tools.py:refund", "description": "Refund.", "input": {"type": "object"}}
NESTED: dict[str, Any] = {
    "tasks": [
        {"id": "group", "type": "composite", "tasks": [ALL], "on_success": {"next": "load"}},
        {"id": "load", "type": "parallel", "tasks": BRANCHES, "on_success": {"next": "sub"}},
        {"id": "sub", "type": "workflow", "workflow": "hello", "on_success": {"next": "route"}},
        ROUTER,
        {"id": "ask", "prompt": "c", "final": True, "tools": [CALL, REFUND]},
    ]
}
KNOWN = (
    "group",
    "group/all",
    "group/all/item-0",
    "group@2/all/first",
    "load/left",
    "load/budget:1",
    "budget-day:1",
    "sub/say",
    "sub/say/call-1-0-0-other",
    "inline",
    "ask",
    "ask/call-0-0-0-hello/say",
)


@pytest.fixture(name="check")
def _check(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("CI", raising=False)
    responses = {"say": [{"text": "hi"}]}
    server = {"id": "gh", "url": "http://127.0.0.1:9/mcp"}
    served = {"tasks": [{"id": "say", "prompt": "a", "mcps": [server]}]}
    write_project(tmp_path, {"hello": HELLO, "nested": NESTED, "served": served}, responses=responses)
    (tmp_path / "tools.py").write_text("def refund():\n    return 1\n", encoding="utf-8")
    (tmp_path / "tests").mkdir()

    def check(workflow: str, expect: dict[str, Any]) -> tuple[int, str]:
        document = {"workflow": workflow, "tests": [{"name": "one", "expect": expect}]}
        (tmp_path / "tests/a.test.yaml").write_text(json.dumps(document, indent=1), encoding="utf-8")
        # A project with the same files is only read if no test has the name.
        done = cli("test", "-k", "no such test")
        return done.status, done.err

    return check


def test_a_misspelled_task_is_refused(check: Any) -> None:
    status, error = check("hello", {"tasks": {"sya": "skipped"}})
    assert status == 2, error
    assert "./tests/a.test.yaml:8:6: workflow 'hello' has no task 'sya' (did you mean 'say'?)" in error
    status, error = check("hello", {"tool_calls": [{"tool": "refund", "task": "sya", "times": 0}]})
    assert "workflow 'hello' has no task 'sya'" in error


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("left", "did you mean 'load/left'?"),
        ("load/lfet", "did you mean 'load/left'?"),
        ("sub/sya", "did you mean 'sub/say'?"),
        ("zzzzz", "its tasks are group, load, sub, route, inline, ask"),
    ],
)
def test_a_task_inside_others_is_named_by_its_path(check: Any, path: str, hint: str) -> None:
    status, error = check("nested", {"tasks": {path: "skipped"}})
    assert status == 2, error
    assert f"workflow 'nested' has no task {path!r} ({hint}" in error


def test_tasks_that_can_exist_are_accepted(check: Any) -> None:
    assert check("nested", {"tasks": dict.fromkeys(KNOWN, "skipped")})[0] == 3


def test_a_misspelled_tool_is_refused(check: Any) -> None:
    status, error = check("nested", {"tool_calls": [{"tool": "refnd", "times": 0}]})
    assert status == 2, error
    assert "workflow 'nested' has no tool 'refnd' (did you mean 'refund'?)" in error
    tools = [{"tool": tool, "times": 0} for tool in ("refund", "cp__read_file")]
    assert check("nested", {"tool_calls": tools})[0] == 3


def test_tools_of_an_mcp_server_are_accepted(check: Any) -> None:
    assert check("served", {"tool_calls": [{"tool": "gh__anything", "times": 0}]})[0] == 3
    assert check("served", {"tool_calls": [{"tool": "gl__anything", "times": 0}]})[0] == 2
