"""`compozy workflow ...`: run and list workflows, inspect executions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compozy.cli.complete import complete_executions, complete_workflows
from compozy.cli.graph import GraphFormat, print_graph
from compozy.cli.options import (
    ConfigOption,
    InputOption,
    ProjectOptions,
    ServerOption,
    WaitForLockOption,
    number,
    on_project,
)
from compozy.errors import DatabaseOwnedError, ServerError

if TYPE_CHECKING:
    from compozy.cli.arguments import ListRequest, RunRequest
    from compozy.cli.find import Search

WorkflowArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Workflow ID or workflow file.", autocompletion=complete_workflows)
]
TimeoutOption = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help="End the run after this time, e.g. 90s.", show_default=False),
]
ExecutionArgument = Annotated[
    str,
    typer.Argument(
        metavar="EXECUTION", help="Execution ID or its first characters.", autocompletion=complete_executions
    ),
]

LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help="Label of the execution; repeatable.", show_default=False),
]


def filter_by(name: str, *, metavar: str, help: str) -> Any:  # noqa: A002 - as Typer names it
    """Declare an option that filters the list."""
    return typer.Option(name, metavar=metavar, help=help, show_default=False)


DetachOption = Annotated[bool, typer.Option("--detach", "-d", help="Return as soon as a server has accepted the run.")]
FollowOption = Annotated[bool, typer.Option("--follow", help="Print what models write as it arrives.")]

workflow_app = typer.Typer(help="Run workflows and inspect their executions.", no_args_is_help=True)

DEFAULT_WAIT_FOR_LOCK = "30s"


@workflow_app.command("run")
@on_project(server=True, output=True)
def run_command(
    options: ProjectOptions,
    workflow_id: WorkflowArgument,
    given: InputOption = None,
    execution_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="Execution ID; a repeated request with it does not run again.",
            show_default=False,
        ),
    ] = None,
    timeout: TimeoutOption = None,
    label: LabelOption = None,
    detach: DetachOption = False,
    follow: FollowOption = False,
    wait_for_lock: WaitForLockOption = DEFAULT_WAIT_FOR_LOCK,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show tasks and prompts without calling models or storing anything.")
    ] = False,
) -> int:
    """Run a workflow to its end and print its result."""
    from compozy.cli.arguments import RunRequest, duration_flag, read_inputs, read_labels
    from compozy.cli.find import search_for
    from compozy.cli.workflow_file import workflow_id_of

    value = read_inputs(given)
    workflow_id = workflow_id_of(workflow_id, options)
    if dry_run:
        from compozy.cli.context import open_valid_workflows
        from compozy.cli.dry import show_dry_run

        project = open_valid_workflows(options, workflow_id=workflow_id)
        return show_dry_run(project, workflow_id, value, as_json=options.as_json)
    request = RunRequest(
        workflow_id=workflow_id,
        given=value,
        execution_id=execution_id,
        timeout_s=None if timeout is None else duration_flag("--timeout", timeout),
        wait_for_lock_s=duration_flag("--wait-for-lock", wait_for_lock),
        quiet=options.quiet,
        as_json=options.as_json,
        detach=detach,
        follows=follow,
        labels=read_labels(label),
    )
    search = search_for(options, lambda client: client.get("workflows", workflow_id))
    return run_somewhere(options, search, request)


def run_somewhere(options: ProjectOptions, search: Search, request: RunRequest) -> int:
    """Execute a run on the project's server, or in this process."""
    from compozy.cli.changed_files import note_changed_files
    from compozy.cli.find import look
    from compozy.cli.remote import run_remotely

    if (found := look(search)) is not None:
        note_changed_files(found, search)
        return run_remotely(found, request)
    if request.detach:
        hint = "start one with `compozy start`, or run the workflow without --detach"
        raise ServerError("--detach needs a server of this project, and none is running", hint=hint)
    from compozy.cli.context import open_valid_workflows
    from compozy.cli.run import run_workflow

    try:
        return run_workflow(open_valid_workflows(options, workflow_id=request.workflow_id), request)
    except DatabaseOwnedError as error:
        # A server of this project started in between and owns the file: send the run to it.
        if (found := look(search)) is None:
            raise error from None
        return run_remotely(found, request)


