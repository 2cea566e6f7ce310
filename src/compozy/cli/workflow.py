"""`compozy workflow ...`: run workflows, list them, look at their executions."""

from __future__ import annotations

from typing import Annotated

import typer

from compozy.cli.options import (
    ConfigOption,
    DriverOption,
    Format,
    FormatOption,
    PathOption,
    database_overrides,
    globals_of,
)

workflow_app = typer.Typer(help="Run workflows and look at their executions.", no_args_is_help=True)

DEFAULT_WAIT_FOR_LOCK = "30s"


@workflow_app.command("run")
def run_command(
    context: typer.Context,
    workflow_id: Annotated[str, typer.Argument(metavar="ID", help="Workflow to run.")],
    given: Annotated[
        str | None,
        typer.Option("--input", "-i", help="Input: a JSON object, @FILE, or - for stdin.", show_default=False),
    ] = None,
    execution_id: Annotated[
        str | None,
        typer.Option("--id", help="Id of the execution; asking again with it never runs twice.", show_default=False),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="End the run after this time, e.g. 90s.", show_default=False)
    ] = None,
    wait_for_lock: Annotated[
        str, typer.Option("--wait-for-lock", help="How long to wait for another process on the same SQLite file.")
    ] = DEFAULT_WAIT_FOR_LOCK,
    output: FormatOption = Format.text,
    config: ConfigOption = None,
    db_driver: DriverOption = None,
    db_path: PathOption = None,
) -> int:
    """Run a workflow to its end and print its result."""
    from compozy.cli.context import open_project
    from compozy.cli.run import RunRequest, duration_flag, read_input, run_workflow

    request = RunRequest(
        workflow_id=workflow_id,
        given=read_input(given),
        execution_id=execution_id,
        timeout_s=None if timeout is None else duration_flag("--timeout", timeout),
        wait_for_lock_s=duration_flag("--wait-for-lock", wait_for_lock),
        quiet=globals_of(context).quiet,
        as_json=output is Format.json,
    )
    project = open_project(context, config, database_overrides(db_driver, db_path))
    return run_workflow(project, request)


@workflow_app.command("list")
def list_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Latest executions to show.")] = 20,
    output: FormatOption = Format.text,
    config: ConfigOption = None,
    db_driver: DriverOption = None,
    db_path: PathOption = None,
) -> None:
    """List the project's workflows and their latest executions."""
    from compozy.cli.context import open_project
    from compozy.cli.executions import show_list

    show_list(
        open_project(context, config, database_overrides(db_driver, db_path)),
        limit=limit,
        as_json=output is Format.json,
    )


@workflow_app.command("get")
def get_command(
    context: typer.Context,
    execution_id: Annotated[str, typer.Argument(metavar="EXECUTION", help="Execution to show.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended, going on with it if need be.")] = False,
    output: FormatOption = Format.text,
    config: ConfigOption = None,
    db_driver: DriverOption = None,
    db_path: PathOption = None,
) -> int:
    """Show one execution and its tasks."""
    from compozy.cli.context import open_project
    from compozy.cli.executions import show_execution

    project = open_project(context, config, database_overrides(db_driver, db_path))
    return show_execution(
        project, execution_id, wait=wait, as_json=output is Format.json, quiet=globals_of(context).quiet
    )
