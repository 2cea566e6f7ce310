"""`compozy mcp list | check | serve`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compozy.cli.options import ProjectOptions, on_project
from compozy.cli.output import print_error, print_json, print_line, print_note, print_table

if TYPE_CHECKING:
    from compozy.project.servers import DefinedServer
    from compozy.tool.mcp.check import CheckedServer

mcp_app = typer.Typer(help="Check MCP servers and serve workflows over MCP.", no_args_is_help=True)


@mcp_app.command("list")
@on_project(output=True)
def list_command(options: ProjectOptions) -> None:
    """List the MCP servers of the project."""
    from compozy.cli.context import open_tolerant
    from compozy.project.servers import defined_servers

    servers = defined_servers(open_tolerant(options))
    if options.as_json:
        print_json({"servers": [_document_of(server) for server in servers]})
        return
    if not servers:
        print_note("The project has no MCP servers.")
        return
    rows = [(server.config.id, server.config.kind, server.target, server.location) for server in servers]
    print_table(("ID", "TRANSPORT", "TARGET", "LOCATION"), rows)


@mcp_app.command("check")
@on_project(output=True)
def check_command(
    options: ProjectOptions,
    server: Annotated[
        str | None, typer.Argument(metavar="ID", help="MCP server. Default: all.", show_default=False)
    ] = None,
) -> int:
    """Connect to MCP servers and list their tools."""
    import asyncio

    from compozy.cli.context import open_tolerant
    from compozy.parts import servers_of
    from compozy.project.servers import defined_servers, named_servers
    from compozy.tool.mcp.check import check_servers

    project = open_tolerant(options)
    chosen = defined_servers(project) if server is None else named_servers(project, server)
    checked = asyncio.run(check_servers([each.config for each in chosen], servers_of(project)))
    if options.as_json:
        print_json({"servers": [_checked_document(each) for each in checked]})
    else:
        for each in checked:
            _print_checked(each)
        if not checked:
            print_note("The project has no MCP servers.")
    return next((each.error.exit_status for each in checked if each.error is not None), 0)


@mcp_app.command("serve")
@on_project(server=True)
def serve_command(options: ProjectOptions) -> int:
    """Serve the workflows as MCP tools over stdio."""
    from compozy.cli.context import open_project
    from compozy.cli.find import look, search_for
    from compozy.errors import UsageError
    from compozy.server.entry import check_packages
    from compozy.server.mcp.offers import offers_of

    project = open_project(options)
    if not offers_of(project):
        raise UsageError(
            f"no workflow of project {project.name!r} is offered over MCP",
            hint="add `triggers: [{type: mcp}]` to a workflow",
        )
    check_packages(project)
    from compozy.cli.stdio import serve_alone, serve_for

    found = look(replace(search_for(options), quiet=True))
    return serve_alone(options) if found is None else serve_for(found, project, options)


def _print_checked(server: CheckedServer) -> None:
    if server.error is not None:
        print_error(server.error, as_json=False)
        return
    count = len(server.tools)
    title = f"{server.title}, " if server.title else ""
    print_line(f"{server.id}: {title}protocol {server.protocol}, {count} tool{'s' if count != 1 else ''}")
    print_table(("TOOL", "EFFECT"), [(tool.name, tool.effect) for tool in server.tools])


def _document_of(server: DefinedServer) -> dict[str, Any]:
    return {
        "id": server.config.id,
        "transport": server.config.kind,
        "target": server.target,
        "location": server.location,
    }


def _checked_document(server: CheckedServer) -> dict[str, Any]:
    return {
        "id": server.id,
        "title": server.title or None,
        "protocol": server.protocol or None,
        "tools": [{"name": tool.name, "remote": tool.remote, "effect": tool.effect} for tool in server.tools],
        "error": server.error.to_json() if server.error is not None else None,
    }
