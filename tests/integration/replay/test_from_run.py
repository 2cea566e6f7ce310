"""`compozy test --from-run`: a test and a cassette from the journal of a real run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compozy.config.nodes import to_value
from compozy.config.parse import read_yaml
from tests.conftest import RunCli
from tests.harness.processes import Commands
from tests.harness.projects import query, write_project

CANARY = "canary-7d1f/+8"
TOOLS = '''
import os, pathlib

def lookup(number: str) -> dict[str, object]:
    """Find an order."""
    pathlib.Path("calls.txt").open("a").write(number + "\\n")
    return {"number": number, "price": 12, "token": os.environ["SHOP_TOKEN"]}

def refund(number: str, ctx) -> str:
    """Refund an order."""
    return f"refunded {number} ({ctx.idempotency_key})"
'''
SHOP = {"env": {"SHOP_TOKEN": "${SHOP_TOKEN}"}}
WORKFLOW: dict[str, Any] = {
    "tasks": [
        {
            "id": "answer",
            "prompt": "Refund order {{ .input.number }}, please.",
            "tools": [
                {"id": "lookup", "run": "../tools.py:lookup", **SHOP},
                {"id": "refund", "run": "../tools.py:refund", "approve": "ask", "effect": "once"},
            ],
            "retries": 1,
        },
        {"id": "confirm", "type": "wait", "wait_for": "confirmed"},
        {"id": "last", "prompt": "Was {{ .tasks.confirm.output.payload.by }} right?"},
    ],
    "output": {"text": "{{ .tasks.last.output.text }}", "run": "{{ .workflow.exec_id }}"},
}
CALLS = [("lookup", "17"), ("lookup", "18"), ("refund", "17")]
RESPONSES = {
    "answer": [
        # The first attempt fails.
        {"tool_calls": [{"tool": "lookup", "arguments": {"number": "16"}}]},
        {"error": "out of order"},
        {"tool_calls": [{"tool": tool, "arguments": {"number": number}} for tool, number in CALLS]},
        {"text": f"Done, {CANARY}", "usage": {"input_tokens": 9, "output_tokens": 4}},
    ],
    "last": {"text": "Yes."},
}


@pytest.fixture(name="ran")
def _ran(tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the workflow with an approval and a signal; return the folder of the project."""
    monkeypatch.setenv("SHOP_TOKEN", CANARY)
    write_project(tmp_path, {"refund": WORKFLOW}, responses=RESPONSES)
    (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
    running = commands.start(tmp_path, "workflow", "run", "refund", "--id", "real", "--input", '{"number": "17"}')
    waits = "SELECT waits_for FROM task_states WHERE status = 'WAITING'"
    running.until(lambda: bool(query(tmp_path, waits)))
    answer = json.dumps({"approve": True, "reason": "it broke"})
    assert commands.run(tmp_path, "workflow", "approve", "real", "--input", answer).status == 0
    running.until(lambda: query(tmp_path, waits) == [("confirmed",)])
    sent = commands.run(tmp_path, "workflow", "signal", "real", "confirmed", "--payload", '{"by": "Ada"}')
    assert sent.status == 0, sent.err
    assert running.wait().status == 0
    return tmp_path


def test_a_run_with_parallel_calls_an_approval_and_a_failed_attempt_becomes_a_test(ran: Path, cli: RunCli) -> None:
    done = cli("test", "--from-run", "real")
    assert (done.status, done.err) == (0, "")
    assert done.out == "Wrote ./tests/refund.test.yaml\nWrote ./tests/refund.cassette.yaml\n"
    document: Any = to_value(read_yaml(ran / "tests/refund.test.yaml", file="t").node)  # pyright: ignore[reportArgumentType]
    [test] = document["tests"]
    assert test["approvals"] == {"refund": {"approve": True, "reason": "it broke"}}
    assert test["signals"] == [{"at": "confirm", "name": "confirmed", "payload": {"by": "Ada"}}]
    assert test["expect"]["output"] == {"text": "Yes."}
    assert test["expect"]["tasks"] == {
        "answer": {"status": "SUCCESS", "attempts": 2},
        "confirm": "SUCCESS",
        "last": "SUCCESS",
    }
    assert [call["tool"] for call in test["expect"]["tool_calls"]] == ["lookup", "lookup", "lookup", "refund"]
    for file in (ran / "tests").iterdir():
        assert "canary" not in file.read_text()
    # Neither a model nor a tool is needed.
    write_project(ran, {"refund": WORKFLOW}, responses={"answer": [{"error": "asked"}], "last": {"error": "asked"}})
    called = (ran / "calls.txt").read_text()
    assert (cli("test").out, cli("test", "--jobs", "2").status) == (
        "✓ ./tests/refund.test.yaml: execution real\n1 test passed\n",
        0,
    )
    assert (ran / "calls.txt").read_text() == called


def test_a_file_that_exists_is_kept(ran: Path, cli: RunCli) -> None:
    assert cli("test", "--from-run", "real", "tests/first.test.yaml", "--format", "json").status == 0
    again = cli("test", "--from-run", "real", "tests/first.test.yaml")
    assert again.status == 2
    assert "./tests/first.test.yaml exists" in again.err
    assert cli("test", "--from-run", "real", "tests/first.yaml").status == 2
    assert cli("test", "--from-run", "other").status != 0


def test_a_run_of_other_files_is_refused(ran: Path, cli: RunCli) -> None:
    changed = json.loads(json.dumps(WORKFLOW).replace('"last"', '"final"').replace(".last.", ".final."))
    write_project(ran, {"refund": changed}, responses=[{"text": "any"}])
    done = cli("test", "--from-run", "real")
    assert done.status == 2
    assert "task 'final': no recorded answer for this model request" in done.err
    assert not (ran / "tests").exists()


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path, cli: RunCli) -> None:
    write_project(tmp_path, {"wait": {"tasks": [{"id": "one", "type": "wait", "wait_for": "never"}]}})
    assert cli("workflow", "run", "wait", "--id", "real", "--timeout", "1s").status == 1
    done = cli("test", "--from-run", "real")
    assert done.status == 2
    assert "was canceled or timed out" in done.err
