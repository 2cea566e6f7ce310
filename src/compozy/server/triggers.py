"""The trigger of runs that a request starts."""

from __future__ import annotations

from fastapi import Request

from compozy.client import CLI_AGENT, MCP_AGENT
from compozy.database.trigger import Trigger, TriggerType
from compozy.server.gate import identity_of

_TYPES = {CLI_AGENT: TriggerType.CLI, MCP_AGENT: TriggerType.MCP}


def trigger_of(request: Request) -> Trigger:
    """Return the trigger of runs that a request starts: its sender, and the API or our client in `User-Agent`."""
    agent = request.headers.get("user-agent", "").partition("/")[0]
    return Trigger(type=_TYPES.get(agent, TriggerType.API), by=identity_of(request).known_name)
