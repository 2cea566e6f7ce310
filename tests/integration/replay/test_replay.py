"""`compozy test`: record once, replay without the outside, notice every change."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

TOOLS = '''
import os, pathlib

def lookup(number: str) -> dict[str, object]:
    """Find an order.

    Args:
        number: Number of the order.
    """
    pathlib.Path(os.environ["CALLS"]).open("a").write(number + "\\n")
    return {"number": number, "price": 12}
'''
LOOKUP = {"id": "lookup", "run": "../tools.py:lookup", "env": {"CALLS": "${CALLS}"}}
WORKFLOW: dict[str, Any] = {
    "tasks": [
        {
            "id": "answer",
            "agent": {"instructions": "Be short.", "temperature": 0.5},
            "prompt": "Price of order {{ .input.number }}?",
            "tools": [LOOKUP],
            "output": {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]},
        }
    ],
    "output": {"price": "{{ .tasks.answer.output.price }}"},
}
RESPONSES: dict[str, Any] = {
    "answer": [
        {
            "tool_calls": [{"tool": "lookup", "arguments": {"number": number}} for number in ("17", "18")],
            "usage": {"input_tokens": 9, "output_tokens": 4},
        },
        {"json": {"price": 12}, "usage": {"input_tokens": 20, "output_tokens": 2}},
    ]
}
TEST: dict[str, Any] = {
    "workflow": "price",
    "tests": [
        {
            "name": "finds the price",
            "input": {"number": "17"},
            "expect": {
                "output": {"price": 12},
                "tasks": {"answer": {"status": "SUCCESS", "output": {"price": 12}}},
                "tool_calls": [{"tool": "lookup", "input": {"number": "17"}, "times": 1}],
                "that": ["usage.requests == 2", "usage.tokens == 35", "usage.tool_calls == 2"],
            },
        }
    ],
}


def _project(folder: Path, workflow: Any = WORKFLOW, test: Any = TEST, responses: Any = RESPONSES) -> None:
    write_project(folder, {"price": workflow}, responses=responses)
    (folder / "tools.py").write_text(TOOLS, encoding="utf-8")
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests/price.test.yaml").write_text(json.dumps(test), encoding="utf-8")


def _changed(document: Any, path: str, value: Any) -> Any:
    """Return a copy of a document with another value at `path`, `tasks.0.prompt`."""
    copy = json.loads(json.dumps(document))
    *above, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    found = copy
    for step in above:
        found = found[step]
    found[last] = value
    return copy


def _failing(text: str) -> list[dict[str, str]]:
    return [{"error": text}] * 5


@pytest.fixture(name="recorded")
def _recorded(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Record the project in `tmp_path`; return the file to which its tool adds each call."""
    calls = tmp_path / "calls.txt"
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.delenv("CI", raising=False)
    _project(tmp_path)
    done = cli("test", "--mode", "record")
    assert (done.status, done.err) == (0, "")
    assert sorted(calls.read_text().split()) == ["17", "18"]
    return calls


def test_a_replay_asks_nothing_outside(cli: RunCli, tmp_path: Path, recorded: Path) -> None:
    before = recorded.read_text()
    _project(tmp_path, responses={"answer": _failing("asked")})
    done = cli("test")
    assert (done.status, done.out) == (0, "✓ ./tests/price.test.yaml: finds the price\n1 test passed\n")
    assert recorded.read_text() == before
    assert not (tmp_path / "data").exists()


def test_a_recording_that_is_made_again_is_the_same(cli: RunCli, tmp_path: Path, recorded: Path) -> None:
    cassette = tmp_path / "tests/price.cassette.yaml"
    volatile = re.compile(r"^ *(?:now|duration_ms): .*$", re.MULTILINE)
    first = volatile.sub("", cassette.read_text())
    assert cli("test", "--mode", "record").status == 0
    assert volatile.sub("", cassette.read_text()) == first


MUTATIONS: list[tuple[str, Any, str]] = [
    ("tasks.0.prompt", "Cost of order {{ .input.number }}?", '+  - user: "Cost of order 17?"'),
    ("tasks.0.agent.instructions", "Be polite.", '+  - instructions: "Be polite."'),
    ("tasks.0.agent.temperature", 0.7, "+  temperature: 0.7"),
    ("tasks.0.output.properties.price.type", "integer", "+      type: integer"),
    ("tasks.0.tools.0", {**LOOKUP, "description": "Look it up."}, '+    description: "Look it up."'),
    ("tasks.0.tools", [LOOKUP, {**LOOKUP, "id": "second"}], "+  - name: second"),
]


def test_a_change_of_a_request_is_shown(cli: RunCli, tmp_path: Path, recorded: Path) -> None:
    for path, value, shown in MUTATIONS:
        _project(tmp_path, _changed(WORKFLOW, path, value))
        done = cli("test")
        assert done.status == 1, path
        assert "no recorded answer for this model request; the closest one differs:" in done.out, path
        assert shown in done.out
        assert done.out.endswith("1 test failed, 0 passed\n")


