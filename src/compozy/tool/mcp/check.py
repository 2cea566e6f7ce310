"""Connects to a server and describes it, for setup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compozy.errors import ToolError
from compozy.tool.kind import ToolSpec
from compozy.tool.mcp.config import McpConfig
from compozy.tool.mcp.servers import McpServers
from compozy.tool.mcp.tools import McpSource


@dataclass(frozen=True, kw_only=True)
class CheckedServer:
    """A server that was connected to.

    Attributes:
        title: what it calls itself, with its version.
        protocol: negotiated version of the protocol.
        tools: those that would be offered.
        error: why it cannot be used, None if it can.
    """

    id: str
    title: str = ""
    protocol: str = ""
    tools: Sequence[ToolSpec] = ()
    error: ToolError | None = None


async def check_servers(configs: Sequence[McpConfig], servers: McpServers) -> list[CheckedServer]:
    """Connect to servers one after another, and return what was found. No tool is called."""
    try:
        return [await _check(config, servers) for config in configs]
    finally:
        await servers.aclose()


async def _check(config: McpConfig, servers: McpServers) -> CheckedServer:
    try:
        tools = await McpSource(config, servers).list_tools()
        connection = await servers.connect(config)
    except ToolError as error:
        return CheckedServer(id=config.id, error=error)
    return CheckedServer(id=config.id, title=connection.title, protocol=connection.protocol_version, tools=tools)
