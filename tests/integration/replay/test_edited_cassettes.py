"""Cassettes that were edited by hand: what is wrong in a recorded answer is reported with its file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

TOOLS = """
def refund(number: str) -> str:
    return number
"""
REFUND = {"id": "refund", "run": "../tools.py:refund", "description": "Refund."}
WORKFLOW: dict[str, Any] = {"tasks": [{"id": "say", "prompt": "Hi", "tools": [REFUND]}]}
RESPONSES: dict[str, Any] = {
    "say": [{"tool_calls": [{"tool": "refund", "arguments": {"number": "17"}}]}, {"text": "done"}],
}
TEST = {"workflow": "hello", "tests": [{"name": "greets", "expect": {"status": "SUCCESS"}}]}
EDITS = [
    ("part_kind: text", "part_kind: tixt", "part_kind: expected text, ", "(did you mean 'text'?)"),
    ("micros: 0", "micros: abc", "micros: expected a whole number, got 'abc'", ""),
    ("response:", "respnse:", "missing key 'response' in `answer`", "--mode refresh"),
    ("content: done", "content: [1]", "content: expected a string, got a list", ""),
    ("outcome: ok", "outcome: fine", "outcome: expected ok, failed, denied or unknown, got 'fine'", ""),
    ("answer:", "anwser:", "unknown key 'anwser'", ""),
]


@pytest.fixture(name="cassette")
def _cassette(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CI", raising=False)
    write_project(tmp_path, {"hello": WORKFLOW}, responses=RESPONSES)
    (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/hello.test.yaml").write_text(json.dumps(TEST), encoding="utf-8")
    assert cli("test", "--mode", "record").status == 0
    return tmp_path / "tests/hello.cassette.yaml"


def test_a_wrong_answer_is_reported_with_its_line(cli: RunCli, cassette: Path) -> None:
    recorded = cassette.read_text()
    for old, new, message, hint in EDITS:
        assert old in recorded, old
        cassette.write_text(recorded.replace(old, new, 1))
        done = cli("test")
        assert done.status == 2, (old, done.out, done.err)
        assert "./tests/hello.cassette.yaml:" in done.err
        assert message in done.err
        assert hint in done.err
        assert "Traceback" not in done.err


def test_the_line_is_that_of_the_value(cli: RunCli, cassette: Path) -> None:
    lines = cassette.read_text().replace("part_kind: text", "part_kind: tixt").splitlines()
    cassette.write_text("\n".join(lines) + "\n")
    line = next(number for number, text in enumerate(lines, 1) if "tixt" in text)
    assert f"./tests/hello.cassette.yaml:{line}:" in cli("test").err


def test_an_answer_that_is_missing_is_reported(cli: RunCli, cassette: Path) -> None:
    head = cassette.read_text().partition("        answer:")[0]
    cassette.write_text(head)
    done = cli("test")
    assert done.status == 2
    assert "missing key 'answer' in this request" in done.err


def test_a_missing_recording_is_named_with_the_way_out(cli: RunCli, cassette: Path) -> None:
    recorded = cassette.read_text()
    cassette.unlink()
    missing = "task 'say': no recorded answer for this model request; "
    shown = "./tests/hello.cassette.yaml"
    assert f"{missing}{shown} does not exist; run `compozy test --mode record`" in cli("test").out
    cassette.write_text(recorded.replace("greets:", "greet:"))
    similar = f"{shown} has no recording of test 'greets', but one of 'greet'; rename it there, or run"
    assert f"{missing}{similar} `compozy test --mode refresh`" in cli("test").out
    cassette.write_text(recorded.replace("greets:", "other things:"))
    assert f"{missing}{shown} has no recording of test 'greets'; run" in cli("test").out
