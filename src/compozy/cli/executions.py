"""`compozy workflow list` and `get` without a server: what the database knows of runs."""

from __future__ import annotations

import asyncio

from compozy.app import COMMAND, App, open_app
from compozy.cli.arguments import ListRequest
from compozy.cli.endings import print_paused
from compozy.cli.progress import Progress
from compozy.cli.results import Document, has_foreign_format, print_execution, print_foreign_format, print_listing
from compozy.database.database import Database
from compozy.database.executions import find_execution_id, get_execution
from compozy.database.lists import ExecutionFilter, list_executions, list_summaries
from compozy.database.status import Status
from compozy.durable.format import JOURNAL_FORMAT
from compozy.errors import DatabaseOwnedError, NotFoundError
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, display_location, open_reading, open_storage
from compozy.workflow.documents import read_run, summary_document, whole_document, workflow_document

_POLL_S = 0.2


def show_list(project: LoadedProject, wanted: ListRequest, *, as_json: bool) -> None:
    """Print the workflows of a project and their latest executions."""
    runs = list_runs(project, wanted)
    workflows = [
        workflow_document(found.config, str(found.file.relative_to(project.root)))
        for found in project.workflows.values()
    ]
    where = display_location(project)
    print_listing(workflows, runs, where=where, is_filtered=wanted.is_filtered, as_json=as_json)


def list_runs(project: LoadedProject, wanted: ListRequest, *, id_prefix: str = "") -> list[Document]:
    """Return the latest runs, newest first; an empty list if the database does not exist."""
    database = open_reading(project)
    if database is None:
        return []
    chosen = filter_of(wanted, id_prefix)
    try:
        with database.read() as connection:
            if wanted.full:
                return [whole_document(run) for run in list_executions(connection, chosen, limit=wanted.limit)]
            return [summary_document(run) for run in list_summaries(connection, chosen, limit=wanted.limit)]
    finally:
        close_storage(database)


def filter_of(wanted: ListRequest, id_prefix: str = "") -> ExecutionFilter:
    """Return the filter of the database."""
    return ExecutionFilter(
        workflow_id=wanted.workflow_id,
        statuses=wanted.statuses,
        id_prefix=id_prefix,
        labels=wanted.labels,
        trigger=wanted.trigger,
        started_by=wanted.started_by,
        created_after_ms=wanted.since_ms,
        created_before_ms=wanted.until_ms,
        text=wanted.text,
        parent=wanted.parent,
    )


def show_execution(
    project: LoadedProject, execution_id: str, *, wait: bool, verbose: bool, as_json: bool, quiet: bool
) -> int:
    """Print one execution and its tasks; exit code 1 when it failed. The start of its ID is enough.

    Raises:
        NotFoundError: there is none of this id.
        UsageError: several start with it.
    """
    run = _read(project, execution_id)
    if wait and not Status(run["status"]).is_final:
        found: str = run["execution_id"]
        run = _wait_for(project, found, Progress(found, quiet=quiet, answered=_answered(run)))
    requests = _read_requests(project, run["execution_id"]) if verbose else None
    return print_execution(run, requests, as_json=as_json)


def _read(project: LoadedProject, execution_id: str) -> Document:
    database = open_reading(project)
    if database is None:
        raise no_runs_yet(project, execution_id)
    try:
        with database.read() as connection:
            return read_run(connection, find_execution_id(connection, execution_id))[1]
    finally:
        close_storage(database)


def no_runs_yet(project: LoadedProject, execution_id: str) -> NotFoundError:
    """Return the error for an execution in a database that does not exist yet."""
    return NotFoundError(
        f"no execution {execution_id!r}: {display_location(project)} has no runs yet",
        hint="run a workflow first: `compozy workflow run ID`",
    )


def _read_requests(project: LoadedProject, execution_id: str) -> list[Document]:
    database = open_reading(project)
    if database is None:
        return []
    try:
        # It loads the engine, which only this view needs.
        from compozy.workflow.requests import list_requests

        return list_requests(database, execution_id)
    finally:
        close_storage(database)


def _answered(run: Document) -> frozenset[str]:
    """Return the paths of the waiting tasks whose signal is stored already."""
    return frozenset(task["path"] for task in run["tasks"] if task["signal_arrived"])


def _wait_for(project: LoadedProject, execution_id: str, report: Progress) -> Document:
    """Wait for a run: poll it while another process executes it, and continue it here if none does."""
    while True:
        try:
            database = open_storage(project, wait_for_lock_s=0.0)
        except DatabaseOwnedError:
            asyncio.run(asyncio.sleep(_POLL_S))
        else:
            try:
                asyncio.run(_finish_here(project, database, execution_id, report))
            finally:
                close_storage(database)
        run = _read(project, execution_id)
        if Status(run["status"]).is_final or print_paused(run):
            return run
        if has_foreign_format(run):
            print_foreign_format(run)
            return run


async def _finish_here(project: LoadedProject, database: Database, execution_id: str, report: Progress) -> None:
    with report.text.listening():
        async with open_app(project, database, role=COMMAND, report=report) as app:
            await app.runtime.adopt(execution_id)
            await until_it_rests(app, execution_id)


async def until_it_rests(app: App, run_id: str) -> None:
    """Wait until a run has ended, is paused, or can only be continued by another version."""
    while True:
        await app.runtime.wait(run_id)
        run = await app.database.read_async(lambda c: get_execution(c, run_id))
        if run.status.is_final or run.status is Status.PAUSED or run.journal_format != JOURNAL_FORMAT:
            return
        await asyncio.sleep(_POLL_S)
