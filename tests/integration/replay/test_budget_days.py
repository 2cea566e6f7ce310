"""Budgets in tests: midnight of a day's budget under the virtual clock, answers of questions, and their prices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

WORKFLOW = {
    "tasks": [{"id": "one", "prompt": "a"}, {"id": "two", "prompt": "b"}],
    "output": {"last": "{{ .tasks.two.output.text }}"},
}


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def _write(folder: Path, test: dict[str, Any], **sections: Any) -> None:
    write_project(folder, {"two": WORKFLOW}, **sections)
    (folder / "tests").mkdir(exist_ok=True)
    document = {"workflow": "two", "tests": [{"name": "spends", **test}]}
    (folder / "tests/two.test.yaml").write_text(json.dumps(document), encoding="utf-8")


def test_a_spent_day_ends_at_midnight(cli: RunCli, tmp_path: Path) -> None:
    expect = {"output": {"last": "second"}, "tasks": {"budget-day:1": {"output": {"payload": {"approve": True}}}}}
    budget = [{"max_requests": 1, "per": "day"}, {"max_requests": 5}]
    _write(tmp_path, {"now": "2026-01-31T23:59:00Z", "expect": expect}, budget=budget)
    assert cli("test", "--mode", "record").status == 0
    assert cli("test").status == 0


def test_the_budgets_of_a_run_and_of_a_day_both_apply(cli: RunCli, tmp_path: Path) -> None:
    budget = [{"max_requests": 5, "per": "day"}, {"max_requests": 1, "on_exceeded": "fail"}]
    expect = {"status": "FAILED", "error": "the budget of the run is spent"}
    _write(tmp_path, {"expect": expect}, budget=budget)
    assert cli("test", "--mode", "record").status == 0


def test_a_question_is_answered_by_a_signal(cli: RunCli, tmp_path: Path) -> None:
    signal = {"at": "budget:1", "payload": {"approve": True, "add_requests": 1}}
    that = ["usage.requests == 2", "usage.cost == 0.0"]
    _write(tmp_path, {"signals": [signal], "expect": {"that": that}}, budget={"max_requests": 1})
    assert cli("test", "--mode", "record").status == 0
    done = cli("test")
    assert (done.status, done.err) == (0, "")


def test_a_question_is_denied_by_an_approval(cli: RunCli, tmp_path: Path) -> None:
    expect = {"status": "FAILED", "tasks": {"two": "FAILED"}}
    _write(tmp_path, {"approvals": {"budget:1": "deny"}, "expect": expect}, budget={"max_requests": 1})
    assert cli("test", "--mode", "record").status == 0
    done = cli("test")
    assert (done.status, done.err) == (0, "")


def test_a_question_without_an_amount_names_the_signal(cli: RunCli, tmp_path: Path) -> None:
    approvals = {"budget:1": "approve", "other": "deny"}
    _write(tmp_path, {"approvals": approvals, "expect": {"status": "SUCCESS"}}, budget={"max_requests": 1})
    out = cli("test", "--mode", "record").out
    assert 'raise it with `signals: [{at: "budget:1", payload: {approve: true, add_requests: 1}}]`' in out
    assert "the run asked for no approval of 'other'" in out


def test_the_cost_of_unknown_prices_is_not_0(cli: RunCli, tmp_path: Path) -> None:
    cassette = tmp_path / "tests/two.cassette.yaml"
    _write(tmp_path, {"expect": {"that": "usage.cost < 0.02"}})
    assert cli("test", "--mode", "record").status == 0
    text = cassette.read_text()
    assert "micros: 0" in text
    cassette.write_text(text.replace("micros: 0", "micros: null"))
    done = cli("test")
    assert done.status == 1
    assert "that[0]" in done.out


def test_a_recorded_answer_is_priced_without_the_key_of_its_model(cli: RunCli, tmp_path: Path) -> None:
    _write(tmp_path, {"expect": {"output": {"last": "second"}}}, budget={"max_cost": 1})
    assert cli("test", "--mode", "record").status == 0
    providers = [{"id": "s", "type": "openai", "api_key": "${MISSING_KEY}", "model": "gpt-5-mini"}]
    _write(tmp_path, {"expect": {"output": {"last": "second"}}}, budget={"max_cost": 1}, llm={"providers": providers})
    cassette = tmp_path / "tests/two.cassette.yaml"
    lines = [line for line in cassette.read_text().splitlines() if not line.strip().startswith("key:")]
    text = "\n".join(lines).replace("type: scripted", "type: openai\n            model: gpt-5-mini")
    cassette.write_text(text + "\n")
    done = cli("test")
    assert (done.status, done.err) == (0, "")