@workflow_app.command("list")
@on_project(server=True, output=True)
def list_command(
    options: ProjectOptions,
    limit: Annotated[int, number(1, 1000, "--limit", "--last", help="Number of latest executions.")] = 20,
    status: Annotated[
        list[str] | None, filter_by("--status", metavar="STATUS", help="Only executions in this state; repeatable.")
    ] = None,
    label: Annotated[
        list[str] | None,
        filter_by("--label", metavar="NAME[=VALUE]", help="Only executions with this label; repeatable."),
    ] = None,
    workflow: Annotated[
        str | None, filter_by("--workflow", metavar="ID", help="Only executions of this workflow.")
    ] = None,
    trigger: Annotated[
        str | None, filter_by("--trigger", metavar="TYPE[:ID]", help="Only executions with this trigger.")
    ] = None,
    started_by: Annotated[
        str | None, filter_by("--started-by", metavar="NAME", help="Only executions of this user or API key.")
    ] = None,
    parent: Annotated[
        str | None, filter_by("--parent", metavar="EXECUTION", help="Only executions that this one started.")
    ] = None,
    since: Annotated[
        str | None, filter_by("--since", metavar="WHEN", help="Only executions accepted since then: 2026-01-31, 7d.")
    ] = None,
    until: Annotated[str | None, filter_by("--until", metavar="WHEN", help="Only executions accepted before.")] = None,
    search: Annotated[
        str, filter_by("--search", metavar="TEXT", help="Only executions with this text in IDs, labels or error.")
    ] = "",
    full: Annotated[bool, typer.Option("--full", help="With --format json: also inputs, outputs and tokens.")] = False,
) -> None:
    """List workflows and their latest executions."""
    from compozy.cli.arguments import ListRequest, read_moment_ms, read_statuses

    wanted = ListRequest(
        limit=limit,
        statuses=read_statuses(status or ()),
        labels=label or (),
        workflow_id=workflow,
        trigger=trigger,
        started_by=started_by,
        parent=parent,
        since_ms=None if since is None else read_moment_ms("--since", since),
        until_ms=None if until is None else read_moment_ms("--until", until),
        text=search,
        full=full,
    )
    _show_list(options, wanted)


def _show_list(options: ProjectOptions, wanted: ListRequest) -> None:
    from compozy.cli.find import look, search_for
    from compozy.cli.remote import show_remote_list

    if (found := look(search_for(options))) is not None:
        show_remote_list(found, wanted, as_json=options.as_json)
        return
    from compozy.cli.context import open_valid_workflows
    from compozy.cli.executions import show_list

    show_list(open_valid_workflows(options), wanted, as_json=options.as_json)


@workflow_app.command("graph")
def graph_command(
    context: typer.Context,
    workflow_id: Annotated[
        str, typer.Argument(metavar="ID", help="Workflow to draw.", autocompletion=complete_workflows)
    ],
    server: ServerOption = None,
    kind: Annotated[
        GraphFormat, typer.Option("--format", "-f", help="A tree, Mermaid, or both as JSON.")
    ] = GraphFormat.text,
    config: ConfigOption = None,
) -> None:
    """Draw a workflow's tasks and transitions."""
    # The files are enough; a server is only asked if it is named, or if no files exist.
    options = ProjectOptions(context=context, server=server, config=config)
    if server or not _has_files(options.config_file):
        from compozy.cli.find import look, search_for

        found = look(search_for(options, lambda client: client.get("workflows", workflow_id)))
        if found is not None:
            print_graph(found.client.get("workflows", workflow_id, "graph"), kind)
            return
    from compozy.cli.context import open_valid_workflows
    from compozy.workflow.graph import graph_document

    project = open_valid_workflows(options, workflow_id=workflow_id)
    print_graph(graph_document(project.workflow(workflow_id).config), kind)


def _has_files(config: Path | None) -> bool:
    from compozy.cli.find import current_folder, has_project

    return has_project(config, cwd=current_folder(), environ=os.environ)


@workflow_app.command("get")
@on_project(server=True, output=True)
def get_command(
    options: ProjectOptions,
    execution_id: ExecutionArgument,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end; continue it if no process executes it.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the prompt and answer of each model request.")
    ] = False,
) -> int:
    """Show an execution and its tasks."""
    from compozy.cli.find import look, search_for
    from compozy.cli.remote import show_remote_execution
    from compozy.cli.remote_ids import read_execution

    quiet, as_json = options.quiet, options.as_json
    search = search_for(options, lambda client: read_execution(client, execution_id))
    if (found := look(search)) is not None:
        return show_remote_execution(found, execution_id, wait=wait, verbose=verbose, as_json=as_json, quiet=quiet)
    from compozy.cli.context import open_settings
    from compozy.cli.executions import show_execution

    project = open_settings(options)
    return show_execution(project, execution_id, wait=wait, verbose=verbose, as_json=as_json, quiet=quiet)
