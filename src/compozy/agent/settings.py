"""Settings of a task and its agent for tools and retries, merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from compozy.agent.config import CompactionConfig
from compozy.config.settings import Approval, ApprovalRule
from compozy.tool.config import ToolConfig, ToolUse
from compozy.tool.mcp.config import McpConfig, ToolAndServerUse

DEFAULT_ITERATIONS = 10
"""Model requests of one attempt of a task with tools."""
DEFAULT_REPAIRS = 2
"""How often a model is asked again when its answer does not match the schema."""
DEFAULT_CONCURRENT = 10


@dataclass(frozen=True, kw_only=True)
class ToolRules:
    """How a task may use tools.

    Attributes:
        tools: those of the task, and those of its agent that the task does not define itself.
        servers: the MCP servers, chosen in the same way.
        max_calls: limits by tool, and for all under `total`.
        tool_choice: what the first request says about tools.
        approvals: what task and agent say about calls of tools that say nothing themselves.
        compaction: when old turns are summarized, None for never.
    """

    tools: tuple[ToolConfig, ...] = ()
    servers: tuple[McpConfig, ...] = ()
    max_iterations: int = DEFAULT_ITERATIONS
    max_concurrent: int = DEFAULT_CONCURRENT
    max_calls: Mapping[str, int] = field(default_factory=dict[str, int])
    tool_choice: str = "auto"
    output_retries: int = DEFAULT_REPAIRS
    on_limit: Literal["fail", "answer"] = "fail"
    approvals: tuple[Approval | ApprovalRule, ...] = ()
    compaction: CompactionConfig | None = None

    @classmethod
    def of(cls, *uses: ToolUse | None) -> ToolRules:
        """Return the rules of a task and its agent; what comes first wins, setting by setting."""
        written = [use for use in uses if use is not None]
        tools: dict[str, ToolConfig] = {}
        servers: dict[str, McpConfig] = {}
        for use in written:
            for tool in use.tools or ():
                tools.setdefault(tool.id, tool)
            for server in (use.mcps or ()) if isinstance(use, ToolAndServerUse) else ():
                servers.setdefault(server.id, server)

        def first(name: str, default: Any) -> Any:
            values = (getattr(use, name, None) for use in written)
            return next((value for value in values if value is not None), default)

        limits = first("max_tool_calls", {})
        return cls(
            tools=tuple(tools.values()),
            servers=tuple(servers.values()),
            max_iterations=first("max_iterations", DEFAULT_ITERATIONS),
            max_concurrent=first("max_concurrent_tools", DEFAULT_CONCURRENT),
            max_calls={"total": limits} if isinstance(limits, int) else limits,
            tool_choice=first("tool_choice", "auto"),
            output_retries=first("output_retries", DEFAULT_REPAIRS),
            on_limit=first("on_limit", "fail"),
            compaction=first("compaction", None),
            approvals=tuple(use.approve for use in written if use.approve is not None),
        )