def test_a_renamed_task_needs_no_new_recording(cli: RunCli, tmp_path: Path, recorded: Path) -> None:
    renamed = json.loads(json.dumps(WORKFLOW).replace('"answer"', '"reply"').replace(".answer.", ".reply."))
    [task] = renamed["tasks"]
    renamed["tasks"] = [dict(reversed(task.items()))]
    test = json.loads(json.dumps(TEST).replace('"answer"', '"reply"'))
    _project(tmp_path, renamed, test, {"reply": _failing("asked")})
    done = cli("test")
    assert (done.status, done.err) == (0, "")


def test_a_refresh_asks_only_what_is_new(cli: RunCli, tmp_path: Path, recorded: Path) -> None:
    cassette = tmp_path / "tests/price.cassette.yaml"
    two = {**TEST, "tests": [*TEST["tests"], {**TEST["tests"][0], "name": "again", "input": {"number": "19"}}]}
    _project(tmp_path, test=two)
    assert cli("test").status == 1
    before = recorded.read_text().split()
    done = cli("test", "--mode", "refresh")
    assert (done.status, done.err) == (0, "")
    assert len(recorded.read_text().split()) == len(before) + 2
    assert 'user: "Price of order 19?"' in cassette.read_text()
    assert cli("test", "--jobs", "2").status == 0


def test_an_answer_that_nothing_asks_for_fails(cli: RunCli, tmp_path: Path, recorded: Path) -> None:
    test = _changed(TEST, "tests.0.stub", {"tools": {"lookup": {"result": {"number": "x", "price": 1}}}})
    _project(tmp_path, test=test)
    done = cli("test")
    assert done.status == 1
    assert "no recorded answer" in done.out


def test_a_run_that_is_not_as_expected_fails(cli: RunCli, tmp_path: Path, recorded: Path) -> None:
    _project(tmp_path, test=_changed(TEST, "tests.0.expect", {"output": {"price": 13}, "error": "boom"}))
    done = cli("test", "--format", "json", "--junit", "report/junit.xml")
    assert done.status == 1
    document = json.loads(done.out)
    [result] = document["tests"]
    problems = ["output.price: expected 13, got 12", "error: expected 'boom', got null"]
    assert (document["failed"], result["problems"]) == (1, problems)
    failure = ET.parse(tmp_path / "report/junit.xml").getroot().find(".//failure")
    assert failure is not None
    assert failure.text == "\n".join(problems)


def test_with_ci_nothing_is_recorded(
    cli: RunCli, tmp_path: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests/price.cassette.yaml").unlink()
    monkeypatch.setenv("CI", "true")
    done = cli("test", "--mode", "record")
    assert done.status == 1
    assert "note: CI is set" in done.err
    assert not (tmp_path / "tests/price.cassette.yaml").exists()


FAULTS: list[tuple[Any, str]] = [
    ({"workflow": "price", "tests": [{"name": "a", "expect": {}}]}, "test 'a' expects nothing"),
    ({"workflow": "price", "tests": [{"name": "a"}]}, "missing key 'expect' in test 1"),
    ({"workflow": "prise", "tests": TEST["tests"]}, "unknown workflow 'prise' (did you mean 'price'?)"),
    ({"tests": TEST["tests"]}, "test 'finds the price' names no workflow"),
    ({"workflow": "price", "tests": TEST["tests"] * 2}, "two tests have the name 'finds the price'"),
    (_changed(TEST, "tests.0.expect", {"that": ["output."]}), "'output.': "),
]


def test_an_invalid_test_file_is_refused(cli: RunCli, tmp_path: Path) -> None:
    for test, fault in FAULTS:
        _project(tmp_path, test=test)
        done = cli("test")
        assert done.status == 2, fault
        assert re.search(r"^\./tests/price\.test\.yaml:1:\d+: .*" + re.escape(fault), done.err, re.MULTILINE), done.err


def test_no_tests_have_their_own_exit_code(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    assert cli("test").status == 3
    _project(tmp_path)
    assert cli("test", "-k", "other").status == 3
    assert cli("test", "elsewhere").status == 2


def test_no_secret_is_written(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-5f1e/+9"
    monkeypatch.setenv("SHOP_TOKEN", canary)
    monkeypatch.delenv("CI", raising=False)
    workflow = {
        "tasks": [{"id": "answer", "prompt": "Use {{ .input.key }} for {{ .input.key | urlquery }}"}],
        "output": {"text": "{{ .tasks.answer.output.text }}"},
    }
    expect = {"output": {"text": "no"}}
    test = {"workflow": "price", "tests": [{"name": "leaks", "input": {"key": canary}, "expect": expect}]}
    _project(tmp_path, workflow, test, {"answer": {"text": f"It is {canary}"}})
    done = cli("test", "--mode", "record", "--junit", "junit.xml", "--log-level", "debug")
    cassette = (tmp_path / "tests/price.cassette.yaml").read_text()
    for text in (cassette, done.out, done.err, (tmp_path / "junit.xml").read_text()):
        assert canary not in text
        assert "canary" not in text
    assert "[masked SHOP_TOKEN]" in cassette
    (tmp_path / "tests/price.cassette.yaml").write_text(cassette.replace("[masked SHOP_TOKEN]", canary, 1))
    done = cli("test")
    assert done.status == 2
    assert "the file contains a secret: [masked SHOP_TOKEN]" in done.err
    assert canary not in done.err
