"""The MCP servers that the files of a project define, used or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from compozy.config.nodes import to_value
from compozy.errors import NotFoundError
from compozy.nearest import suggest
from compozy.outbound.rules import show_url
from compozy.project.loaded import LoadedProject
from compozy.project.outline import id_place
from compozy.project.resource_kinds import MCP
from compozy.task.walk import walk_tasks
from compozy.tool.mcp.config import McpConfig, ToolAndServerUse


@dataclass(frozen=True, kw_only=True)
class DefinedServer:
    """A server, and where it is written."""

    config: McpConfig
    location: str

    @property
    def target(self) -> str:
        """Its program or its URL, as they are written: without the values of variables."""
        return self.config.command or show_url(self.config.url or "")


def named_servers(project: LoadedProject, server_id: str) -> list[DefinedServer]:
    """Return the servers with an ID: agents can define several.

    Raises:
        NotFoundError: there is none.
    """
    servers = defined_servers(project)
    found = [server for server in servers if server.config.id == server_id]
    if not found:
        known = [server.config.id for server in servers]
        hint = suggest(server_id, known) or f"the servers are: {', '.join(known) or 'none'}"
        raise NotFoundError(f"no MCP server {server_id!r} in project {project.name!r}", hint=hint)
    return found


def defined_servers(project: LoadedProject) -> list[DefinedServer]:
    """Return the servers of the project, of its workflows and of their agents, each once."""
    found: dict[str, DefinedServer] = {}
    for server in (*_shared(project), *_used(project)):
        found.setdefault(server.config.model_dump_json(exclude={"name", "description"}), server)
    return list(found.values())


def _shared(project: LoadedProject) -> Iterator[DefinedServer]:
    for resource in project.resources:
        if resource.kind is not MCP:
            continue
        values = {key: value for key, value in to_value(resource.node).items() if key != "resource"}
        try:
            config = McpConfig.model_validate(values)
        except ValidationError:
            # Reported when the project was checked; a server that is faulty is not started.
            continue
        yield DefinedServer(config=config, location=str(id_place(resource.node)))


def _used(project: LoadedProject) -> Iterator[DefinedServer]:
    for workflow in project.workflows.values():
        for planned in walk_tasks(workflow.config.tasks):
            for use in (planned.task, getattr(planned.task, "agent", None)):
                for server in (use.mcps or ()) if isinstance(use, ToolAndServerUse) else ():
                    yield DefinedServer(config=server, location=str(workflow.locate(planned.yaml_path)))
