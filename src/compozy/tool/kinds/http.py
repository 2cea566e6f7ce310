"""A request to an HTTP API."""

from __future__ import annotations

from compozy.tool.config import Effect, ToolConfig
from compozy.tool.kind import ToolKind


def _effect(tool: ToolConfig) -> Effect:
    return "once" if tool.http is not None and tool.http.method in {"POST", "PATCH"} else "retry"


KIND = ToolKind(name="http", module="compozy.tool.http", matches=lambda tool: tool.http is not None, effect=_effect)
