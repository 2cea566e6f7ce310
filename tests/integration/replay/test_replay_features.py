"""Features of tests besides replaying: signals, waits, stubs, fixtures of 2025, the closed network, `auto`."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters

from compozy.agent.described import describe_request
from compozy.replay.cassette import key_of
from compozy.replay.guard import closed_network
from tests.conftest import RunCli
from tests.harness.projects import SLOW_MS, write_project

WAITING: dict[str, Any] = {
    "tasks": [
        {"id": "sleep", "type": "wait", "wait_for": "never", "timeout": "24h", "on_error": {"next": "confirm"}},
        {"id": "confirm", "type": "wait", "wait_for": "confirmed", "on_success": {"next": "ask"}},
        {"id": "ask", "prompt": 'Was {{ .tasks.confirm.output.payload.by }} right on {{ now | date "2006-01-02" }}?'},
    ],
    "output": {"text": "{{ .tasks.ask.output.text }}"},
}


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def _write(folder: Path, workflow: Any, test: dict[str, Any], responses: Any) -> None:
    write_project(folder, {"w": workflow}, responses=responses)
    (folder / "tests").mkdir(exist_ok=True)
    document = {"workflow": "w", "tests": [{"name": "t", **test}]}
    (folder / "tests/w.test.yaml").write_text(json.dumps(document), encoding="utf-8")


def test_waits_and_the_time_of_day_follow_the_virtual_clock(cli: RunCli, tmp_path: Path) -> None:
    test = {
        "now": "2026-01-30T12:00:00Z",
        "signals": [{"at": "confirm", "payload": {"by": "Ada"}}],
        "expect": {
            "output": {"text": "Yes."},
            "tasks": {
                "sleep": "TIMED_OUT",
                "ask": {"input": {"prompt": "Was Ada right on 2026-01-31?"}},
            },
        },
    }
    _write(tmp_path, WAITING, test, {"ask": {"text": "Yes."}})
    done = cli("test", "--mode", "record")
    assert (done.status, done.err) == (0, ""), done.out
    done = cli("test")
    assert (done.status, done.err) == (0, ""), done.out


def test_a_wait_without_its_signal_and_a_signal_without_a_wait_fail(cli: RunCli, tmp_path: Path) -> None:
    _write(tmp_path, WAITING, {"expect": {"status": "SUCCESS"}}, {"ask": {"text": "Yes."}})
    assert "the run waits without end: task 'confirm' waits for signal 'confirmed'" in cli("test").out
    signals = [{"at": "confirm", "payload": {"by": "Ada"}}, {"name": "other"}]
    _write(tmp_path, WAITING, {"signals": signals, "expect": {"status": "SUCCESS"}}, {"ask": {"text": "Yes."}})
    assert "the run did not wait for the signal 'other'" in cli("test", "--mode", "record").out


def test_a_stubbed_task_is_not_run(cli: RunCli, tmp_path: Path) -> None:
    workflow = {
        "tasks": [{"id": "one", "prompt": "a"}, {"id": "two", "prompt": "After {{ .tasks.one.output.text }}"}],
        "output": {"text": "{{ .tasks.two.output.text }}"},
    }
    stub = {"tasks": {"one": {"output": {"text": "that"}}}}
    that = ["usage.requests == 1", 'tasks["two"].input.prompt == "After that"']
    _write(tmp_path, workflow, {"stub": stub, "expect": {"that": that}}, {"two": {"text": "second"}})
    assert cli("test", "--mode", "record").status == 0
    assert cli("test").status == 0
    expect = {
        "status": "FAILED",
        "error": "out of order",
        "tasks": {"one": {"error": "out of order"}, "two": "skipped"},
    }
    stub = {"tasks": {"one": {"error": "out of order"}}}
    _write(tmp_path, workflow, {"stub": stub, "expect": expect}, {"two": {"text": "second"}})
    assert cli("test", "--mode", "refresh").status == 0
    _write(tmp_path, workflow, {"stub": {"tasks": {"none": {}}}, "expect": expect}, [{"text": "x"}])
    assert "the run did not use the stub of 'none'" in cli("test", "--mode", "record").out


def test_the_request_of_a_branch_that_loses_a_race_is_not_answered(cli: RunCli, tmp_path: Path) -> None:
    branches = [{"id": "fast", "prompt": "a"}, {"id": "slow", "prompt": "b"}]
    workflow = {"tasks": [{"id": "both", "type": "parallel", "strategy": "race", "tasks": branches}]}
    expect = {"tasks": {"both/fast": "SUCCESS", "both/slow": "CANCELED"}, "that": "usage.requests == 1"}
    responses = {"fast": {"text": "first"}, "slow": {"text": "late", "delay_ms": SLOW_MS}}
    _write(tmp_path, workflow, {"expect": expect}, responses)
    assert cli("test", "--mode", "record").status == 0
    assert (tmp_path / "tests/w.cassette.yaml").read_text().count("pending: true") == 1
    assert cli("test").status == 0
    assert cli("workflow", "run", "w", "--id", "real").status == 0
    assert cli("test", "--from-run", "real", "tests/real.test.yaml").status == 0
    assert cli("test", "tests/real.test.yaml").status == 0


def test_random_values_in_templates_are_the_same_each_time(cli: RunCli, tmp_path: Path) -> None:
    workflow = {"tasks": [{"id": "one", "prompt": "{{ uuidv4 }} {{ randAlpha 8 }}"}]}
    _write(tmp_path, workflow, {"expect": {"status": "SUCCESS"}}, {"one": {"text": "first"}})
    assert cli("test", "--mode", "record").status == 0
    assert cli("test").status == 0
    assert cli("test").status == 0


def test_a_fixture_of_2025_is_a_test(cli: RunCli, tmp_path: Path) -> None:
    workflow = {"tasks": [{"id": "one", "prompt": "a"}], "output": {"text": "{{ .tasks.one.output.text }}"}}
    _write(tmp_path, workflow, {"expect": {"status": "SUCCESS"}}, {"one": {"text": "first"}})
    fixture: dict[str, Any] = {
        "name": "first",
        "workflow": "w",
        "input": {"a": 1},
        "expected": {
            "workflow_state": {"status": "success", "output": {"text": "first"}},
            "task_states": [{"id": "one", "status": "success", "output": {"text": "first"}}],
        },
    }
    (tmp_path / "tests/w.test.yaml").write_text(json.dumps(fixture), encoding="utf-8")
    assert cli("test", "--mode", "record").out.startswith("✓ ./tests/w.test.yaml: first\n")
    fixture["expected"]["task_states"][0]["output"] = {"text": "second"}
    (tmp_path / "tests/w.test.yaml").write_text(json.dumps(fixture), encoding="utf-8")
    done = cli("test")
    assert done.status == 1
    assert "task one: output.text: expected 'second', got 'first'".replace("'", '"') in done.out


def test_the_network_is_closed_in_a_replay() -> None:
    with closed_network():
        with pytest.raises(PermissionError, match="the network is closed"):
            socket.create_connection(("127.0.0.1", 9))
        with pytest.raises(PermissionError, match="the network is closed"):
            socket.getaddrinfo("localhost", 80)
        first, second = socket.socketpair()
        first.close()
        second.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", 9))


def test_auto_asks_what_is_new_and_replays_where_a_key_is_missing(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cassette = tmp_path / "tests/w.cassette.yaml"
    workflow = {"tasks": [{"id": "one", "prompt": "a"}]}
    _write(tmp_path, workflow, {"expect": {"status": "SUCCESS"}}, {"one": {"text": "first"}})
    assert "Recorded ./tests/w.cassette.yaml" in cli("test", "--mode", "auto").out
    recorded = cassette.read_text()
    assert "Recorded" not in cli("test", "--mode", "auto").out
    assert cassette.read_text() == recorded
    changed = {"tasks": [{"id": "one", "prompt": "b"}]}
    _write(tmp_path, changed, {"expect": {"status": "SUCCESS"}}, {"one": {"text": "second"}})
    assert "Recorded ./tests/w.cassette.yaml" in cli("test", "--mode", "auto").out
    assert "user: b" in cassette.read_text()
    assert "user: a" not in cassette.read_text()
    providers = [{"id": "s", "type": "openai", "api_key": "${MISSING_KEY}"}]
    write_project(tmp_path, {"w": workflow}, llm={"providers": providers})
    done = cli("test", "--mode", "auto")
    assert done.status == 1
    assert "no recorded answer for this model request" in done.out
    assert "MISSING_KEY is not set" in done.out


def test_a_key_depends_on_contents_only() -> None:
    """Names of calls, times and the order of keys differ between runs and versions of the provider's library."""

    def key(call_id: str, arguments: Any, **made: Any) -> str:
        messages: list[ModelRequest | ModelResponse] = [
            ModelRequest(parts=[UserPromptPart("Go.")]),
            ModelResponse(
                parts=[TextPart(""), ToolCallPart(tool_name="look", args=arguments, tool_call_id=call_id)], **made
            ),
            ModelRequest(parts=[ToolReturnPart(tool_name="look", content={"b": 1, "a": 2}, tool_call_id=call_id)]),
        ]
        model = {"provider": "p", "type": "openai"}
        request = describe_request("t.model.request", "t", model, messages, {}, ModelRequestParameters(), None)
        return key_of(request.kind, json.loads(json.dumps(request.content)))

    first = key("call_1", {"x": 1, "y": [1, 2]})
    assert (
        key("toolu_9", '{"y": [1, 2], "x": 1}', model_name="m-2", provider_name="q", finish_reason="tool_call") == first
    )
    assert key("call_1", {"x": 2, "y": [1, 2]}) != first
