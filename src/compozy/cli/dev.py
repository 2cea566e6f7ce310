"""`compozy dev`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, globals_of, on_project
from compozy.cli.output import print_error, print_note
from compozy.cli.server import HostOption, PortOption, address_overrides
from compozy.errors import CompozyError, UsageError
from compozy.installation import own_command

if TYPE_CHECKING:
    from compozy.project.loaded import LoadedProject


@on_project()
def dev_command(
    options: ProjectOptions,
    host: HostOption = None,
    port: PortOption = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the web page when the server is ready.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Run tests, and affected ones when files change.")] = False,
) -> int:
    """Serve the project and reload changed files.

    Files with errors are reported, and the last valid version keeps serving.
    """
    from compozy.cli.context import open_project, project_folder
    from compozy.server.dev import DevServer, Reports

    if test and os.environ.get("CI"):
        raise UsageError("`--test` does not work if CI is set", hint="run `compozy test`")
    options = replace(options, more=address_overrides(host, port))

    def note(text: str) -> None:
        if not options.quiet:
            print_note(text)

    def error(found: CompozyError) -> None:
        print_error(found, as_json=False)

    def load() -> LoadedProject:
        # The command keeps the files that it has read.
        globals_of(options.context).files = None
        return open_project(options)

    server = DevServer(
        load=load,
        command=[*own_command(), *_arguments(options)],
        root=project_folder(options),
        reports=Reports(note=note, error=error),
        open_page=_open if open_page else None,
        tests=[*own_command(), *_test_arguments(options)] if test else (),
    )
    return server.run()


def _open(address: str) -> None:
    import webbrowser

    print_note(f"Web page: {address}")
    webbrowser.open(address)


def _arguments(options: ProjectOptions) -> Iterator[str]:
    """Yield the arguments of the server's command, without its port."""
    shared = globals_of(options.context)
    # One process is enough for one person, and starts sooner after each change.
    yield from ("start", "--until-stdin-ends", "--processes=1", f"--log-format={shared.log_format.value}")
    if shared.quiet:
        yield "--quiet"
    if shared.log_level is not None:
        yield f"--log-level={shared.log_level.value}"
    if options.config_file is not None:
        yield f"--config={options.config_file}"
    for key, flag in (("server.host", "--host"), ("database.driver", "--db-driver"), ("database.path", "--db-path")):
        if key in options.overrides:
            yield f"{flag}={options.overrides[key][0]}"


def _test_arguments(options: ProjectOptions) -> Iterator[str]:
    """Yield the arguments of the command that runs the tests."""
    yield from ("test", "--watch", "--until-stdin-ends")
    if options.config_file is not None:
        yield f"--config={options.config_file}"
