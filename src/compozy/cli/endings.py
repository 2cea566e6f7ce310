"""Messages about runs that failed, were canceled or are paused."""

from __future__ import annotations

from typing import Any

from compozy.cli.output import paint, print_note
from compozy.database.status import Status

INTERRUPTED = 130
"""Exit code of a command that was ended by Ctrl-C."""
INGESTION = "knowledge/"
"""Prefix of the workflow ID of an ingestion."""
ENDS = {
    Status.FAILED: "failed",
    Status.CANCELED: "was canceled",
    Status.TIMED_OUT: "timed out",
    Status.MOVED: "was moved to another database",
}
"""How a run ended that has no result."""


Document = dict[str, Any]


def print_failure(run: Document) -> None:
    """Print why a run failed: its task, the cause, and what to do."""
    error: Document = run["error"] or {}
    details: Document = error.get("details", {})
    task = f" in task {details['task']!r}" if "task" in details else ""
    how = ENDS.get(Status(run["status"]), run["status"])
    name: str = run["workflow_id"]
    is_ingestion = name.startswith(INGESTION)
    what = f"ingestion into {name.removeprefix(INGESTION)!r}" if is_ingestion else f"workflow {name!r}"
    print_note(f"{paint('Error:', 'red')} {what} {how}{task}")
    if error.get("message"):
        place = f"{details['place']}: " if "place" in details else ""
        print_note(f"  {place}{error['message']}")
    if details.get("hint"):
        print_note(f"  {details['hint']}")
    if run["status"] == Status.MOVED:
        print_note("  it continues in the database into which it is imported")
    print_note(f"  execution {run['execution_id']}")


def print_paused(run: Document) -> bool:
    """Print how to resume a paused run, and return whether it is paused."""
    is_paused = Status(run["status"]) is Status.PAUSED
    if is_paused:
        print_note(f"execution {run['execution_id']} is paused: compozy workflow resume {run['execution_id']}")
    return is_paused
