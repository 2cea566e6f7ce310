"""Output of workflows and runs: the documents of `workflow/documents.py`, from here or from a server.

Nothing here loads the database or the models, so that a command that asks a server starts at once.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from compozy.cli.cost_results import costs_something, shown_cost
from compozy.cli.cutoff import warn_of_cut_off
from compozy.cli.endings import ENDS, INGESTION, INTERRUPTED, Document, print_failure, print_paused
from compozy.cli.output import json_text, print_json, print_line, print_note, print_table
from compozy.cli.request_results import print_readable, print_requests
from compozy.config.timespan import format_duration
from compozy.database.status import Status
from compozy.durable.format import JOURNAL_FORMAT

# Tasks of one container that are shown; a collection may have thousands.
_MAX_CHILDREN = 50
# How an answer is given, in commands that are suggested.
ANSWER = "--input '{...}'"


def print_result(run: Document, *, as_json: bool) -> int:
    """Print how a run ended and return the exit code of `workflow run`."""
    if run["workflow_id"].startswith(INGESTION):
        # Imported here, because it prints failures with functions of this module.
        from compozy.cli.knowledge_results import print_ingestion

        return print_ingestion(run, as_json=as_json)
    status = Status(run["status"])
    if as_json:
        print_json(run)
    elif print_paused(run):
        return 1
    elif status is Status.SUCCESS:
        _print_output(run)
    else:
        print_failure(run)
    if status is Status.CANCELED:
        return INTERRUPTED
    return 0 if status is Status.SUCCESS else 1


def _print_output(run: Document) -> None:
    """Print the result of a run: as an answer with its sources where it has these keys, else as JSON."""
    output = run["output"]
    if not isinstance(output, dict) or not {"answer", "sources"} <= cast("Document", output).keys():
        print_line(f"Workflow {run['workflow_id']!r} completed successfully")
        print_line(f"Result: {json_text(output)}")
        return
    answered = cast("Document", output)
    answer, others = answered["answer"], {key: answered[key] for key in answered if key not in {"answer", "sources"}}
    print_line(f"Workflow {run['workflow_id']!r} completed")
    print_line(f"Answer: {answer if isinstance(answer, str) else json_text(answer)}")
    print_line(f"Sources: {_shown_sources(answered['sources'])}")
    if others:
        print_line(f"Result: {json_text(others)}")


def _shown_sources(sources: Any) -> str:
    """Return `[doc1.md, doc2.pdf (p. 3, 7)]`: each document once, by the end of its name where that is enough."""
    if not isinstance(sources, list):
        return json_text(sources)
    pages: dict[str, set[int]] = {}
    for source in cast("list[Any]", sources):
        fields = cast("Document", source) if isinstance(source, dict) else {"document": source}
        name = fields.get("document")
        found = pages.setdefault(name if isinstance(name, str) else json_text(source), set())
        if isinstance(fields.get("page"), int):
            found.add(fields["page"])
    ends = [name.rstrip("/").rpartition("/")[2] for name in pages]
    shown = ends if len(set(ends)) == len(pages) else list(pages)
    return f"[{', '.join(map(_with_pages, shown, pages.values()))}]"


def _with_pages(name: str, pages: set[int]) -> str:
    return f"{name} (p. {', '.join(map(str, sorted(pages)))})" if pages else name


def print_execution(run: Document, requests: Sequence[Document] | None = None, *, as_json: bool) -> int:
    """Print a run and its tasks, with its model requests if given; return the exit code of `workflow get`."""
    status = Status(run["status"])
    if as_json:
        print_json(run if requests is None else {**run, "requests": list(requests)})
    else:
        _print_execution(run, status, requests)
    return 1 if status in ENDS else 0


def print_listing(
    workflows: Sequence[Document], runs: Sequence[Document], *, where: str, is_filtered: bool, as_json: bool
) -> None:
    """Print workflows and the latest runs; `where` names the place that has none, or none that match."""
    if as_json:
        print_json({"workflows": list(workflows), "executions": list(runs)})
        return
    print_table(
        ("WORKFLOW", "TASKS", "FILE", "NAME"),
        [(found["id"], str(len(found["tasks"])), found["file"], found["name"] or "") for found in workflows],
    )
    print_line()
    if not runs:
        print_line(f"No executions in {where} match the filters." if is_filtered else f"No executions in {where} yet.")
        return
    rows = [_row(run) for run in runs]
    without = [*([] if costs_something(runs) else ["COST"]), *([] if any(note for *_, note in rows) else ["NOTE"])]
    print_table(("EXECUTION", "WORKFLOW", "STATUS", "STARTED", "TIME", "COST", "NOTE"), rows, without=without)
    for run in runs:
        print_foreign_format(run)


def print_foreign_format(run: Document) -> None:
    """Print a note about an open run that this version cannot continue."""
    if has_foreign_format(run):
        print_note(
            f"note: execution {run['execution_id']} was started with journal format {run['journal_format']}; this "
            f"Compozy only continues format {JOURNAL_FORMAT}. Finish it with the version that started it."
        )


def is_waiting(run: Document) -> bool:
    """Return whether an open run waits for a signal or an answer that was not sent yet."""
    is_open = not Status(run["status"]).is_final
    return is_open and any(task["waits_for"] and not task["signal_arrived"] for task in run["tasks"])


def describe_place(run: Document) -> str | None:
    """Return what an open run with limits waits for; None if it does not wait for a place."""
    # A server of an earlier version has none.
    limits: Document | None = run.get("limits")
    if limits is None or limits["waiting_since"] is None:
        return None
    holders: list[str] = limits["holders"]
    if limits["concurrency"] is not None and len(holders) >= min(limits["concurrency"], 10):
        key = "" if limits["key"] is None else f" with the key {limits['key']!r}"
        return f"waits for a place; {limits['concurrency']} open{key}: {', '.join(holders)}"
    if limits["rate"] is not None:
        return f"waits for its start; the rate is {limits['rate']['limit']} in {limits['rate']['period_s']:g}s"
    return "waits for its start"


def print_detached(execution_id: str, where: str) -> None:
    """Print that a run continues without this command, and how to return to it or end it."""
    print_note(f"Detached. Execution {execution_id} is {where}.")
    print_note(f"  compozy workflow get {execution_id} --wait   wait for its result")
    print_note(f"  compozy workflow cancel {execution_id}       cancel it")


def has_foreign_format(run: Document) -> bool:
    """Return whether a run is open and was started by a version whose journal this one cannot read."""
    return not Status(run["status"]).is_final and run["journal_format"] != JOURNAL_FORMAT


def _print_execution(run: Document, status: Status, requests: Sequence[Document] | None) -> None:
    _print_head(run, status)
    print_foreign_format(run)
    print_line()
    headings = ("TASK", "STATUS", "ATTEMPTS", "TIME", "TOKENS", "COST", "MODEL")
    without = () if costs_something(run["tasks"]) else ("COST",)
    print_table(headings, list(_tree_rows(_shown_tasks(run), None, "")), without=without)
    print_line()
    _print_waits(run)
    if requests is not None:
        print_requests(requests)
    if run["requested"] is not None:
        print_line(f"Requested: {run['requested']}")
    if status is Status.SUCCESS:
        print_readable("Result", run["output"])
    elif status is Status.MOVED:
        print_line("Moved to another database, where it continues")
    elif status.is_final:
        print_failure(run)


def _print_waits(run: Document) -> None:
    """Print what a run and its tasks wait for, and who answered."""
    if place := describe_place(run):
        print_line(f"The execution {place}")
    # As many as `workflow approve` has to choose from.
    several = sum(_asks(task) for task in run["tasks"]) > 1
    for task in run["tasks"]:
        _print_wait(run, task, is_one_of_several=several)
        if answered_by := task.get("answered_by"):
            print_line(f"{task['path']} was answered by {answered_by}")
        warn_of_cut_off(task["path"], task["usage"])


def _print_head(run: Document, status: Status) -> None:
    print_line(f"Execution {run['execution_id']}")
    print_line(f"Workflow  {run['workflow_id']}")
    print_line(f"Status    {status.value}")
    print_line(f"Started   {run['started_at'] or 'not yet'}")
    print_line(f"Time      {_time(run)}")
    if costs_something([run]):
        print_line(f"Cost      {shown_cost(run)}")
    if trigger := _shown_trigger(run):
        print_line(f"Trigger   {trigger}")
    if labels := run.get("labels"):
        print_line(f"Labels    {', '.join(f'{name}={value}' for name, value in labels.items())}")
    if run["origin"]:
        print_line(f"From      {run['origin']['database']}, exported {run['origin']['exported_at']}")


def _shown_trigger(run: Document) -> str:
    """Return what started a run and who, "" if it was a person without a name or is not known."""
    # A server of an earlier version has none.
    trigger: Document = run.get("trigger") or {"id": None, "by": None}
    if trigger["id"] is None and trigger["by"] is None:
        return ""
    named = " ".join(part for part in (trigger["type"], trigger["id"]) if part)
    return named if trigger["by"] is None else f"{named}, by {trigger['by']}"


def _row(run: Document) -> tuple[str, ...]:
    note = ""
    if has_foreign_format(run):
        note = f"journal format {run['journal_format']}"
    elif run["origin"] and run["status"] == Status.PAUSED:
        note = "imported"
    # A server of an earlier version does not send it.
    elif run.get("waiting_since"):
        note = "waits for a place"
    return (
        run["execution_id"],
        run["workflow_id"],
        run["status"],
        run["started_at"] or "-",
        _time(run),
        shown_cost(run),
        note,
    )


def _shown_tasks(run: Document) -> list[Document]:
    """Return the tasks of a run; in a paused run none is running."""
    tasks: list[Document] = run["tasks"]
    if Status(run["status"]) is not Status.PAUSED:
        return tasks
    return [{**task, "status": Status.PAUSED} if task["status"] == Status.RUNNING else task for task in tasks]


def _tree_rows(tasks: Sequence[Document], parent: str | None, indent: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the tasks in the container `parent`, each with those inside it below it."""
    inside = [task for task in tasks if task["parent"] == parent]
    for task in inside[:_MAX_CHILDREN]:
        yield _task_row(task, indent)
        yield from _tree_rows(tasks, task["path"], f"{indent}  ")
    more = Counter(str(task["status"]) for task in inside[_MAX_CHILDREN:])
    if more:
        states = ", ".join(f"{count} {status}" for status, count in more.items())
        yield (f"{indent}... {more.total()} more", states, "", "", "", "", "")


