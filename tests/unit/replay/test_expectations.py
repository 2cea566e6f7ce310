"""Expectations of a test about its run, and how differences are reported."""

from __future__ import annotations

from time import thread_time
from typing import Any

import pytest

from compozy.replay.config import Expectation
from compozy.replay.expect import Observed, compare
from compozy.replay.player import PlayedCall

TASK: dict[str, Any] = {"status": "SUCCESS", "input": {}, "output": {"price": 12}, "error": None, "attempts": 1}
RUN: dict[str, Any] = {
    "status": "SUCCESS",
    "input": {},
    "output": {"price": 12, "items": [{"id": 1, "name": "lamp"}]},
    "error": None,
    "usage": [{"requests": 2, "input_tokens": 29, "output_tokens": 6}],
    "cost": 0.0123,
    "unpriced_requests": 0,
    "tasks": [
        {"path": "answer", **TASK},
        {"path": "sort", **TASK, "output": {"route_taken": "answer"}},
        {"path": "left", **TASK, "output": {"skipped": True}},
    ],
}
CALLS = [PlayedCall(task="answer", tool="lookup", input={"number": str(number)}, outcome="ok") for number in (17, 18)]


def _problems(expect: Any) -> list[str]:
    return compare(Expectation.model_validate(expect), Observed(run=RUN, calls=CALLS))


@pytest.mark.parametrize(
    "expect",
    [
        {"status": "SUCCESS"},
        {"output": {"price": 12.0, "items": [{"name": "lamp"}]}},
        {"exactly": {"items": [{"name": "lamp", "id": 1}], "price": 12}},
        {"tasks": {"answer": {"output": {"price": 12}, "attempts": 1}, "left": "skipped", "none": "skipped"}},
        {"tasks": {"sort": {"route": "answer"}}},
        {"tool_calls": [{"tool": "lookup", "times": 2}, {"tool": "other", "times": 0}]},
        {"tool_calls": [{"tool": "lookup", "input": {"number": n}} for n in ("17", "18")], "order": "strict"},
        {"that": "usage.tokens == 35 && usage.requests == 2 && size(tool_calls) == 2"},
        {"that": "usage.cost > 0.01 && usage.cost < 0.02"},
    ],
)
def test_a_met_expectation_passes(expect: Any) -> None:
    assert _problems(expect) == []


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ({"status": "FAILED"}, "status: expected FAILED, got SUCCESS"),
        ({"output": {"price": 13}}, "output.price: expected 13, got 12"),
        ({"output": {"total": 1}}, "output.total: expected 1, and the key is missing"),
        ({"exactly": {}}, 'output: expected exactly {}, got {"price": 12,'),
        ({"tasks": {"answer": "skipped"}}, "task answer: expected skipped, got SUCCESS"),
        ({"tasks": {"other": {"output": {}}}}, "task other: did not run; the tasks are answer, sort, left"),
        ({"tasks": {"answer": {"attempts": 2}}}, "task answer: expected 2 attempts, got 1"),
        ({"tool_calls": [{"tool": "lookup", "times": 1}]}, "expected lookup 1 time, found 2 such calls"),
        ({"tool_calls": [{"tool": "lookup", "input": {"number": "9"}}]}, "found 0 such calls among lookup with"),
        ({"tool_calls": [{"tool": "lookup"}], "order": "strict"}, "tool_calls: expected 1 call, got lookup with"),
        ({"that": ["output.price > 12"]}, "that[0]: output.price > 12 is false"),
        ({"output": {"items": []}}, "output.items: expected 0 items, got 1"),
        ({"output": {"price": True}}, "output.price: expected true, got 12"),
        ({"tasks": {"sort": {"route": "left"}}}, "task sort: expected the route 'left', got \"answer\""),
        ({"that": ["output.none > 1"]}, "that[0]:1:"),
        ({"that": "usage.cost < 0.01"}, "that[0]: usage.cost < 0.01 is false"),
        ({"error": "boom"}, "error: expected 'boom', got null"),
    ],
)
def test_a_difference_is_named(expect: Any, problem: str) -> None:
    assert any(problem in found for found in _problems(expect)), _problems(expect)


def test_the_name_of_a_condition_is_not_repeated() -> None:
    (problem,) = _problems({"that": ["output.none > 1"]})
    assert problem.count("that[0]") == 1


def test_a_cost_is_unknown_if_one_price_is() -> None:
    observed = Observed(run={**RUN, "unpriced_requests": 1}, calls=CALLS)
    assert observed.usage["cost"] is None
    assert compare(Expectation.model_validate({"that": "usage.cost == null"}), observed) == []
    assert Observed(run={**RUN, "usage": [], "cost": None}, calls=()).usage["cost"] == 0


def test_costly_conditions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each condition stays within its own limits; together they do not."""
    monkeypatch.setattr("compozy.replay.expect.WORKER_S", 0.2)
    numbers = list(range(20))
    costly = f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, usage.tokens > 0)))"
    began_s = thread_time()
    problems = _problems({"that": [costly] * 100})
    assert thread_time() - began_s < 2
    assert len(problems) > 30
    assert all("evaluated together take longer than 0.2 s" in problem for problem in problems)
