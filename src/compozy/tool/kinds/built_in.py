"""The tools that Compozy brings: their IDs begin with `cp__`."""

from __future__ import annotations

from compozy.tool.config import Approval, Effect, ToolConfig
from compozy.tool.kind import ToolKind

READING = ("cp__read_file", "cp__list_dir", "cp__list_files", "cp__grep")
"""Tools that change nothing."""
WRITING = ("cp__write_file", "cp__delete_file")
BUILT_IN = (*READING, *WRITING)
"""IDs of all built-in tools."""


def _effect(tool: ToolConfig) -> Effect:
    return "read" if tool.id in READING else "retry"


def _approve(tool: ToolConfig) -> Approval:
    return "ask" if tool.id in WRITING else "never"


KIND = ToolKind(
    name="built-in",
    module="compozy.tool.built_in",
    matches=lambda tool: tool.is_built_in and tool.run is None and tool.http is None,
    effect=_effect,
    approve=_approve,
)
