"""MCP servers as they are written: a file in `mcps/`, an item of a list `mcps`, or a server that an agent names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from compozy.config.duration import TimeLimitS
from compozy.config.reference import OrId
from compozy.config.settings import Approval, ApprovalRule, Section
from compozy.filepatterns import matches_name
from compozy.tool.config import TOOL_ID_PATTERN, Effect, OnUnknown, ToolUse

PREFIX_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,31}$"
PROTOCOL_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
"""Versions of the protocol that the SDK knows; sessions of all but the last begin with a handshake."""
Transport = Literal["stdio", "streamable-http", "sse"]


class ClientCredentials(Section):
    """`auth:`, authentication with a token (OAuth 2 client credentials)."""

    type: Literal["client_credentials"] = Field(default="client_credentials", description="Type of the token request.")
    token_url: str = Field(min_length=1, description="URL of the token endpoint.")
    client_id: str = Field(min_length=1, description="ID of the client; `${VAR}` reads a variable.")
    client_secret: str = Field(min_length=1, description="Secret of the client: `${VAR}` of the environment or `.env`.")
    scope: str | None = Field(default=None, min_length=1, description="Scopes, separated by spaces.")


class McpTools(Section):
    """`tools:` of a server, the tools to offer, with their effects and approvals."""

    include: tuple[str, ...] | None = Field(
        default=None, description="Names of the tools to offer; `*` matches any text. Default: all."
    )
    exclude: tuple[str, ...] = Field(default=(), description="Names of tools to exclude, in the form of `include`.")
    effect: dict[str, Effect] = Field(
        default_factory=dict[str, Effect],
        description="Effect by tool name, in the form of `include`; the first match counts. Default: `once`.",
    )
    approve: dict[str, Approval | ApprovalRule] = Field(
        default_factory=dict[str, Approval | ApprovalRule],
        description="Approval by tool name, in the form of `include`; the first match counts. Default: "
        "`approve` of the server.",
    )
    trust_annotations: bool = Field(
        default=False,
        description="Whether to use the effect that the server reports for a tool (`readOnlyHint`, "
        "`idempotentHint`), unless `effect` names it.",
    )

    def is_offered(self, name: str) -> bool:
        """Return whether a tool of the server is offered."""
        is_included = self.include is None or any(matches_name(pattern, name) for pattern in self.include)
        return is_included and not any(matches_name(pattern, name) for pattern in self.exclude)

    def effect_of(self, name: str) -> Effect | None:
        """Return the effect that is written for a tool, None if none is."""
        return next((effect for pattern, effect in self.effect.items() if matches_name(pattern, name)), None)

    def approval_of(self, name: str) -> Approval | ApprovalRule | None:
        """Return the approval that is written for a tool, None if none is."""
        return next((rule for pattern, rule in self.approve.items() if matches_name(pattern, name)), None)


class McpConfig(Section):
    """An MCP server: how it is started or reached, and which of its tools are offered."""

    id: str = Field(pattern=TOOL_ID_PATTERN, description="Name of the server.")
    name: str | None = Field(default=None, description="Title, for people.")
    description: str | None = Field(default=None, description="For people.")
    transport: Transport | None = Field(
        default=None,
        description="`stdio` (default with `command`), `streamable-http` (default with `url`), or `sse` for older "
        "servers.",
    )
    command: str | None = Field(
        default=None,
        min_length=1,
        description="Program to start, with its arguments; a shell does not interpret it.",
    )
    args: tuple[str, ...] = Field(default=(), description="Further arguments of the program.")
    env: dict[str, str] | None = Field(
        default=None, description="Variables of the process: values, or `${VAR}` of the environment or `.env`."
    )
    cwd: str | None = Field(
        default=None, min_length=1, description="Working directory of the process. Default: the project folder."
    )
    url: str | None = Field(default=None, min_length=1, description="URL of the server; `${VAR}` reads a variable.")
    headers: dict[str, str] = Field(
        default_factory=dict[str, str], description="Headers of its requests: values, or `${VAR}`."
    )
    auth: ClientCredentials | None = Field(default=None, description="Authentication at the server.")
    proto: str | None = Field(
        default=None,
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="Protocol version. Default: the newest version that the server supports.",
    )
    start_timeout: TimeLimitS = Field(default=10.0, description="Time limit of the connection.")
    timeout: TimeLimitS | None = Field(
        default=None, description="Time limit of a call. Default: `runtime.tool_execution_timeout`."
    )
    prefix: str | None = Field(
        default=None,
        pattern=PREFIX_PATTERN,
        description="Prefix of the tool names. Default: the ID and `__`.",
    )
    tools: McpTools = Field(default=McpTools(), description="Tools to offer to the model.")
    approve: Approval | ApprovalRule | None = Field(
        default=None, description="Whether a person approves calls: `never`, `ask`, `deny`, or a map with a condition."
    )
    on_unknown: OnUnknown = Field(
        default="tell", description="With `effect: once`: report an unknown outcome to the model, or fail the task."
    )

    @property
    def kind(self) -> Transport:
        """How the server is reached."""
        return self.transport or ("stdio" if self.command is not None else "streamable-http")

    @property
    def tool_prefix(self) -> str:
        """The prefix of the names of its tools."""
        return self.prefix if self.prefix is not None else f"{self.id}__"


class McpResource(McpConfig):
    """A shared MCP server: a file in `mcps/`, or an item of `mcps` in compozy.yaml or in a workflow."""

    resource: Literal["mcp"] = Field(default="mcp", description="Kind of file, for files that `autoload` finds.")


class ToolAndServerUse(ToolUse):
    """Tool settings of an agent or a task, including those for MCP servers."""

    mcps: tuple[Annotated[McpConfig, OrId("a shared MCP server")], ...] | None = Field(
        default=None,
        description="MCP servers whose tools the model can call: IDs, or maps. Default: those of the workflow.",
    )

    @field_validator("mcps")
    @classmethod
    def _check_servers(cls, mcps: tuple[McpConfig, ...] | None) -> tuple[McpConfig, ...] | None:
        """Refuse two servers of one ID."""
        seen: set[str] = set()
        for server in mcps or ():
            if server.id in seen:
                raise ValueError(f"the MCP server {server.id!r} is listed twice")
            seen.add(server.id)
        return mcps
