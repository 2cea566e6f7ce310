"""Sources of tools: an entry of a project that offers one tool, or a server that offers several."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from compozy.tool.config import ToolConfig
from compozy.tool.kind import Tool, ToolHome, ToolSpec
from compozy.tool.registry import new_tool
from compozy.tool.source_file import find_function


class ToolSource(Protocol):
    """Where tools of a task come from. A run records what is offered, and never lists the tools of a source again."""

    @property
    def name(self) -> str:
        """Return the value of `ToolSpec.source` of its tools."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return JSON that decides what tools are offered, as far as it is known before the source is asked."""
        ...

    async def list_tools(self) -> Sequence[ToolSpec]:
        """Return the tools that are offered.

        Raises:
            ToolError: they cannot be used; the message says why.
        """
        ...

    def config_of(self, spec: ToolSpec, /) -> ToolConfig:
        """Return how a tool is called: its time limit, its approval, and what an unknown outcome means."""
        ...

    def new_tool(self, spec: ToolSpec, /) -> Tool:
        """Return a tool, ready to be called."""
        ...


@dataclass(frozen=True, kw_only=True)
class SingleTool:
    """A source of one tool, which its configuration describes."""

    config: ToolConfig
    home: ToolHome

    @property
    def name(self) -> str:
        """Return the ID of the tool."""
        return self.config.id

    def describe(self) -> Mapping[str, Any]:
        """Return how the tool is configured, and a hash of its file."""
        config = self.config.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if self.config.run is None:
            return {"config": config}
        path, _ = find_function(self.config, self.home)
        return {"config": config, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    async def list_tools(self) -> Sequence[ToolSpec]:
        """Return the description of the tool."""
        return [await new_tool(self.config, self.home).describe()]

    def config_of(self, _: ToolSpec, /) -> ToolConfig:
        """Return the configuration of the tool."""
        return self.config

    def new_tool(self, _: ToolSpec, /) -> Tool:
        """Return the tool, ready to be called."""
        return new_tool(self.config, self.home)
