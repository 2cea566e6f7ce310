"""The tools of an MCP server, as a source of tools. Loads no library of MCP before it is asked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from compozy.errors import ToolError
from compozy.schema import check_schema
from compozy.tool.config import BUILT_IN_PREFIX, Effect, ToolConfig
from compozy.tool.kind import Tool, ToolSpec
from compozy.tool.mcp.config import McpConfig
from compozy.tool.mcp.limits import MAX_DESCRIPTION, MAX_SCHEMA
from compozy.tool.mcp.servers import McpServers

if TYPE_CHECKING:
    from mcp_types import Tool as RemoteTool

    from compozy.tool.mcp.connection import Connection

KIND = "mcp"
_MAX_NAME = 64
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


class McpSource:
    """The tools of a server that a task offers."""

    def __init__(self, config: McpConfig, servers: McpServers) -> None:
        self._config = config
        self._servers = servers

    @property
    def name(self) -> str:
        """Return the name of the source: no ID of a tool contains a colon."""
        return f"mcp:{self._config.id}"

    def describe(self) -> Mapping[str, Any]:
        """Return which tools of the server are offered, and under what names."""
        return {"config": {"tools": self._config.tools.model_dump(mode="json"), "prefix": self._config.tool_prefix}}

    async def list_tools(self) -> Sequence[ToolSpec]:
        """Return the tools that the server has and the configuration offers.

        Raises:
            ToolError: the server cannot be reached, or a tool of it cannot be offered.
        """
        connection = await self._servers.connect(self._config)
        rules = self._config.tools
        found = [tool for tool in await _list(self._config, connection) if rules.is_offered(tool.name)]
        specs = [self._spec(tool) for tool in found]
        self._check_names(specs)
        return specs

    def _spec(self, tool: RemoteTool) -> ToolSpec:
        return ToolSpec(
            name=self._name_of(tool.name),
            description=(tool.description or tool.title or "")[:MAX_DESCRIPTION],
            schema=self._schema_of(tool),
            effect=self._effect_of(tool),
            kind=KIND,
            source=self.name,
            remote=tool.name,
        )

    def _name_of(self, remote: str) -> str:
        """Return a name that every provider accepts: letters, digits, `_` and `-`, at most 64."""
        name = _FOREIGN.sub("_", self._config.tool_prefix + remote)
        if len(name) <= _MAX_NAME:
            return name
        return f"{name[: _MAX_NAME - 9]}_{hashlib.sha256(remote.encode()).hexdigest()[:8]}"

    def _schema_of(self, tool: RemoteTool) -> dict[str, Any]:
        schema: dict[str, Any] = {"properties": {}, **tool.input_schema, "type": "object"}
        schema.pop("$schema", None)
        problems = check_schema(schema)
        if problems or len(json.dumps(schema)) > MAX_SCHEMA:
            words = problems[0].message if problems else f"larger than {MAX_SCHEMA // 1024} KiB"
            raise self._error(
                f"the input schema of its tool {tool.name!r} cannot be used: {words}",
                "leave the tool out with `tools: {exclude: [...]}`",
            )
        return schema

    def _effect_of(self, tool: RemoteTool) -> Effect:
        """Return what the project says; what the server says, if the project trusts it; else `once`."""
        written = self._config.tools.effect_of(tool.name)
        hints = tool.annotations
        if written is not None or hints is None or not self._config.tools.trust_annotations:
            return written or "once"
        if hints.read_only_hint:
            return "read"
        return "retry" if hints.idempotent_hint else "once"

    def _check_names(self, specs: Sequence[ToolSpec]) -> None:
        seen: dict[str, str | None] = {}
        for spec in specs:
            if spec.name.startswith(BUILT_IN_PREFIX):
                raise self._error(
                    f"its tool {spec.remote!r} would have the name {spec.name!r}, as built-in tools do",
                    "choose another `prefix`, or leave the tool out with `tools: {exclude: [...]}`",
                )
            if spec.name in seen:
                raise self._error(
                    f"its tools {seen[spec.name]!r} and {spec.remote!r} would both be {spec.name!r}",
                    "leave one of them out with `tools: {exclude: [...]}`",
                )
            seen[spec.name] = spec.remote

    def _error(self, words: str, hint: str) -> ToolError:
        return ToolError(f"MCP server {self._config.id!r}: {words}", hint=hint, details={"server": self._config.id})

    def config_of(self, spec: ToolSpec, /) -> ToolConfig:
        """Return how a tool of the server is called."""
        config = self._config
        return ToolConfig(
            id=spec.name,
            effect=spec.effect,
            on_unknown=config.on_unknown,
            timeout=config.timeout,
            approve=config.tools.approval_of(spec.remote or "") or config.approve,
        )

    def new_tool(self, spec: ToolSpec, /) -> Tool:
        """Return a tool of the server, ready to be called."""
        return import_module("compozy.tool.mcp.call").McpTool(spec, self._config, self._servers)


async def _list(config: McpConfig, connection: Connection) -> list[RemoteTool]:
    """Return all tools of a server; a connection that was lost meanwhile is opened again.

    Raises:
        ToolError: the server cannot be reached.
    """
    call = import_module("compozy.tool.mcp.call")
    return await call.list_tools(config, connection)
