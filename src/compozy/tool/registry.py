"""All kinds of tools. A new kind is one import and one entry here."""

from __future__ import annotations

from compozy.tool.kind import (
    TOOL_KINDS,
    ToolKind,
    approval_of,
    effect_of,
    effect_of_call,
    kind_of,
    new_tool,
    register,
    runs_tasks,
)
from compozy.tool.kinds import built_in, http, python, typescript

register(built_in.KIND, http.KIND, python.KIND, typescript.KIND)

__all__ = [
    "TOOL_KINDS",
    "ToolKind",
    "approval_of",
    "effect_of",
    "effect_of_call",
    "kind_of",
    "new_tool",
    "register",
    "runs_tasks",
]
