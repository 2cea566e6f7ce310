"""`compozy workflow batch`: one operation on many executions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compozy.cli.events import workflow_app
from compozy.cli.options import ProjectOptions, on_project
from compozy.cli.workflow import filter_by
from compozy.errors import UsageError

if TYPE_CHECKING:
    from compozy.cli.arguments import ListRequest
    from compozy.client import Client, Document
    from compozy.project.loaded import LoadedProject
    from compozy.workflow.batch import BatchRequest

_ACTIONS = ("cancel", "pause", "resume", "rerun", "delete")


@workflow_app.command("batch")
@on_project(server=True, output=True)
def batch_command(
    options: ProjectOptions,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="cancel, pause, resume, rerun or delete.")],
    executions: Annotated[list[str] | None, typer.Argument(metavar="[EXECUTION]...", help="Execution IDs.")] = None,
    status: Annotated[
        list[str] | None, filter_by("--status", metavar="STATUS", help="Executions in this state; repeatable.")
    ] = None,
    label: Annotated[
        list[str] | None, filter_by("--label", metavar="NAME[=VALUE]", help="Executions with this label; repeatable.")
    ] = None,
    workflow: Annotated[str | None, filter_by("--workflow", metavar="ID", help="Executions of this workflow.")] = None,
    since: Annotated[
        str | None, filter_by("--since", metavar="WHEN", help="Executions accepted since then: 2026-01-31, or 7d.")
    ] = None,
    until: Annotated[str | None, filter_by("--until", metavar="WHEN", help="Executions accepted before then.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All executions.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Error message of canceled executions.")
    ] = "canceled by a batch",
) -> int:
    """Cancel, pause, resume, rerun or delete executions.

    The executions are named by their IDs, or chosen with filters.
    """
    from compozy.cli.arguments import ListRequest, read_moment_ms, read_statuses

    chosen = ListRequest(
        limit=0,
        statuses=read_statuses(status or ()),
        labels=label or (),
        workflow_id=workflow,
        since_ms=None if since is None else read_moment_ms("--since", since),
        until_ms=None if until is None else read_moment_ms("--until", until),
    )
    has_filter = every or chosen != ListRequest(limit=0)
    if bool(executions) == has_filter:
        raise UsageError("name either executions or a filter", hint="`--all` chooses all executions")
    if action not in _ACTIONS:
        raise UsageError(f"expected {', '.join(_ACTIONS)}, got {action!r}")
    wanted = _Wanted(action=action, ids=executions or None, chosen=chosen, dry_run=dry_run, reason=reason)
    return _print(_do(options, wanted), dry_run=dry_run, as_json=options.as_json)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """The options of the command; `chosen` counts without IDs."""

    action: str
    ids: list[str] | None
    chosen: ListRequest
    dry_run: bool
    reason: str


def _do(options: ProjectOptions, wanted: _Wanted) -> Document:
    from compozy.cli.find import look, search_for

    if (found := look(search_for(options))) is not None:
        return _ask(found.client, wanted, quiet=options.quiet)
    from compozy.cli.context import open_valid_workflows
    from compozy.cli.executions import filter_of
    from compozy.workflow.batch import Action, BatchRequest

    request = BatchRequest(
        action=Action(wanted.action),
        ids=wanted.ids,
        wanted=filter_of(wanted.chosen) if wanted.ids is None else None,
        reason=wanted.reason,
    )
    project = open_valid_workflows(options)
    return _preview_here(project, request) if wanted.dry_run else _run_here(project, request)


def _ask(client: Client, wanted: _Wanted, *, quiet: bool) -> Document:
    """Have a server do it, and return the result."""
    from compozy.cli.remote import wait_remotely
    from compozy.ids import new_execution_id

    body: Document = {"action": wanted.action, "dry_run": wanted.dry_run, "reason": wanted.reason}
    body["execution_id"] = new_execution_id()
    if wanted.ids is not None:
        body["ids"] = wanted.ids
    else:
        body["filter"] = {name: value for name, value in wanted.chosen.to_query().items() if name != "limit"}
    answer = client.post("executions", "workflows", "batch", body=body)
    return answer if wanted.dry_run else wait_remotely(client, answer["execution_id"], quiet=quiet)


def _preview_here(project: LoadedProject, request: BatchRequest) -> Document:
    from compozy.storage import close_storage, open_reading
    from compozy.workflow.batch import preview

    database = open_reading(project)
    if database is None:
        raise UsageError("the database has no executions yet")
    try:
        with database.read() as connection:
            return preview(connection, request)
    finally:
        close_storage(database)


def _run_here(project: LoadedProject, request: BatchRequest) -> Document:
    """Execute a batch in this process."""
    import asyncio

    from compozy.storage import close_storage, open_storage

    database = open_storage(project, wait_for_lock_s=0.0)
    try:
        return asyncio.run(_execute(project, database, request))
    finally:
        close_storage(database)


async def _execute(project: LoadedProject, database: Any, request: BatchRequest) -> Document:
    from compozy.app import COMMAND, open_app
    from compozy.cli.executions import until_it_rests
    from compozy.database.trigger import Trigger, TriggerType
    from compozy.task.report import Silence
    from compozy.workflow.batch import prepare_batch, start_batch
    from compozy.workflow.documents import read_run

    prepare = partial(prepare_batch, request=request, trigger=Trigger(type=TriggerType.CLI))
    new = await database.read_async(prepare)
    async with open_app(project, database, role=COMMAND, report=Silence()) as app:
        await start_batch(app.runtime, new)
        await until_it_rests(app, new.workflow_exec_id)
    return (await database.read_async(partial(read_run, execution_id=new.workflow_exec_id)))[1]


def _print(result: Document, *, dry_run: bool, as_json: bool) -> int:
    """Print the result of a batch, or its preview, and return the exit code."""
    from compozy.cli.output import print_json, print_line, print_table
    from compozy.cli.results import print_result

    if not dry_run and result["status"] != "SUCCESS":
        return print_result(result, as_json=as_json)
    output: Document = result if dry_run else result["output"]
    if as_json:
        print_json(result)
    else:
        refused = [(item["execution_id"], item["message"]) for item in output["items"] if item["message"]]
        if refused:
            print_table(("EXECUTION", "REFUSED"), refused)
            print_line()
        verb = "would be done" if dry_run else "done"
        print_line(f"{output['action']}: {output['done']} of {output['matched']} {verb}, {output['refused']} refused")
    return 1 if output["refused"] else 0
