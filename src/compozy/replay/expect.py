"""Compares a run with what its test expects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from compozy.errors import CompozyError
from compozy.expression import evaluate_condition
from compozy.plural import plural
from compozy.replay.config import SKIPPED, Expectation, TaskExpectation, ToolCallExpectation
from compozy.replay.player import PlayedCall
from compozy.turn import WORKER_S, Turn

_LONGEST_SHOWN = 400
_SKIPPED_OUTPUT = {"skipped": True}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A run as its test sees it.

    Attributes:
        run: the run as `workflow get --format json` shows it.
        calls: the tool calls that it made.
    """

    run: Mapping[str, Any]
    calls: Sequence[PlayedCall]

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the tasks by their paths."""
        return {task["path"]: task for task in self.run["tasks"]}

    @property
    def usage(self) -> dict[str, Any]:
        """Return what the run used, for conditions."""
        entries: list[dict[str, Any]] = self.run["usage"]
        sums = {name: sum(entry.get(name) or 0 for entry in entries) for name in _COUNTED}
        tokens = sums["input_tokens"] + sums["output_tokens"]
        return {**sums, "tokens": tokens, "tool_calls": len(self.calls), "cost": self._cost}

    @property
    def _cost(self) -> float | None:
        """Return the cost in dollars; a sum without the requests of an unknown price would look too cheap."""
        if self.run["unpriced_requests"]:
            return None
        return self.run["cost"] or 0.0


_COUNTED = ("requests", "input_tokens", "output_tokens")


def compare(expected: Expectation, observed: Observed) -> list[str]:
    """Return how a run differs from what was expected, one text for each difference."""
    with Turn(WORKER_S).taken():
        return list(_differences(expected, observed))


def _differences(expected: Expectation, observed: Observed) -> Iterator[str]:
    run = observed.run
    wanted = expected.status or "SUCCESS"
    if run["status"] != wanted:
        yield f"status: expected {wanted}, got {run['status']}{_reason(run)}"
    written = expected.model_fields_set
    if "output" in written:
        yield from differ(expected.output, run["output"], "output")
    if "exactly" in written and not _same(expected.exactly, run["output"]):
        yield f"output: expected exactly {_show(expected.exactly)}, got {_show(run['output'])}"
    if expected.error is not None:
        yield from _error(expected.error, run["error"], "error")
    for path, task in expected.tasks.items():
        yield from _task(path, task, observed.tasks)
    if expected.tool_calls is not None:
        yield from _tool_calls(expected, observed.calls)
    for number, condition in enumerate(expected.that):
        yield from _condition(condition, number, observed)


def differ(expected: Any, found: Any, path: str) -> Iterator[str]:
    """Yield how `found` differs from the part of it that is expected; maps may have more keys, lists not."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in cast("dict[str, Any]", expected).items():
            if key in found:
                yield from differ(value, found[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: expected {_show(value)}, and the key is missing"
    elif isinstance(expected, list) and isinstance(found, list):
        wanted, got = cast("list[Any]", expected), cast("list[Any]", found)
        if len(wanted) != len(got):
            yield f"{path}: expected {plural(len(wanted), 'item')}, got {len(got)}: {_show(got)}"
            return
        for index, (value, other) in enumerate(zip(wanted, got, strict=True)):
            yield from differ(value, other, f"{path}[{index}]")
    elif not _same(expected, found):
        yield f"{path}: expected {_show(expected)}, got {_show(found)}"


def _same(first: Any, second: Any) -> bool:
    """Return whether two JSON values are equal; `true` is not 1, and 1.0 is."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        one, other = cast("dict[str, Any]", first), cast("dict[str, Any]", second)
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(first, list) and isinstance(second, list):
        items, others = cast("list[Any]", first), cast("list[Any]", second)
        return len(items) == len(others) and all(map(_same, items, others))
    return first == second


def _task(path: str, expected: TaskExpectation, tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    task = tasks.get(path)
    status = SKIPPED if task is None or is_skipped(task) else str(task["status"])
    name = f"task {path}"
    wanted = expected.status
    if wanted is not None and status != wanted:
        yield f"{name}: expected {wanted}, got {status}{_reason(task or {})}"
        return
    if task is None:
        if wanted is None:
            yield f"{name}: did not run; the tasks are {', '.join(tasks) or 'none'}"
        return
    yield from _ended_task(name, expected, task)


def _ended_task(name: str, expected: TaskExpectation, task: Mapping[str, Any]) -> Iterator[str]:
    for key in ("output", "input"):
        if key in expected.model_fields_set:
            yield from differ(getattr(expected, key), task[key], f"{name}: {key}")
    if expected.error is not None:
        yield from _error(expected.error, task["error"], f"{name}: error")
    if expected.attempts is not None and task["attempts"] != expected.attempts:
        yield f"{name}: expected {plural(expected.attempts, 'attempt')}, got {task['attempts']}"
    output = task["output"]
    taken = cast("Mapping[str, Any]", output).get("route_taken") if isinstance(output, dict) else None
    if expected.route is not None and taken != expected.route:
        yield f"{name}: expected the route {expected.route!r}, got {_show(taken)}"


def is_skipped(task: Mapping[str, Any]) -> bool:
    """Return whether a task, as JSON, did not run."""
    return task["output"] == _SKIPPED_OUTPUT or (task["status"] == "CANCELED" and task["attempts"] == 0)


def _tool_calls(expected: Expectation, calls: Sequence[PlayedCall]) -> Iterator[str]:
    wanted = expected.tool_calls or ()
    if expected.order == "strict":
        if len(wanted) != len(calls):
            yield f"tool_calls: expected {plural(len(wanted), 'call')}, got {_show_calls(calls)}"
            return
        for number, (want, call) in enumerate(zip(wanted, calls, strict=True)):
            if not _matches(want, call):
                yield f"tool_calls[{number}]: expected {_describe(want)}, got {_show_calls([call])}"
        return
    for number, want in enumerate(wanted):
        count = sum(_matches(want, call) for call in calls)
        if count != want.times if want.times is not None else not count:
            times = "" if want.times is None else f" {plural(want.times, 'time')}"
            yield (
                f"tool_calls[{number}]: expected {_describe(want)}{times}, found {plural(count, 'such call')} among "
                f"{_show_calls(calls)}"
            )


def _matches(expected: ToolCallExpectation, call: PlayedCall) -> bool:
    return (
        call.tool == expected.tool
        and expected.task in {None, call.task}
        and expected.outcome in {None, call.outcome}
        and not any(differ(expected.input or {}, dict(call.input), ""))
    )


def _describe(expected: ToolCallExpectation) -> str:
    arguments = "" if expected.input is None else f" with {_show(expected.input)}"
    task = "" if expected.task is None else f" in task {expected.task}"
    outcome = "" if expected.outcome is None else f", {expected.outcome}"
    return f"{expected.tool}{arguments}{task}{outcome}"


def _show_calls(calls: Sequence[PlayedCall]) -> str:
    if not calls:
        return "no calls"
    shown = [f"{call.tool} with {_show(dict(call.input))} in task {call.task}, {call.outcome}" for call in calls[:20]]
    return "; ".join(shown)


def _condition(condition: str, number: int, observed: Observed) -> Iterator[str]:
    run = observed.run
    try:
        if evaluate_condition(condition, variables_of(observed), name=f"that[{number}]"):
            return
        yield f"that[{number}]: {condition} is false; output: {_show(run['output'])}, usage: {_show(observed.usage)}"
    except CompozyError as error:
        # The message names the condition and the column in it.
        name = f"that[{number}]:"
        yield error.message if error.message.startswith(name) else f"{name} {error.message}"


def variables_of(observed: Observed) -> dict[str, Any]:
    """Return the variables of conditions about a run."""
    run = observed.run
    calls = [
        {"task": call.task, "tool": call.tool, "input": dict(call.input), "outcome": call.outcome}
        for call in observed.calls
    ]
    tasks = {path: _visible(task) for path, task in observed.tasks.items()}
    about = {name: run[name] for name in ("input", "output", "status", "error")}
    return {**about, "tasks": tasks, "tool_calls": calls, "usage": observed.usage}


def _visible(task: Mapping[str, Any]) -> dict[str, Any]:
    return {name: task[name] for name in ("status", "input", "output", "error", "attempts")}


def _error(expected: str, error: Any, name: str) -> Iterator[str]:
    found = cast("Mapping[str, Any]", error or {})
    if expected != found.get("code") and expected not in str(found.get("message", "")):
        yield f"{name}: expected {expected!r}, got {_show(found.get('message'))}"


def _reason(row: Mapping[str, Any]) -> str:
    error = cast("Mapping[str, Any]", row.get("error") or {})
    return f": {error['message']}" if error.get("message") else ""


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}... ({len(text)} characters)"
