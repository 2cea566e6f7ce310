"""The trigger of runs that a request starts."""

from __future__ import annotations

from fastapi import Request

from compozy.client import CLI_AGENT, MCP_AGENT
from compozy.database.trigger import Trigger, TriggerType

_TYPES = {CLI_AGENT: TriggerType.CLI, MCP_AGENT: TriggerType.MCP}


def trigger_of(request: Request) -> Trigger:
    """Return the trigger of the runs that a request starts: the API, or our client in `User-Agent`."""
    agent = request.headers.get("user-agent", "").partition("/")[0]
    return Trigger(type=_TYPES.get(agent, TriggerType.API))
