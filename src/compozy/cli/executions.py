"""`compozy workflow list` and `get`: what the database knows of runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from compozy.app import close_storage, display_location, open_app, open_reading, open_storage
from compozy.cli.documents import execution_document, format_time, print_failure
from compozy.cli.output import json_text, print_json, print_line, print_note, print_table
from compozy.cli.progress import Progress
from compozy.config.duration import format_duration
from compozy.database.database import Database
from compozy.database.executions import Execution, get_execution, list_executions
from compozy.database.status import Status
from compozy.database.tasks import TaskState, list_tasks
from compozy.durable.format import JOURNAL_FORMAT
from compozy.errors import DatabaseOwnedError, NotFoundError
from compozy.project.loaded import LoadedProject

_POLL_S = 0.2


def show_list(project: LoadedProject, *, limit: int, as_json: bool) -> None:
    """Print the workflows of a project and their latest executions."""
    database = open_reading(project)
    runs: list[Execution] = []
    if database is not None:
        with database.read() as connection:
            runs = list_executions(connection, limit=limit)
        close_storage(database)
    if as_json:
        print_json(
            {"workflows": [_workflow(project, key) for key in project.workflows], "executions": _documents(runs)}
        )
        return
    print_table(
        ("WORKFLOW", "TASKS", "FILE", "NAME"),
        [
            (key, str(len(found.config.tasks)), str(found.file.relative_to(project.root)), found.config.name or "")
            for key, found in project.workflows.items()
        ],
    )
    print_line()
    if not runs:
        print_line(f"No executions in {display_location(project)} yet.")
        return
    print_table(("EXECUTION", "WORKFLOW", "STATUS", "STARTED", "TIME"), [_row(run) for run in runs])
    _tell_foreign_format(runs)


def show_execution(project: LoadedProject, execution_id: str, *, wait: bool, as_json: bool, quiet: bool) -> int:
    """Print one execution and its tasks; exit status 1 when it failed.

    Raises:
        NotFoundError: there is none of this id.
    """
    run, tasks = _read(project, execution_id)
    if wait and not run.status.is_final:
        _wait_for(project, execution_id, quiet=quiet)
        run, tasks = _read(project, execution_id)
    if as_json:
        print_json(execution_document(run, tasks))
    else:
        _print_execution(run, tasks)
    return 1 if run.status in {Status.FAILED, Status.TIMED_OUT, Status.CANCELED} else 0


def _read(project: LoadedProject, execution_id: str) -> tuple[Execution, list[TaskState]]:
    database = open_reading(project)
    if database is None:
        raise NotFoundError(
            f"no execution {execution_id!r}: there is no database {display_location(project)} yet",
            hint="run a workflow first: `compozy workflow run ID`",
        )
    try:
        with database.read() as connection:
            return get_execution(connection, execution_id), list_tasks(connection, execution_id)
    finally:
        close_storage(database)


def _wait_for(project: LoadedProject, execution_id: str, *, quiet: bool) -> None:
    """Wait for a run: while another process has it, look; once nobody has, go on with it here."""
    while True:
        try:
            database = open_storage(project, wait_for_lock_s=0.0)
        except DatabaseOwnedError:
            asyncio.run(asyncio.sleep(_POLL_S))
        else:
            try:
                asyncio.run(_finish_here(project, database, execution_id, quiet=quiet))
            finally:
                close_storage(database)
        run, _ = _read(project, execution_id)
        if run.status.is_final:
            return
        if run.journal_format != JOURNAL_FORMAT:
            print_note(_format_note(run))
            return


async def _finish_here(project: LoadedProject, database: Database, execution_id: str, *, quiet: bool) -> None:
    report = Progress(execution_id, quiet=quiet)
    async with open_app(project, database, role="run", report=report) as app:
        await app.runtime.adopt(execution_id)
        await app.runtime.wait(execution_id)


def _print_execution(run: Execution, tasks: Sequence[TaskState]) -> None:
    print_line(f"Execution {run.workflow_exec_id}")
    print_line(f"Workflow  {run.workflow_id}")
    print_line(f"Status    {run.status.value}")
    print_line(f"Started   {format_time(run.started_ms) or 'not yet'}")
    print_line(f"Time      {_seconds(run)}")
    if not run.status.is_final and run.journal_format != JOURNAL_FORMAT:
        print_note(_format_note(run))
    print_line()
    print_table(("TASK", "STATUS", "ATTEMPTS", "TIME", "TOKENS", "MODEL"), [_task_row(task) for task in tasks])
    print_line()
    if run.status is Status.SUCCESS:
        print_line(f"Result: {json_text(run.output)}")
    elif run.status.is_final:
        print_failure(run)


def _row(run: Execution) -> tuple[str, ...]:
    status = run.status.value
    if not run.status.is_final and run.journal_format != JOURNAL_FORMAT:
        status = f"{status} (journal format {run.journal_format})"
    return (run.workflow_exec_id, run.workflow_id, status, format_time(run.started_ms) or "-", _seconds(run))


def _task_row(task: TaskState) -> tuple[str, ...]:
    usage: dict[str, Any] = (task.usage or [{}])[0]
    tokens = f"{usage['input_tokens']} + {usage['output_tokens']}" if usage else "-"
    model = f"{usage['provider']}/{usage['model']}" if usage else "-"
    return (task.task_id, task.status.value, str(task.attempts), _seconds(task), tokens, model)


def _seconds(row: Execution | TaskState) -> str:
    if row.started_ms is None or row.finished_ms is None:
        return "-"
    return format_duration((row.finished_ms - row.started_ms) / 1000)


def _tell_foreign_format(runs: Sequence[Execution]) -> None:
    for run in runs:
        if not run.status.is_final and run.journal_format != JOURNAL_FORMAT:
            print_note(_format_note(run))


def _format_note(run: Execution) -> str:
    return (
        f"note: execution {run.workflow_exec_id} was begun with journal format {run.journal_format}; this Compozy goes "
        f"on with format {JOURNAL_FORMAT} only. Finish it with the version that began it."
    )


def _documents(runs: Sequence[Execution]) -> list[dict[str, Any]]:
    return [execution_document(run) for run in runs]


def _workflow(project: LoadedProject, workflow_id: str) -> dict[str, Any]:
    found = project.workflows[workflow_id]
    return {
        "id": workflow_id,
        "name": found.config.name,
        "description": found.config.description,
        "file": str(found.file.relative_to(project.root)),
        "tasks": [task.id for task in found.config.tasks],
    }
