"""The model requests of a run as JSON, from its tasks and its journal: what was asked, and what each answer said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from compozy.agent.steps import path_of_request, request_step, tool_step
from compozy.database.database import Database
from compozy.database.tasks import TaskState, list_tasks
from compozy.durable.journal import has_journal
from compozy.durable.step import load_recorded


def list_requests(database: Database, execution_id: str) -> list[dict[str, Any]]:
    """Return the recorded model requests of a run, in the order in which they were recorded.

    `prompt` and `instructions` are those of the task. After an answer that does not match the task's schema, the model
    is asked again with that answer and its problems; `number` counts the requests of a task from 1. `tool_calls` are
    the calls that an answer asked for, with what they gave.

    Raises:
        DatabaseError: the database refused, or the journal holds a step that Compozy did not write.
    """
    with database.read() as connection:
        if not has_journal(database, connection):
            return []
        tasks = {task.path: task for task in list_tasks(connection, execution_id)}
    numbers: Counter[str] = Counter()
    documents: list[dict[str, Any]] = []
    steps = sorted(load_recorded(database, execution_id), key=lambda step: step.function_id)
    results = {step.name: step.output for step in steps}
    # Tool calls are named by the request, whichever of the models answered it.
    requests: Counter[str] = Counter()
    for recorded in steps:
        path = path_of_request(recorded.name)
        if path is None:
            continue
        numbers[path] += 1
        requests[path] += recorded.name == request_step(path)
        outcome: dict[str, Any] = recorded.output or {}
        document = _document(path, numbers[path], tasks.get(path), outcome)
        calls = _calls(outcome, path, requests[path] - 1, results)
        documents.append({**document, "tool_calls": list(calls)})
    return documents


def _document(path: str, number: int, task: TaskState | None, outcome: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = (task.input if task is not None else None) or {}
    value: dict[str, Any] = outcome.get("value") or {}
    response: dict[str, Any] = value.get("response") or {}
    usage: dict[str, Any] = response.get("usage") or {}
    cost: dict[str, Any] = value.get("cost") or {}
    error: dict[str, Any] = outcome.get("error") or {}
    about: dict[str, Any] = value or error.get("details") or {}
    return {
        "path": path,
        "number": number,
        "provider": about.get("provider"),
        "model": about.get("model"),
        "instructions": shown.get("instructions"),
        "prompt": shown.get("prompt"),
        "answer": _text(response) if response else None,
        "finish_reason": response.get("finish_reason"),
        "input_tokens": usage.get("input_tokens", 0),
        "output_tokens": usage.get("output_tokens", 0),
        "cache_read_tokens": usage.get("cache_read_tokens", 0),
        "cache_write_tokens": usage.get("cache_write_tokens", 0),
        "cost": None if cost.get("micros") is None else cost["micros"] / 1_000_000,
        "price": cost.get("source") or None,
        "error": error or None,
    }


def _calls(outcome: dict[str, Any], path: str, request: int, results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the calls of an answer; one without an `outcome` was refused before it started, or is not recorded yet."""
    value: dict[str, Any] = outcome.get("value") or {}
    response: dict[str, Any] = value.get("response") or {}
    parts: list[dict[str, Any]] = response.get("parts") or []
    for index, part in enumerate(part for part in parts if part.get("part_kind") == "tool-call"):
        name = str(part.get("tool_name"))
        output: dict[str, Any] = results.get(_last_step(tool_step(path, request, index, name), results)) or {}
        recorded: dict[str, Any] = output.get("value") or {}
        yield {
            "tool": name,
            "arguments": part.get("args"),
            "outcome": recorded.get("outcome"),
            "result": recorded.get("content"),
            "duration_ms": recorded.get("duration_ms"),
        }


def _last_step(step: str, results: Mapping[str, Any]) -> str:
    """Return the name of the last step of a call: a call that asked a person has one more for each answer."""
    turn = 1
    while f"{step}.{turn}" in results:
        turn += 1
    return step if turn == 1 else f"{step}.{turn - 1}"


def _text(response: dict[str, Any]) -> str:
    """Return the text of an answer, without the model's reasoning."""
    parts: list[dict[str, Any]] = response.get("parts") or []
    return "".join(str(part.get("content", "")) for part in parts if part.get("part_kind") == "text")
