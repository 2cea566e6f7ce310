"""Each violation is found by its invariant, and by no other one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compozy.verify.answers import Answers, Request, prompt_of
from compozy.verify.invariants import Observed, StoredRun, check_invariants, count_repeats

STEPS = {"first": (), "left": ("first",), "right": ("first",), "last": ("left", "right")}


def requests_of(run: str) -> list[Request]:
    answers = {step: f"{run}.{step}" for step in STEPS}
    return [
        Request(run=run, step=step, seen=tuple(answers[one] for one in before), answer=answers[step])
        for step, before in STEPS.items()
    ]


def stored(run: str) -> StoredRun:
    return StoredRun(
        execution_id=f"id-{run}", run=run, status="SUCCESS", answers={step: f"{run}.{step}" for step in STEPS}
    )


GOOD = Observed(
    steps=STEPS,
    sent=frozenset({"a", "b", "c"}),
    accepted={"a": "id-a", "b": "id-b"},
    # The acceptance of `b` was not confirmed to its client at first, and `c` reached no server.
    runs=[stored("a"), stored("b")],
    requests=[*requests_of("a"), *requests_of("b")],
    findings=[("integrity", "")],
    exit_codes=[0, 0],
)


def violated(observed: Observed) -> set[str]:
    return {invariant.name for invariant in check_invariants(observed) if invariant.violations}


def test_good_runs_have_no_violations() -> None:
    assert violated(GOOD) == set()
    assert all(invariant.checked for invariant in check_invariants(GOOD))


def test_a_request_without_a_recorded_answer_may_be_repeated() -> None:
    lost = Request(run="a", step="first", seen=(), answer="a.lost")
    observed = replace(GOOD, requests=[lost, *GOOD.requests])
    assert violated(observed) == set()
    assert (count_repeats(observed.requests), count_repeats(GOOD.requests)) == (1, 0)


def _changed_answer(step: str) -> StoredRun:
    return replace(stored("a"), answers={**stored("a").answers, step: "other"})


@pytest.mark.parametrize(
    ("observed", "names"),
    [
        (
            replace(GOOD, runs=[stored("b")]),
            {"accepted runs are stored"},
        ),
        (
            replace(GOOD, runs=[*GOOD.runs, replace(stored("b"), execution_id="second")]),
            {"a repeated request starts no second run"},
        ),
        (
            replace(GOOD, runs=[replace(stored("a"), status="RUNNING"), stored("b")]),
            {"every run ends with its result"},
        ),
        (
            replace(GOOD, runs=[replace(stored("a"), answers={"first": "a.first"}), stored("b")]),
            {"every run ends with its result"},
        ),
        (
            # `first` is asked for again after `left` contained its answer.
            replace(GOOD, requests=[*GOOD.requests, Request(run="a", step="first", seen=(), answer="again")]),
            {"recorded steps are not repeated"},
        ),
        (
            replace(GOOD, runs=[_changed_answer("last"), stored("b")]),
            {"each step has one answer"},
        ),
        (
            # Two steps saw different answers of `first`, both of which the model gave.
            replace(
                GOOD,
                requests=[
                    Request(run="a", step="first", seen=(), answer="a.other"),
                    *(
                        replace(request, seen=("a.other",)) if request.step == "right" else request
                        for request in GOOD.requests
                    ),
                ],
            ),
            {"each step has one answer"},
        ),
        (
            replace(GOOD, findings=[("integrity", "page 3 is damaged")]),
            {"database, journal and event logs agree"},
        ),
        (
            replace(GOOD, exit_codes=[0, 70]),
            {"processes end only when they are asked to"},
        ),
    ],
)
def test_violations(observed: Observed, names: set[str]) -> None:
    assert violated(observed) == names


def test_answers_are_different_and_remembered() -> None:
    answers = Answers()
    first = answers.answer(prompt_of("r", "first"))
    again = answers.answer(prompt_of("r", "first"))
    assert first != again
    answers.answer(prompt_of("r", "last", first, again))
    assert [request.seen for request in answers.requests()] == [(), (), (first, again)]
    with pytest.raises(ValueError, match="unknown prompt"):
        answers.answer("hello r first")
