"""`compozy start | worker | ui | health`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compozy.cli.options import ConfigOption, Format, FormatOption, ProjectOptions, ServerOption, number, on_project
from compozy.cli.output import print_json, print_line, print_note
from compozy.errors import UsageError
from compozy.installation import own_command

if TYPE_CHECKING:
    from compozy.server.shutdown import Console

HostOption = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Address to listen on, instead of server.host.", show_default=False),
]
PortOption = Annotated[
    int | None,
    number(0, 65535, "--port", help="Port, instead of server.port; 0 selects a free one.", show_default=False),
]

ProcessesOption = Annotated[
    int | None,
    number(
        1, 64, "--processes", help="Server processes on PostgreSQL, instead of server.processes.", show_default=False
    ),
]

QueueOption = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        metavar="NAME",
        help="Execute only runs of this queue; can be repeated. Instead of runtime.queues.",
        show_default=False,
    ),
]


@on_project()
def start_command(
    options: ProjectOptions,
    host: HostOption = None,
    port: PortOption = None,
    processes: ProcessesOption = None,
    queue: QueueOption = None,
    until_stdin_ends: Annotated[
        bool, typer.Option("--until-stdin-ends", help="Stop when stdin closes, e.g. because the parent ended.")
    ] = False,
    allow_invalid: Annotated[
        bool, typer.Option("--allow-invalid", help="Start without the workflows that have errors.")
    ] = False,
) -> int:
    """Serve the project over HTTP and execute its runs."""
    from compozy.cli.context import open_project, open_quietly, open_valid_workflows
    from compozy.server.inherited import take_inherited
    from compozy.server.serve import serve

    inherited = take_inherited(os.environ)
    overrides = address_overrides(host, port) | processes_override(processes) | queue_override(queue)
    options = replace(options, more=overrides)
    console = _console(quiet=options.quiet)
    if inherited is not None:
        # The process that started this one has printed the warnings, and this one ends with it.
        project = open_quietly(options, is_tolerant=allow_invalid)
        return serve(project, console, with_stdin=True, inherited=inherited)
    project = (open_valid_workflows if allow_invalid else open_project)(options)
    if project.server.processes > 1:
        from compozy.server.processes import serve_processes

        command = [*own_command(), *sys.argv[1:]]
        return serve_processes(project, console, command=command, with_stdin=until_stdin_ends)
    return serve(project, console, with_stdin=until_stdin_ends)


@on_project()
def worker_command(
    options: ProjectOptions,
    port: Annotated[
        int | None,
        number(0, 65535, "--port", help="Port for probes and metrics; 0 selects a free one.", show_default=False),
    ] = None,
    host: HostOption = None,
    queue: QueueOption = None,
) -> int:
    """Execute runs without an HTTP API.

    With --port, it answers /healthz and /readyz, and serves metrics if monitoring.enabled.
    """
    from compozy.cli.context import open_tolerant
    from compozy.server.worker import work

    if host is not None and port is None:
        raise UsageError("--host requires --port")
    overrides = address_overrides(host, port) | queue_override(queue)
    project = open_tolerant(replace(options, more=overrides))
    return work(project, _console(quiet=options.quiet), with_port=port is not None)


@on_project(server=True)
def ui_command(
    options: ProjectOptions,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address without opening a browser.")] = False,
) -> None:
    """Open the web page of the project's server.

    It prints the address; on a machine without a browser, open it elsewhere.
    """
    import webbrowser

    from compozy.cli.find import look, search_for
    from compozy.errors import ServerError

    found = look(replace(search_for(options), quiet=True))
    if found is None:
        raise ServerError("no server of this project runs", hint="start it with `compozy start`")
    address = f"{found.client.url}/ui/"
    print_line(address)
    if not no_open:
        webbrowser.open(address)


def health_command(
    context: typer.Context,
    server: ServerOption = None,
    output: FormatOption = Format.text,
    config: ConfigOption = None,
) -> None:
    """Check whether the project's server is ready."""
    from compozy.cli.find import look, search_for
    from compozy.errors import ServerError

    options = ProjectOptions(context=context, server=server, output=output, config=config)
    found = look(replace(search_for(options), quiet=True))
    if found is None:
        raise ServerError("no server of this project runs", hint="start it with `compozy start`")
    found.client.request("GET", "/readyz")
    project = found.project
    if options.as_json:
        print_json({"status": "ready", "url": found.client.url, "project": project})
        return
    print_line(f"The server at {found.client.url} is ready: project {project['name']!r}")


def queue_override(queues: list[str] | None) -> dict[str, tuple[Any, str]]:
    """Return the setting that `--queue` replaces."""
    return {"runtime.queues": (queues, "--queue")} if queues else {}


def processes_override(processes: int | None) -> dict[str, tuple[Any, str]]:
    """Return the setting that `--processes` replaces."""
    return {} if processes is None else {"server.processes": (processes, "--processes")}


def address_overrides(host: str | None, port: int | None) -> dict[str, tuple[Any, str]]:
    """Return the settings that `--host` and `--port` replace."""
    given: dict[str, tuple[Any, str]] = {}
    if host is not None:
        given["server.host"] = (host, "--host")
    if port is not None:
        given["server.port"] = (port, "--port")
    return given


def _console(*, quiet: bool) -> Console:
    from compozy.server.shutdown import Console

    def line(text: str) -> None:
        print_line(text)
        # Read by programs that wait for it, through a pipe.
        sys.stdout.flush()

    def note(text: str) -> None:
        if not quiet:
            print_note(text)

    return Console(line=line, note=note)
