"""A Python function in a file of the project."""

from __future__ import annotations

from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolKind

_RUNTIMES = ("python", "python-inprocess")


def _matches(tool: ToolConfig) -> bool:
    if tool.run is None:
        return False
    return tool.runtime in _RUNTIMES or (tool.runtime is None and tool.run.partition(":")[0].endswith(".py"))


KIND = ToolKind(name="python", module="compozy.tool.python", matches=_matches)
