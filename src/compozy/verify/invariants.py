"""The invariants of runs whose processes are killed, checked against everything that was observed from outside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from compozy.verify.answers import Request

SUCCESS = "SUCCESS"
MAX_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run in the database: its ID, the `run` of its input, its state, and the answers in its output by step."""

    execution_id: str
    run: str
    status: str
    answers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that was observed.

    Attributes:
        steps: each step of the workflow and the steps whose answers it contains.
        sent: runs that a client asked for.
        accepted: runs whose acceptance was confirmed to a client, and their execution IDs.
        runs: the runs in the database.
        requests: the requests of the model, in the order of arrival.
        findings: checks of the database itself, and what is wrong, or "".
        exit_codes: of processes that were not killed.
    """

    steps: Mapping[str, tuple[str, ...]]
    sent: frozenset[str]
    accepted: Mapping[str, str]
    runs: Sequence[StoredRun]
    requests: Sequence[Request]
    findings: Sequence[tuple[str, str]]
    exit_codes: Sequence[int]


@dataclass(kw_only=True)
class Invariant:
    """One invariant: how often it was checked, and its violations."""

    name: str
    checked: int = 0
    violations: list[str] = field(default_factory=list[str])

    def expect(self, holds: bool, violation: str) -> None:
        """Count a check, and add a violation unless it holds."""
        self.checked += 1
        if not holds:
            self.violations.append(violation)


def check_invariants(observed: Observed) -> list[Invariant]:
    """Check all invariants."""
    return [
        _accepted_runs_exist(observed),
        _keys_start_one_run(observed),
        _runs_succeed(observed),
        _recorded_steps_are_not_repeated(observed),
        _answers_are_used_once(observed),
        _database_is_intact(observed),
        _processes_end_gracefully(observed),
    ]


def _accepted_runs_exist(observed: Observed) -> Invariant:
    invariant = Invariant(name="accepted runs are stored")
    stored = {run.execution_id: run.run for run in observed.runs}
    for run, execution_id in observed.accepted.items():
        invariant.expect(stored.get(execution_id) == run, f"{execution_id} was accepted and is not stored")
    return invariant


def _keys_start_one_run(observed: Observed) -> Invariant:
    invariant = Invariant(name="a repeated request starts no second run")
    counts: dict[str, int] = defaultdict(int)
    for run in observed.runs:
        counts[run.run] += 1
    for run, count in counts.items():
        invariant.expect(count == 1 and run in observed.sent, f"{run} has {count} executions")
    return invariant


def _runs_succeed(observed: Observed) -> Invariant:
    invariant = Invariant(name="every run ends with its result")
    for run in observed.runs:
        is_complete = run.status == SUCCESS and run.answers.keys() == observed.steps.keys()
        invariant.expect(is_complete, f"{run.execution_id} is {run.status}")
    return invariant


def _recorded_steps_are_not_repeated(observed: Observed) -> Invariant:
    """Check that no step is requested again after its answer has appeared in the request of a later step."""
    invariant = Invariant(name="recorded steps are not repeated")
    for requests in _by_run(observed.requests).values():
        recorded: dict[str, str] = {}
        for request in requests:
            invariant.expect(
                request.step not in recorded, f"{request.run} asked for {request.step!r} again after it was recorded"
            )
            recorded |= dict(zip(observed.steps.get(request.step, ()), request.seen, strict=False))
    return invariant


def _answers_are_used_once(observed: Observed) -> Invariant:
    """Check that later steps and the output contain one and the same answer of each step, which the model gave."""
    invariant = Invariant(name="each step has one answer")
    by_run = _by_run(observed.requests)
    for run in observed.runs:
        requests = by_run.get(run.run, [])
        given = {(request.step, request.answer) for request in requests}
        used = [*run.answers.items(), *_seen_answers(observed, requests)]
        for step in observed.steps:
            answers = {answer for name, answer in used if name == step}
            holds = len(answers) <= 1 and all((step, answer) in given for answer in answers)
            invariant.expect(holds, f"{run.execution_id} used {sorted(answers)} for {step!r}")
    return invariant


def _seen_answers(observed: Observed, requests: Iterable[Request]) -> Iterator[tuple[str, str]]:
    for request in requests:
        yield from zip(observed.steps.get(request.step, ()), request.seen, strict=False)


def _database_is_intact(observed: Observed) -> Invariant:
    invariant = Invariant(name="database, journal and event logs agree")
    for name, error in observed.findings:
        invariant.expect(not error, f"{name}: {error}")
    return invariant


def _processes_end_gracefully(observed: Observed) -> Invariant:
    invariant = Invariant(name="processes end only when they are asked to")
    for code in observed.exit_codes:
        invariant.expect(code == 0, f"a process exited with code {code}")
    return invariant


def _by_run(requests: Iterable[Request]) -> Mapping[str, list[Request]]:
    runs: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        runs[request.run].append(request)
    return runs


def count_repeats(requests: Iterable[Request]) -> int:
    """Return how many requests were made again because their answer was not recorded when a process was killed."""
    made = [(request.run, request.step) for request in requests]
    return len(made) - len(set(made))
