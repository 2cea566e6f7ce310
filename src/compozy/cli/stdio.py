"""`compozy mcp serve`: one client over standard input and output, with the server of the project or as one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from compozy.cli.context import open_project
from compozy.cli.find import Found, look, search_for
from compozy.cli.options import ProjectOptions
from compozy.cli.output import print_note
from compozy.client import Client
from compozy.errors import CompozyError
from compozy.project.loaded import LoadedProject
from compozy.server.mcp.remote import RemoteRuns
from compozy.server.mcp.runs import OwnRuns
from compozy.server.mcp.stdio import claim_stdio, serve_stdio
from compozy.server.serve import serve
from compozy.server.service import Service
from compozy.server.shutdown import Console

# A server for one client, and for the commands and clients that find it by its database.
_OWN_ADDRESS = {"server.host": ("127.0.0.1", "mcp serve"), "server.port": (0, "mcp serve")}


def serve_for(found: Found, project: LoadedProject, options: ProjectOptions) -> int:
    """Serve the client with runs of a server, and return the exit status."""
    wires = claim_stdio()
    if not options.quiet:
        print_note(f"note: using the server at {found.client.url} (project {found.project['name']!r})")

    def find() -> Client | None:
        try:
            other = look(replace(search_for(options), quiet=True))
        except CompozyError:
            # The first error says more.
            return None
        return other.client if other is not None else None

    asyncio.run(serve_stdio(project, RemoteRuns(client=found.client, find=find), wires))
    return 0


def serve_alone(options: ProjectOptions) -> int:
    """Serve the client as a server of the project that executes its runs, and return the exit status."""
    wires = claim_stdio()
    project = open_project(replace(options, more={**options.more, **_OWN_ADDRESS}))

    async def serve_client(service: Service) -> None:
        await serve_stdio(project, OwnRuns(service=service), wires)

    def note(text: str) -> None:
        if not options.quiet:
            print_note(text)

    return serve(project, Console(line=note, note=note), beside=serve_client)
