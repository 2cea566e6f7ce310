"""`compozy workflow cancel | pause | resume | signal | approve | rerun`: commands on existing runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, WaitForLockOption, on_project
from compozy.cli.remote_ids import read_execution
from compozy.cli.workflow import DEFAULT_WAIT_FOR_LOCK, ExecutionArgument, LabelOption, run_somewhere, workflow_app

if TYPE_CHECKING:
    from compozy.cli.verbs import AnyVerb

_Payload = typer.Option(
    "--payload",
    "-p",
    metavar="JSON",
    help="Payload of the signal: JSON, @FILE, or - for stdin.",
    show_default=False,
)
_Answer = typer.Option("--input", "-i", metavar="JSON", help="Answer: JSON, @FILE, or - for stdin.", show_default=False)


@workflow_app.command("cancel")
@on_project(server=True, output=True)
def cancel_command(
    options: ProjectOptions,
    execution_id: ExecutionArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Error message of the execution.")
    ] = "canceled",
) -> int:
    """Cancel an execution.

    Running model requests are aborted.
    """
    from compozy.cli.verbs import Cancel

    return _do(options, Cancel(execution_id, reason=reason))


@workflow_app.command("pause")
@on_project(server=True, output=True)
def pause_command(
    options: ProjectOptions,
    execution_id: ExecutionArgument,
) -> int:
    """Pause an execution after its running tasks finish."""
    from compozy.cli.verbs import Pause

    return _do(options, Pause(execution_id))


@workflow_app.command("resume")
@on_project(server=True, output=True)
def resume_command(
    options: ProjectOptions,
    execution_id: ExecutionArgument,
) -> int:
    """Resume a paused execution."""
    from compozy.cli.verbs import Resume

    return _do(options, Resume(execution_id))


@workflow_app.command("signal")
@on_project(server=True, output=True)
def signal_command(
    options: ProjectOptions,
    execution_id: ExecutionArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the signal.")],
    payload: Annotated[str | None, _Payload] = None,
    signal_id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Signal ID; a signal that is sent twice counts once.", show_default=False
        ),
    ] = None,
) -> int:
    """Send a signal to an execution.

    The signal is kept until a task waits for it.
    """
    from compozy.cli.arguments import read_input
    from compozy.cli.verbs import SendSignal

    verb = SendSignal(execution_id, name=name, payload=read_input(payload, "--payload"), signal_id=signal_id)
    return _do(options, verb)


@workflow_app.command("approve")
@on_project(server=True, output=True)
def approve_command(
    options: ProjectOptions,
    execution_id: ExecutionArgument,
    given: Annotated[str | None, _Answer] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="Task to answer if several are waiting.", show_default=False),
    ] = None,
    add_cost: Annotated[
        float | None, typer.Option("--add-cost", metavar="DOLLARS", help="Add to a spent budget.", show_default=False)
    ] = None,
    add_tokens: Annotated[
        int | None, typer.Option("--add-tokens", metavar="N", help="Add tokens to a budget.", show_default=False)
    ] = None,
    add_requests: Annotated[
        int | None, typer.Option("--add-requests", metavar="N", help="Add model requests.", show_default=False)
    ] = None,
    add_tool_calls: Annotated[
        int | None, typer.Option("--add-tool-calls", metavar="N", help="Add tool calls.", show_default=False)
    ] = None,
    deny: Annotated[bool, typer.Option("--deny", help="Deny the request.")] = False,
) -> int:
    """Answer a form, a tool call or a spent budget.

    `--add-cost` and the other `--add-` options raise a budget that is spent.
    """
    from compozy.cli.arguments import read_input
    from compozy.cli.verbs import Approve
    from compozy.errors import UsageError

    added = {"cost": add_cost, "tokens": add_tokens, "requests": add_requests, "tool_calls": add_tool_calls}
    raised = {f"add_{name}": value for name, value in added.items() if value is not None}
    if (deny or raised) and (given is not None or (deny and raised)):
        raise UsageError("--input, --deny and --add-... exclude one another")
    answer = {"approve": not deny, **raised} if deny or raised else read_input(given)
    return _do(options, Approve(execution_id, given=answer, task=task))


@workflow_app.command("rerun")
@on_project(server=True, output=True)
def rerun_command(
    options: ProjectOptions,
    execution_id: ExecutionArgument,
    from_task: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TASK", help="Start with this task; keep the results of earlier ones.", show_default=False
        ),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="JSON",
            help="New input: a JSON object, @FILE, or - for stdin.",
            show_default=False,
        ),
    ] = None,
    new_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="ID of the new execution.", show_default=False)
    ] = None,
    label: LabelOption = None,
    wait_for_lock: WaitForLockOption = DEFAULT_WAIT_FOR_LOCK,
) -> int:
    """Repeat an execution from the task that failed.

    Uses the current workflow file. Results of earlier tasks are reused and cost nothing.
    """
    from compozy.cli.arguments import RunRequest, duration_flag, read_input, read_labels
    from compozy.cli.find import search_for

    request = RunRequest(
        workflow_id="",
        given=read_input(given),
        execution_id=new_id,
        timeout_s=None,
        wait_for_lock_s=duration_flag("--wait-for-lock", wait_for_lock),
        quiet=options.quiet,
        as_json=options.as_json,
        repeats=execution_id,
        from_task=from_task,
        labels=read_labels(label),
    )
    search = search_for(options, lambda client: read_execution(client, execution_id))
    return run_somewhere(options, search, request)


def _do(options: ProjectOptions, verb: AnyVerb) -> int:
    """Apply the command on the project's server, or in this process."""
    from compozy.cli.find import look, search_for

    search = search_for(options, lambda client: read_execution(client, verb.execution_id))
    if (found := look(search)) is not None:
        verb = replace(verb, execution_id=read_execution(found.client, verb.execution_id)["execution_id"])
        return verb.show(verb.ask(found.client), as_json=options.as_json)
    from compozy.cli.context import open_settings
    from compozy.cli.operate import do_here

    return verb.show(do_here(open_settings(options), verb), as_json=options.as_json)
