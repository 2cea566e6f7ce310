"""All kinds of tools. A new kind is one import and one entry here."""

from __future__ import annotations

from compozy.tool.kind import TOOL_KINDS, ToolKind, approval_of, effect_of, kind_of, new_tool, register
from compozy.tool.kinds import python

register(python.KIND)

__all__ = ["TOOL_KINDS", "ToolKind", "approval_of", "effect_of", "kind_of", "new_tool", "register"]
