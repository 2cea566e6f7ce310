"""Runs and errors as results of MCP tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from mcp_types import CallToolResult, TextContent

from compozy.database.status import Status
from compozy.errors import CompozyError
from compozy.server.mcp.questions import Question, open_questions
from compozy.server.mcp.runs import Document
from compozy.trigger.kinds.mcp import ANSWER, WAIT

RUN_ID = "compozy/runId"
"""Where in `_meta` of a result the ID of its run is."""


def result_of_run(document: Document) -> CallToolResult:
    """Return the result of a workflow: its output, its error, or where its run is found."""
    run_id, status = document["execution_id"], document["status"]
    if status == Status.SUCCESS.value:
        output = document["output"]
        text = _text(output) if output is not None else f"Run {run_id} ended without output."
        return _result(text, output if isinstance(output, dict) else None, run_id)
    if document["finished_at"] is not None:
        return _result(_ended_text(document), None, run_id, is_error=True)
    return _result(_open_text(document), summary_of(document), run_id)


def result_of_document(document: Document) -> CallToolResult:
    """Return a run as a tool for runs shows it."""
    summary = summary_of(document)
    text = _text(summary)
    if document["finished_at"] is None:
        text = f"{_open_text(document)}\n{text}"
    return _result(text, summary, document["execution_id"])


def result_of_error(error: CompozyError) -> CallToolResult:
    """Return an error that a model can read. Hints for the command line and the API are left out."""
    hint = f" ({error.hint})" if error.hint and not error.http_hint else ""
    return CallToolResult(content=[TextContent(type="text", text=f"{error.message}{hint}")], is_error=True)


def result_of_text(text: str, document: Document) -> CallToolResult:
    """Return a text about an open run, with the run."""
    return _result(f"{text}\n{_open_text(document)}", summary_of(document), document["execution_id"])


def summary_of(document: Document) -> dict[str, Any]:
    """Return a run without its tasks, with the questions that wait."""
    return {
        "run_id": document["execution_id"],
        "workflow": document["workflow_id"],
        "status": document["status"],
        "output": document["output"],
        "error": document["error"],
        "questions": [question.to_json() for question in open_questions(document)],
    }


def _ended_text(document: Document) -> str:
    error: dict[str, Any] = document["error"] or {}
    cause = f": {error['message']}" if error.get("message") else "."
    return f"Workflow {document['workflow_id']!r} ended as {document['status']}{cause}\nRun: {document['execution_id']}"


def _open_text(document: Document) -> str:
    run_id, questions = document["execution_id"], open_questions(document)
    if questions:
        return _waiting_text(run_id, questions)
    state = "is paused" if document["status"] == Status.PAUSED.value else "is still running"
    return f"Run {run_id} {state}. Call `{WAIT}` with this `run_id` to get its result."


def _waiting_text(run_id: str, questions: Sequence[Question]) -> str:
    lines = [
        f"Run {run_id} waits for a person. Ask the user, then call `{ANSWER}` with this `run_id`, `task`, `answer`:"
    ]
    lines += [f"- task {question.task!r}: {question.message}\n  form: {_text(question.form)}" for question in questions]
    return "\n".join(lines)


def _result(text: str, structured: Any, run_id: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=_encodable(text))],
        structured_content=None if structured is None else _encodable_value(structured),
        is_error=is_error,
        _meta=cast("Any", {RUN_ID: run_id}),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _encodable(text: str) -> str:
    """Replace halves of characters, which JSON may hold and a message may not."""
    return text.encode("utf-8", "replace").decode()


def _encodable_value(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False)
    return value if _encodable(text) == text else json.loads(_encodable(text))
