"""Output of `compozy schedule`: the documents of `scheduler/documents.py`, from here or from a server."""

from __future__ import annotations

from compozy.cli.output import print_json, print_line, print_note, print_table
from compozy.client import Document
from compozy.plural import plural


def print_schedules(document: Document, *, as_json: bool) -> None:
    """Print the schedules of a project."""
    if as_json:
        print_json(document)
        return
    schedules: list[Document] = document["schedules"]
    if not schedules:
        print_note("This project has no schedules; add `schedule:` to a workflow.")
        return
    print_table(("SCHEDULE", "STATE", "NEXT", "LAST", "STARTED", "SKIPPED", "TIMES"), map(_row, schedules))
    for schedule in schedules:
        for note in _notes(schedule):
            print_note(f"note: {schedule['schedule_id']}: {note}")


def print_next(document: Document, *, as_json: bool) -> None:
    """Print the next times of a schedule."""
    if as_json:
        print_json(document)
        return
    print_table(("UTC", document["timezone"]), ((each["at"], each["local"]) for each in document["next"]))
    if document["state"] != "active":
        print_note(f"note: the schedule is {document['state']} and starts no runs")


def print_changed(document: Document, *, as_json: bool) -> None:
    """Print a schedule that was changed."""
    if as_json:
        print_json(document)
        return
    print_line(f"Schedule {document['schedule_id']!r} is {document['state']}")
    if document["next_at"] is not None:
        print_line(f"Next run: {document['next_at']}")


def print_triggered(document: Document, *, as_json: bool) -> None:
    """Print the run that was started."""
    if as_json:
        print_json(document)
        return
    print_line(f"Started execution {document['execution_id']}")


def print_backfilled(document: Document, *, as_json: bool) -> None:
    """Print the runs of past times."""
    if as_json:
        print_json(document)
        return
    for run_id in document["started"]:
        print_line(run_id)
    existing = f"; {plural(len(document['existing']), 'run')} existed" if document["existing"] else ""
    print_note(f"Started {plural(len(document['started']), 'run')}{existing}")


def _row(schedule: Document) -> tuple[str, ...]:
    times = f"{schedule['description']}" + (f" ({schedule['timezone']})" if schedule["timezone"] else "")
    return (
        schedule["schedule_id"],
        schedule["state"],
        schedule["next_at"] or "-",
        schedule["last_at"] or "-",
        str(schedule["started"]),
        str(sum(schedule["skipped"].values())),
        times,
    )


def _notes(schedule: Document) -> list[str]:
    notes: list[str] = []
    if schedule["reason"]:
        notes.append(schedule["reason"])
    if changed := schedule["differs_from_file"]:
        notes.append(f"differs from the file: {', '.join(changed)}")
    if (last := schedule["last_skip"]) is not None:
        notes.append(f"no run at {last['at']}: {_REASONS.get(last['reason'], last['reason'])}{_more(last['message'])}")
    return notes


_REASONS = {
    "overlap": "the previous run had not ended",
    "missed": "no server or worker was running",
    "invalid_input": "its input is invalid",
    "exists": "a run of that time exists",
    "internal_error": "its run could not be prepared",
}


def _more(message: str) -> str:
    return f": {message}" if message else ""
