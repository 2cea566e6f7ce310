"""`compozy chat`: a conversation in the terminal with a workflow that has a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.complete import complete_workflows
from compozy.cli.options import InputOption, ProjectOptions, WaitForLockOption, on_project
from compozy.errors import DatabaseOwnedError

if TYPE_CHECKING:
    from compozy.cli.chat_loop import ChatRequest

_DEFAULT_WAIT_FOR_LOCK = "30s"


@on_project(server=True, output=True)
def chat_command(
    options: ProjectOptions,
    workflow_id: Annotated[
        str, typer.Argument(metavar="WORKFLOW", help="Workflow ID.", autocompletion=complete_workflows)
    ],
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="TEXT", help="Value that names the conversation.", show_default=False),
    ] = None,
    given: InputOption = None,
    message: Annotated[
        str | None,
        typer.Option("--message", metavar="NAME", help="Name of the input for messages.", show_default=False),
    ] = None,
    wait_for_lock: WaitForLockOption = _DEFAULT_WAIT_FOR_LOCK,
) -> int:
    """Talk to a workflow that remembers.

    Each line of standard input is a message, and starts a run.
    """
    from compozy.cli.arguments import duration_flag, read_inputs
    from compozy.cli.chat_loop import ChatRequest

    request = ChatRequest(
        workflow_id=workflow_id,
        given=read_inputs(given),
        key=key,
        message=message,
        wait_for_lock_s=duration_flag("--wait-for-lock", wait_for_lock),
        quiet=options.quiet,
        as_json=options.as_json,
    )
    return _talk(options, request)


def _talk(options: ProjectOptions, request: ChatRequest) -> int:
    from compozy.cli.chat_loop import talk
    from compozy.cli.find import look, search_for

    search = search_for(options, lambda client: client.get("workflows", request.workflow_id))
    found = look(search)
    if found is None:
        from compozy.cli.chat_here import chatting_here
        from compozy.cli.context import open_valid_workflows

        project = open_valid_workflows(options, workflow_id=request.workflow_id)
        try:
            with chatting_here(project, request) as runs:
                return talk(runs, request)
        except DatabaseOwnedError as error:
            # A server of this project started in between and owns the file.
            if (found := look(search)) is None:
                raise error from None
    from compozy.cli.chat_remote import ChatThere

    return talk(ChatThere(found.client, request), request)
