"""Tools as they are written: a file in `tools/`, an item of a list `tools`, or a tool that an agent or a task names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, field_validator

from compozy.config.duration import TimeLimitS
from compozy.config.reference import OrId, OrPath, SchemaOrId
from compozy.config.settings import Approval, ApprovalRule, Section, ToolPermissions
from compozy.config.size import SizeB

TOOL_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
BUILT_IN_PREFIX = "cp__"
"""The prefix of the IDs of built-in tools, which no other ID has."""

Effect = Literal["read", "retry", "once"]
"""The handling of a call whose process ended before its result was recorded.

`read`: call again; it changes nothing. `retry`: call again with the same idempotency key. `once`: never call again.
"""
OnUnknown = Literal["tell", "fail"]
Runtime = Literal["python", "python-inprocess", "deno", "node", "bun"]


class HttpRequest(Section):
    """`http:`, the request that a tool sends. Its texts are templates that read `.input`, `.config` and `.env`."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="GET", description="Method of the request."
    )
    url: str = Field(min_length=1, description="URL; a template.")
    headers: dict[str, str] = Field(default_factory=dict[str, str], description="Headers; templates.")
    query: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="Parameters of the URL; templates. Empty ones are left out."
    )
    body: Any = Field(default=None, description="Body: a text, or a value that is sent as JSON; templates.")
    select: str | None = Field(
        default=None,
        min_length=1,
        description="CEL expression over `body`, `status` and `headers`; its value is the result.",
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="Allowed hosts of the URL and its redirects. Default: the host of `url`."
    )


class OpenApiSource(Section):
    """`openapi:` as a map, an OpenAPI 3 file whose operations become tools."""

    file: str = Field(min_length=1, description="The OpenAPI file, YAML or JSON, relative to this file.")
    include: tuple[str, ...] = Field(
        default=(), description="Operations to offer: IDs, `GET /pets`, or patterns such as `get*`. Default: all."
    )
    exclude: tuple[str, ...] = Field(default=(), description="Operations to leave out, in the same form.")
    prefix: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{0,40}$",
        description="Prefix of the tool names. Default: the ID and `__`.",
    )
    server: str | None = Field(
        default=None, min_length=1, description="Address in place of `servers` of the file; a template."
    )
    headers: dict[str, str] = Field(
        default_factory=dict[str, str], description="Headers of each request, such as `Authorization`; templates."
    )
    query: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="Parameters of the URL of each request; templates."
    )


class ToolLimits(Section):
    """`limits:`, limits of one call."""

    memory: SizeB = Field(default=1024**3, description="Maximum memory of the process.")
    cpu: TimeLimitS | None = Field(
        default=None, description="Maximum processor time of the process. Default: `timeout`."
    )
    output: SizeB = Field(default=10 * 1024**2, description="Maximum size of the result.")


