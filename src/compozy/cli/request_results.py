"""Output of `workflow get --verbose`: the model requests and result of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, cast

from compozy.cli.cost_results import dollar_text
from compozy.cli.endings import Document
from compozy.cli.output import json_text, paint, print_line

# A longer result is printed key by key.
_MAX_LINE = 120
_MAX_CALL = 300


def print_requests(requests: Sequence[Document]) -> None:
    """Print what models were asked and what they answered; the prompt once for each task."""
    if not requests:
        print_line("No model requests are recorded.")
    for request in requests:
        model = f"{request['provider']}/{request['model']}" if request["provider"] else "-"
        tokens = f"{request['input_tokens']} + {request['output_tokens']} tokens"
        if request.get("cost"):
            tokens += f", {dollar_text(request['cost'])}"
        heading = f"Request {request['number']} of {request['path']}"
        print_line(f"{paint(heading, 'bold', stream=sys.stdout)}  {model}  {tokens}")
        if request["number"] == 1:
            _print_text("instructions", request["instructions"])
            _print_text("prompt", request["prompt"])
        if request["answer"] or not request["tool_calls"]:
            _print_text("answer", request["answer"])
        for call in request["tool_calls"]:
            _print_call(call)
        if request["error"]:
            _print_text("error", request["error"].get("message"))
    print_line()


def _print_call(call: Document) -> None:
    arguments = call["arguments"] if isinstance(call["arguments"], str) else json_text(call["arguments"] or {})
    print_line(f"  call of {call['tool']} with {_cut(arguments)}")
    if call["outcome"] is None:
        print_line("    refused before it started")
        return
    result = call["result"] if isinstance(call["result"], str) else json_text(call["result"])
    print_line(f"    {call['outcome']} after {call['duration_ms']} ms: {_cut(result)}")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_CALL else f"{line[:_MAX_CALL]}... ({len(text)} characters)"


def _print_text(name: str, text: str | None) -> None:
    if text is None:
        return
    print_line(f"  {name}:")
    for line in text.splitlines() or [""]:
        print_line(f"    {line}".rstrip())


def print_readable(name: str, value: Any) -> None:
    """Print a JSON value: in one line if it is short, else one line for each key, and text as it is written."""
    line = f"{name}: {json_text(value)}"
    if len(line) <= _MAX_LINE or not isinstance(value, dict):
        print_line(line)
        return
    print_line(f"{name}:")
    for key, item in cast("dict[str, Any]", value).items():
        shown = item if isinstance(item, str) else json_text(item)
        if "\n" not in shown and len(shown) + len(key) <= _MAX_LINE:
            print_line(f"  {key}: {shown}")
        else:
            _print_text(key, item if isinstance(item, str) else json_text(item, indent=2))
