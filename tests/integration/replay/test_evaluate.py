"""`evaluate:`: scores of a workflow over a table of inputs, by an expression or by an agent."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

WORKFLOW: dict[str, Any] = {
    "tasks": [{"id": "answer", "prompt": "{{ .input.question }}"}],
    "output": {"text": "{{ .tasks.answer.output.text }}"},
}
AGENT = {"resource": "agent", "id": "critic", "instructions": "You are strict.", "temperature": 0}
# The answer of the workflow and of the judge.
VERDICT = {"json": {"score": 0.75, "reason": "Almost."}}
CASES = [{"input": {"question": "Capital of France?"}, "expected": "Paris"}, {"input": {"question": "Of Peru?"}}]
BY_SCORE = {"name": "is right", "cases": CASES, "score": "output.text == expected", "threshold": 0.5}
BY_AGENT = {
    "name": "is kind",
    "cases": CASES,
    "judge": {"agent": "critic", "prompt": "The answer is right."},
    "threshold": 0.7,
}


def _project(folder: Path, *evaluations: Any, **more: Any) -> None:
    responses = [VERDICT] if any("judge" in each for each in evaluations) else {"answer": {"text": "Paris"}}
    write_project(folder, {"ask": WORKFLOW}, responses=responses)
    (folder / "agents").mkdir(exist_ok=True)
    (folder / "agents/critic.yaml").write_text(json.dumps(AGENT), encoding="utf-8")
    (folder / "tests").mkdir(exist_ok=True)
    document = {"workflow": "ask", "evaluate": list(evaluations), **more}
    (folder / "tests/ask.test.yaml").write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def test_an_expression_scores_each_case(cli: RunCli, tmp_path: Path) -> None:
    _project(tmp_path, BY_SCORE)
    done = cli("test", "--mode", "record", "--format", "json")
    assert (done.status, done.err) == (0, "")
    [result] = json.loads(done.out)["evaluations"]
    assert {key: result[key] for key in ("name", "status", "score", "threshold")} == {
        "name": "is right",
        "status": "passed",
        "score": 0.5,
        "threshold": 0.5,
    }
    assert [(case["score"], case["output"]["text"]) for case in result["cases"]] == [(1, "Paris"), (0, "Paris")]
    # It measures; nothing is recorded.
    assert [path.name for path in (tmp_path / "tests").iterdir()] == ["ask.test.yaml"]


def test_an_agent_scores_each_case(cli: RunCli, tmp_path: Path) -> None:
    _project(tmp_path, BY_AGENT, {**BY_AGENT, "name": "is perfect", "threshold": 1})
    done = cli("test", "--mode", "record", "--junit", "junit.xml")
    assert (done.status, done.err) == (1, "")
    assert "✓ ./tests/ask.test.yaml: is kind: score 0.75 of 2 cases, threshold 0.7\n" in done.out
    assert "✗ ./tests/ask.test.yaml: is perfect: score 0.75 of 2 cases, threshold 1\n" in done.out
    assert "    case 1: 0.75 Almost.\n" in done.out
    names = [case.get("name") for case in ET.parse(tmp_path / "junit.xml").getroot().iter("testcase")]
    assert names == ["is kind", "is perfect"]


def test_a_mean_below_the_threshold_fails_and_names_its_cases(cli: RunCli, tmp_path: Path) -> None:
    _project(tmp_path, {**BY_SCORE, "threshold": 0.9})
    done = cli("test", "--mode", "record", "--junit", "junit.xml")
    assert done.status == 1
    assert "✗ ./tests/ask.test.yaml: is right: score 0.50 of 2 cases, threshold 0.9" in done.out
    assert "    case 2: 0.00" in done.out
    failure = ET.parse(tmp_path / "junit.xml").getroot().find(".//failure")
    assert failure is not None
    assert failure.get("message") == "score 0.50 is lower than the threshold 0.9"


def test_a_case_that_fails_or_has_no_score_counts_as_0(cli: RunCli, tmp_path: Path) -> None:
    _project(tmp_path, {**BY_SCORE, "score": "output.text.size()", "threshold": 0.5})
    done = cli("test", "--mode", "record")
    assert done.status == 1
    assert "case 1: 0.00 score: expected a number from 0 to 1, got 5" in done.out


def test_evaluations_are_not_replayed(cli: RunCli, tmp_path: Path) -> None:
    _project(tmp_path, BY_SCORE)
    done = cli("test")
    assert done.status == 3
    assert "note: 1 evaluation not run; use --mode record" in done.err


FAULTS: list[tuple[Any, str]] = [
    ({**BY_SCORE, "judge": BY_AGENT["judge"]}, "an evaluation needs either `score` or `judge`"),
    ({**BY_AGENT, "judge": {"agent": "critik", "prompt": "x"}}, "unknown agent 'critik' (did you mean 'critic'?)"),
    ({**BY_SCORE, "score": "output."}, "'output.': "),
    ({**BY_SCORE, "workflow": "asks"}, "unknown workflow 'asks' (did you mean 'ask'?)"),
    ({key: value for key, value in BY_SCORE.items() if key != "threshold"}, "missing key 'threshold'"),
]


def test_an_invalid_evaluation_is_refused(cli: RunCli, tmp_path: Path) -> None:
    for evaluation, fault in FAULTS:
        _project(tmp_path, evaluation)
        done = cli("test", "--mode", "record")
        assert done.status == 2, fault
        assert fault in done.err
    _project(tmp_path, BY_SCORE, BY_SCORE)
    assert "two evaluations have the name 'is right'" in cli("test").err
    _project(tmp_path)
    assert "a test file needs `tests` or `evaluate`" in cli("test").err
