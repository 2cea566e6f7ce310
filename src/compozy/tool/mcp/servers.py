"""The MCP servers of a process: one connection for each, opened when it is first used. Loads no library of MCP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from compozy.errors import ToolError
from compozy.installation import extra_hint
from compozy.tool.mcp.config import McpConfig

if TYPE_CHECKING:
    from compozy.tool.mcp.connection import Connection

# Keys that a connection depends on; the other keys select the offered tools and how they are called.
_CONNECTION_KEYS = frozenset(
    {"id", "transport", "command", "args", "env", "cwd", "url", "headers", "auth", "proto", "start_timeout"}
)


@dataclass(frozen=True, kw_only=True)
class ServerHome:
    """The settings of the project that connections use.

    Attributes:
        root: the folder of the project.
        environ: the environment, with `.env` merged in; a server gets only the variables that it names.
        private_hosts: hosts whose addresses can be private.
    """

    root: Path
    environ: Mapping[str, str] = field(repr=False)
    private_hosts: frozenset[str] = frozenset()


class McpServers:
    """The servers that the files of a project define, and their connections.

    Args:
        defined: all servers in the files of the project.
        home: what connections know of the project.
    """

    def __init__(self, defined: Iterable[McpConfig], home: ServerHome) -> None:
        self._defined = {_identity(config): config for config in defined}
        self._home = home
        self._connections: dict[str, Connection] = {}
        self._loading = asyncio.Lock()

    async def connect(self, config: McpConfig) -> Connection:
        """Return the connection to a server, which opens when it is used.

        A run keeps the definition of its tools; the program or address of a server is that of the project's files now.

        Raises:
            ToolError: the files do not define the server, a variable is not set, or a package is not installed.
        """
        config = self._current(config)
        key = _identity(config)
        async with self._loading:
            if key not in self._connections:
                if find_spec("mcp") is None:
                    message = f"MCP server {config.id!r} needs the package mcp, which is not installed"
                    raise ToolError(message, hint=extra_hint("mcp"), details={"server": config.id})
                module = await asyncio.to_thread(import_module, "compozy.tool.mcp.open")
                open_server = cast("Callable[[McpConfig, ServerHome], Connection]", module.open_server)
                self._connections[key] = open_server(config, self._home)
            return self._connections[key]

    def _current(self, config: McpConfig) -> McpConfig:
        """Return the server as the files define it.

        Raises:
            ToolError: they do not.
        """
        if _identity(config) in self._defined:
            return config
        same = [found for found in self._defined.values() if found.id == config.id]
        if len(same) == 1:
            return same[0]
        message = f"MCP server {config.id!r} of this execution is not defined in the files of the project"
        raise ToolError(
            message,
            hint="define it as it was, and resume the execution; servers are started only if a file defines them",
            details={"server": config.id},
        )

    async def aclose(self) -> None:
        """Close all connections and end the servers that were started."""
        await asyncio.gather(*(connection.aclose() for connection in self._connections.values()))


def _identity(config: McpConfig) -> str:
    """Return a text that is equal for servers with equal connections."""
    return json.dumps(config.model_dump(mode="json", include=set(_CONNECTION_KEYS)), sort_keys=True)