class ToolConfig(Section):
    """A tool: its description for the model, how it is called, and the effect of a repeated call."""

    id: str = Field(pattern=TOOL_ID_PATTERN, description="Name of the tool; the model calls it by this name.")
    name: str | None = Field(default=None, description="Title, for people.")
    description: str | None = Field(
        default=None, description="Description for the model. The default of a Python tool is its docstring."
    )
    version: str | None = Field(default=None, description="Version of the tool, any text.")
    run: str | None = Field(
        default=None,
        min_length=1,
        description="File and function, `./orders.py:lookup` or `./orders.ts:lookup`, relative to this file.",
    )
    runtime: Runtime | None = Field(
        default=None, description="Program that executes `run`. The default depends on the file."
    )
    permissions: ToolPermissions | None = Field(
        default=None,
        description="Permissions of a TypeScript tool. Default: `runtime.permissions` of the project.",
    )
    http: HttpRequest | None = Field(default=None, description="A request to send instead of a function to run.")
    openapi: Annotated[OpenApiSource, OrPath("the file")] | None = Field(
        default=None, description="An OpenAPI file instead; each operation becomes a tool."
    )
    input: SchemaOrId | None = Field(
        default=None, description="JSON Schema of the arguments; a Python tool has that of its type hints."
    )
    output: SchemaOrId | None = Field(default=None, description="JSON Schema of the result.")
    with_: dict[str, Any] | None = Field(
        default=None, alias="with", description="Default arguments; arguments of a call take precedence."
    )
    config: dict[str, Any] | None = Field(default=None, description="Values for the tool that the model does not see.")
    env: dict[str, str] | None = Field(
        default=None, description="Variables of the process: values, or `${VAR}` of the environment or `.env`."
    )
    effect: Effect | None = Field(
        default=None,
        description="Effect of a call with an unknown outcome: `read` and `retry` calls are repeated, `once` calls "
        "are not.",
    )
    on_unknown: OnUnknown = Field(
        default="tell", description="With `effect: once`: report an unknown outcome to the model, or fail the task."
    )
    check: str | None = Field(
        default=None,
        pattern=TOOL_ID_PATTERN,
        description="With `effect: once`: a tool that reports, from the same arguments, whether a call took effect.",
    )
    timeout: TimeLimitS | None = Field(
        default=None, description="Time limit of a call. Default: `runtime.tool_execution_timeout`."
    )
    limits: ToolLimits = Field(default=ToolLimits(), description="Limits of one call.")
    approve: Approval | ApprovalRule | None = Field(
        default=None, description="Whether a person approves calls: `never`, `ask`, `deny`, or a map with a condition."
    )
    agents: tuple[Annotated[dict[str, Any], OrId("a shared agent")], ...] = Field(
        default=(), description="Agents that `cp__call_agent` can ask; `sub_agents` of an agent fills it in."
    )
    tasks: tuple[Annotated[dict[str, Any], OrId("a shared task")], ...] = Field(
        default=(), description="Shared tasks that `cp__call_task` can run."
    )
    workflows: tuple[Annotated[dict[str, Any], OrId("a workflow")], ...] = Field(
        default=(), description="Workflows that `cp__call_workflow` can run."
    )
    sequential: bool = Field(default=False, description="Whether other calls of the same answer wait until it ends.")

    @property
    def is_built_in(self) -> bool:
        """Whether it is one of the tools that Compozy brings."""
        return self.id.startswith(BUILT_IN_PREFIX)


class ToolResource(ToolConfig):
    """A shared tool: a file in `tools/`, or an item of `tools` in compozy.yaml or in a workflow."""

    resource: Literal["tool"] = Field(default="tool", description="Kind of file, for files that `autoload` finds.")


class ToolUse(Section):
    """Tool settings of an agent or a task."""

    tools: tuple[ToolConfig, ...] | None = Field(
        default=None, description="Tools that the model can call: IDs, or maps with an ID and overrides."
    )
    approve: Approval | ApprovalRule | None = Field(
        default=None, description="Approval of calls of tools without their own `approve`; `deny` denies all."
    )
    max_iterations: int | None = Field(
        default=None, ge=1, le=1000, description="Maximum model requests per attempt. Default: 10."
    )
    tool_choice: str | None = Field(
        default=None,
        min_length=1,
        description="`auto`, `none`, `required`, or the ID of a tool to call first. Default: `auto`.",
    )
    max_concurrent_tools: int | None = Field(
        default=None, ge=1, le=100, description="Maximum concurrent calls of one answer. Default: 10."
    )
    max_tool_calls: NonNegativeInt | dict[str, NonNegativeInt] | None = Field(
        default=None, description="Maximum calls per attempt: a number, or a map with `total` and tool IDs."
    )
    output_retries: int | None = Field(
        default=None, ge=0, le=20, description="Repetitions of an answer that does not match `output`. Default: 2."
    )
    on_limit: Literal["fail", "answer"] | None = Field(
        default=None,
        description="After `max_iterations`: `fail` the task, or `answer` with one more request without tools.",
    )

    @field_validator("tools")
    @classmethod
    def _check_ids(cls, tools: tuple[ToolConfig, ...] | None) -> tuple[ToolConfig, ...] | None:
        """Refuse two tools of one name, of which the model could call only one."""
        seen: set[str] = set()
        for tool in tools or ():
            if tool.id in seen:
                raise ValueError(f"the tool {tool.id!r} is listed twice")
            seen.add(tool.id)
        return tools
