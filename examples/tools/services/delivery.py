"""An MCP server of a delivery service, written with the official SDK."""

from __future__ import annotations

from typing import Literal

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("delivery", log_level="ERROR")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def delivery_time(item: Literal["lamp", "chair"]) -> dict[str, object]:
    """Find how many days the delivery of an item takes."""
    return {"item": item, "days": 2 if item == "lamp" else 9}


server.run()