def _task_row(task: Document, indent: str) -> tuple[str, ...]:
    usages: list[Document] = task["usage"]
    read, written = (sum(usage[f"{way}_tokens"] for usage in usages) for way in ("input", "output"))
    tokens = f"{read} + {written}" if usages else "-"
    model = ", ".join(dict.fromkeys(f"{usage['provider']}/{usage['model']}" for usage in usages)) or "-"
    # Nothing was tried where the result of another run was kept.
    attempts = "kept" if task["attempts"] == 0 and task["finished_at"] and task["status"] != "CANCELED" else None
    return (
        f"{indent}{task['task_id']}",
        str(task["status"]),
        attempts or str(task["attempts"]),
        _time(task),
        tokens,
        shown_cost(task),
        model,
    )


def _asks(task: Document) -> bool:
    """Return whether a person answers a waiting task."""
    return task["waits_for"] is not None and "form" in (task["output"] or {})


def approve_command(execution_id: str, path: str | None, answer: str) -> str:
    """Return the command that answers the task `path`; None for the only one of the run that waits."""
    chosen = "" if path is None else f" --task {shlex.quote(path)}"
    return f"compozy workflow approve {execution_id}{chosen} {answer}"


def _print_wait(run: Document, task: Document, *, is_one_of_several: bool) -> None:
    """Print how to answer a waiting task."""
    if task["waits_for"] is None or Status(run["status"]).is_final:
        return
    run_id: str = run["execution_id"]
    asked: Document = task["output"] or {}
    chosen: str | None = task["path"] if is_one_of_several else None
    if task["signal_arrived"]:
        resume = f": compozy workflow resume {run_id}" if Status(run["status"]) is Status.PAUSED else ""
        print_line(f"{task['path']} has got its {'answer' if 'form' in asked else 'signal'}, and takes it next{resume}")
    elif "budget" in asked:
        print_line(f"{asked['form']['description']}")
        option = asked["form"]["then"]["required"][0].replace("_", "-")
        print_line(f"  {approve_command(run_id, chosen, f'--{option} N, or --deny')}")
    elif "form" in asked:
        print_line(f"{task['path']} waits for an answer: {approve_command(run_id, chosen, ANSWER)}")
        print_line(f"  its form: {json_text(asked['form'])}")
    else:
        print_line(f"{task['path']} waits: compozy workflow signal {run_id} {task['waits_for']}")
    for refused in asked.get("refused", ()):
        _print_refused(refused)


def _print_refused(refused: Document) -> None:
    """Print a signal that did not match the form of the task that consumed it."""
    sender = "" if refused["sent_by"] is None else f" of execution {refused['sent_by']}"
    problems = "; ".join(f"{found['path'] or 'payload'}: {found['message']}" for found in refused["problems"])
    print_line(f"  a signal{sender} at {refused['received_at_utc']} did not match it and was dropped: {problems}")


def _time(row: Document) -> str:
    seconds = seconds_of(row)
    return "-" if seconds is None else format_duration(seconds)


def seconds_of(row: Document) -> float | None:
    """Return how long a run or a task took, None while it has not ended."""
    if row["started_at"] is None or row["finished_at"] is None:
        return None
    # Python 3.11 reads the `Z` of RFC 3339.
    return (datetime.fromisoformat(row["finished_at"]) - datetime.fromisoformat(row["started_at"])).total_seconds()
