"""The tools that Compozy brings: their IDs begin with `cp__`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compozy.config.settings import Approval
from compozy.tool.built_in.specs import NESTING, SPECS, effect_of_call
from compozy.tool.config import Effect, ToolConfig
from compozy.tool.kind import ToolKind

BUILT_IN = tuple(SPECS)
"""IDs of all built-in tools."""


def _effect(tool: ToolConfig) -> Effect:
    return SPECS[tool.id].effect if tool.id in SPECS else "once"


def _effect_of_call(tool: ToolConfig, arguments: Mapping[str, Any]) -> Effect:
    return effect_of_call(tool.id, arguments)


def _approve(tool: ToolConfig) -> Approval:
    return SPECS[tool.id].approve if tool.id in SPECS else "ask"


KIND = ToolKind(
    name="built-in",
    module="compozy.tool.built_in.tool",
    matches=lambda tool: tool.is_built_in and tool.run is None and tool.http is None,
    effect=_effect,
    approve=_approve,
    effect_of_call=_effect_of_call,
    runs_tasks=lambda tool: tool.id in NESTING,
)
