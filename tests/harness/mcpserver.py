"""A real MCP server, written with the official SDK: `python mcpserver.py [LEDGER] [--http PORT]`.

Each call writes a line into the ledger: the tool, its idempotency key, and what it was called with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("orders", version="1.4", log_level="ERROR")
ledger: Path | None = Path(sys.argv[1]) if len(sys.argv) > 1 and not sys.argv[1].startswith("--") else None


def note(tool: str, context: Context[Any, Any], **given: Any) -> None:
    """Write a line into the ledger."""
    if ledger is not None:
        meta: Any = context.request_context.meta or {}
        line = json.dumps({"tool": tool, "key": meta.get("compozy/idempotencyKey"), **given})
        with ledger.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look_up(number: str, ctx: Context[Any, Any]) -> dict[str, Any]:
    """Find an order by its number."""
    note("look_up", ctx, number=number)
    return {"number": number, "state": "shipped"}


@server.tool()
def pay(amount: int, ctx: Context[Any, Any]) -> str:
    """Pay an amount."""
    note("pay", ctx, amount=amount)
    return f"paid {amount}"


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("no such order: A-1")


@server.tool()
def picture() -> Image:
    """Return a picture."""
    return Image(data=b"\x89PNG" * 100, format="png")


@server.tool(name="with.dots/and slashes")
def odd_name() -> str:
    """Have an odd name."""
    return "odd"


class Sure(BaseModel):
    """The question that is asked before something is deleted."""

    sure: bool
    reason: str = "none"


def ask(name: str) -> Elicit[Sure]:
    """Ask before something is deleted."""
    return Elicit(f"Delete {name}?", Sure)


@server.tool()
def delete(name: str, answer: Annotated[Sure, Resolve(ask)], ctx: Context[Any, Any]) -> str:
    """Delete something."""
    note("delete", ctx, name=name, sure=answer.sure)
    return f"deleted {name}: {answer.reason}" if answer.sure else "kept"


if __name__ == "__main__":
    if "--http" in sys.argv:
        server.run("streamable-http", port=int(sys.argv[sys.argv.index("--http") + 1]))
    else:
        server.run()
