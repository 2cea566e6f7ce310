"""What the commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from compozy.errors import CompozyError, ProjectError


def print_line(text: str = "") -> None:
    """Print one line of a result."""
    print(text)  # noqa: T201 - stdout is what this module writes to


def print_json(document: Any) -> None:
    """Print a result as one JSON document."""
    print_line(json.dumps(document, ensure_ascii=False, indent=2))


def print_note(text: str) -> None:
    """Tell something that is not the result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is what this module writes to


def print_error(error: CompozyError, *, as_json: bool) -> None:
    """Print what went wrong and what to do about it; as JSON, a document to stdout."""
    if as_json:
        print_json({"error": _error_document(error)})
        return
    if isinstance(error, ProjectError):
        for fault in error.faults:
            print_note(str(fault))
        count = len(error.faults)
        print_note(f"{paint('Error:', 'red')} {count} problem{'s' if count != 1 else ''} found")
        return
    print_note(f"{paint('Error:', 'red')} {error.message}")
    if error.hint:
        print_note(f"  {error.hint}")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns that are as wide as their widest cell; nothing is cut, so that output can be piped."""
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        print_line(paint(text, "bold", stream=sys.stdout) if number == 0 else text)


def paint(text: str, style: str, *, stream: Any = None) -> str:
    """Return `text` in a style (red, green, yellow, dim, bold) where `stream`, stderr by default, is a terminal."""
    target = stream or sys.stderr
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not target.isatty():
        return text
    code = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}[style]
    return f"\x1b[{code}m{text}\x1b[0m"


def _error_document(error: CompozyError) -> dict[str, Any]:
    document = error.to_json()
    if isinstance(error, ProjectError):
        document["message"] = f"{len(error.faults)} problems found"
        document["details"] = {"faults": [fault_document(fault) for fault in error.faults]}
    return document


def fault_document(fault: Any) -> dict[str, Any]:
    """Return a fault as JSON: `{"file", "line", "col", "code", "message", "hint"}`."""
    place = fault.place
    return {
        "file": place.file,
        "line": place.line,
        "col": place.col,
        "code": fault.code,
        "message": fault.message,
        "hint": fault.hint,
    }
