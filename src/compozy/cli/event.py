"""`compozy event send`: start workflows with an event."""

from __future__ import annotations

from typing import Annotated

import typer

from compozy.cli.options import ProjectOptions, on_project

event_app = typer.Typer(help="Start workflows with events.", no_args_is_help=True)


@event_app.callback()
def events() -> None:
    """Start workflows with events."""


@event_app.command("send")
@on_project(server=True, output=True)
def send_command(
    options: ProjectOptions,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the event.")],
    payload: Annotated[
        str | None,
        typer.Option(
            "--payload", "-p", metavar="JSON", help="Payload: a JSON object, @FILE, or - for stdin.", show_default=False
        ),
    ] = None,
    event_id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Event ID; an event that is sent twice counts once.", show_default=False
        ),
    ] = None,
    wake: Annotated[bool, typer.Option("--wake", help="Also send it as a signal to waiting executions.")] = False,
) -> None:
    """Start every workflow that waits for an event.

    Requires a server.
    """
    from compozy.cli.arguments import read_input
    from compozy.cli.find import look, search_for
    from compozy.cli.output import print_json, print_line, print_note
    from compozy.errors import UsageError

    body = {"name": name, "payload": read_input(payload, "--payload"), "wake": wake}
    found = look(search_for(options))
    if found is None:
        raise UsageError(
            "an event needs a running server of the project",
            hint="run `compozy start`, or start a workflow with `compozy workflow run`",
        )
    sent = found.client.post("events", body=body if event_id is None else {**body, "id": event_id})
    if options.as_json:
        print_json(sent)
        return
    for run in sent["started"]:
        print_line(f"{run['workflow_id']}  {run['execution_id']}" + ("" if run["is_new"] else "  (started before)"))
    for run_id in sent["woken"]:
        print_line(f"signal sent to {run_id}")
    if not sent["started"] and not sent["woken"]:
        print_note(f"note: no workflow has a trigger for event {name!r}")
