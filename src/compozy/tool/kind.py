"""The record of a tool type, and the interface of every tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from compozy.config.settings import Approval, ApprovalRule, RuntimeSettings
from compozy.tool.config import Effect, ToolConfig
from compozy.tool.mcp.servers import McpServers

Outcome = Literal["ok", "failed", "unknown", "denied", "asks"]
"""Outcome of a call. `unknown`: it may or may not have taken effect. `asks`: the tool needs an answer of a person; the
content holds its questions, see `Questions`.
"""


@dataclass(frozen=True, kw_only=True)
class ToolSpec:
    """A tool as it is offered to a model; a run records it before the first request.

    Attributes:
        schema: JSON Schema of the arguments, always of an object.
        kind: name of its kind.
        source: name of the source that offers it; None for a tool that is its own source.
        remote: name of the tool at its source, None if it has no other name.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    effect: Effect
    kind: str
    version: str | None = None
    source: str | None = None
    remote: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the recorded form."""
        values = {**vars(self), "schema": dict(self.schema)}
        left_out = {key for key in ("source", "remote") if values[key] is None}
        return {key: value for key, value in values.items() if key not in left_out}


@dataclass(frozen=True, kw_only=True)
class NestedRequest:
    """A task that a call of a tool runs. Everything in it is data: no template in it is rendered.

    Attributes:
        target: ID of an agent, a task or a workflow of the tool.
        given: input of the task.
        prompt: for an agent, what it is asked.
        action_id: for an agent, the action that it performs.
        timeout_s: time limit, in seconds; None for none.
    """

    target: str
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prompt: str | None = None
    action_id: str | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class NestedEnd:
    """How such a task ended.

    Attributes:
        path: path of the task in the run.
        status: `SUCCESS`, `FAILED`, `TIMED_OUT` or `CANCELED`.
        error: `{"code", "message"}` unless it succeeded.
    """

    path: str
    status: str
    output: Any = None
    error: Mapping[str, Any] | None = None


class NestedTasks(Protocol):
    """Runs tasks for a call of a tool, below the task of the agent. Each is recorded like any other task."""

    async def run(self, requests: Sequence[NestedRequest], /) -> list[NestedEnd]:
        """Run tasks at the same time, and return how they ended, in the order of `requests`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Questions of a tool to a person, which it needs before it answers.

    Attributes:
        messages: the questions by their names.
        schemas: JSON Schemas of the answers by the same names; a question without one is only agreed to.
        state: what the tool gets back with the answer.
    """

    messages: Mapping[str, str]
    schemas: Mapping[str, Any]
    state: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the recorded form."""
        return {"messages": dict(self.messages), "schemas": dict(self.schemas), "state": self.state}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answers of a person: `values` by the names of the questions, empty if the person declined."""

    questions: Questions
    accepted: bool
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One call of a tool.

    Attributes:
        key: idempotency key, the same for each repetition of the call: 24 hexadecimal digits.
        input: arguments that fit the schema of the tool.
        execution_id: the run.
        task: path of the task in the run.
        timeout_s: time limit, in seconds.
        tasks: runs tasks, for tools of a kind that does (`ToolKind.runs_tasks`).
        answer: the answer of a person to questions of the tool, None before it asked.
        step: name of the step that records the call.
    """

    key: str
    input: Mapping[str, Any]
    execution_id: str
    task: str
    timeout_s: float
    tasks: NestedTasks | None = None
    answer: Answer | None = None
    step: str = ""


@dataclass(frozen=True, kw_only=True)
class ToolFile:
    """A file in a result, such as an image."""

    data: bytes
    media_type: str


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """The result of a call.

    Attributes:
        content: JSON, the result, or an error message.
        files: that come with the content.
        recorded: what the step of the call records of the files.
    """

    outcome: Outcome
    content: Any
    files: Sequence[ToolFile] = ()
    recorded: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class ToolHome:
    """The settings of the project that tools can read.

    Attributes:
        root: the folder of the project.
        environ: the environment, with `.env` merged in; a tool gets only the variables that it names.
        settings: `runtime` of compozy.yaml.
        closed: files that no tool can read or write, such as the database.
        servers: the MCP servers of the project, None where tools are only described.
    """

    root: Path
    environ: Mapping[str, str] = field(repr=False)
    settings: RuntimeSettings = field(default_factory=RuntimeSettings)
    closed: frozenset[Path] = frozenset()
    servers: McpServers | None = None


class Tool(Protocol):
    """A tool, ready to be called."""

    async def describe(self) -> ToolSpec:
        """Return the description for the model.

        Raises:
            ToolError: the tool cannot be used; the message says why.
        """
        ...

    async def call(self, call: ToolCall) -> ToolResult:
        """Call the tool. A failure is a result, not an error."""
        ...


def _retry(_: ToolConfig) -> Effect:
    return "retry"


def _never(_: ToolConfig) -> Approval:
    return "never"


def _no(_: ToolConfig) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class ToolKind:
    """A kind of tool. `name`, `module` and `matches` are required.

    Attributes:
        name: name of the kind, for people.
        module: module with `new_tool`, a function from a `ToolConfig` and a `ToolHome` to a `Tool`. It is imported when
            a tool of the kind is first used.
        matches: whether a configuration is one of this kind; exactly one kind matches.
        effect: default of `effect`.
        approve: default of `approve`.
        effect_of_call: effect of a repeated call with certain arguments, where it depends on the arguments.
        runs_tasks: whether a call of the tool runs tasks of the run, which are recorded themselves.
    """

    name: str
    module: str
    matches: Callable[[ToolConfig], bool]
    effect: Callable[[ToolConfig], Effect] = _retry
    approve: Callable[[ToolConfig], Approval] = _never
    effect_of_call: Callable[[ToolConfig, Mapping[str, Any]], Effect] | None = None
    runs_tasks: Callable[[ToolConfig], bool] = _no


TOOL_KINDS: dict[str, ToolKind] = {}
"""The registered kinds by name. Import them from `compozy.tool.registry`, which registers the built-in ones."""


def register(*kinds: ToolKind) -> None:
    """Add kinds of tools."""
    TOOL_KINDS.update({kind.name: kind for kind in kinds})


def kind_of(tool: ToolConfig) -> ToolKind | None:
    """Return the kind of a tool, None if its configuration says neither what to run nor what to send."""
    return next((kind for kind in TOOL_KINDS.values() if kind.matches(tool)), None)


def effect_of(tool: ToolConfig) -> Effect:
    """Return the effect of a repeated call of a tool."""
    kind = kind_of(tool)
    return tool.effect or (kind.effect(tool) if kind is not None else "once")


def effect_of_call(tool: ToolConfig, offered: Effect, arguments: Mapping[str, Any]) -> Effect:
    """Return the effect of a repeated call with these arguments: `offered`, unless the tool type overrides it."""
    kind = kind_of(tool)
    if tool.effect is not None or kind is None or kind.effect_of_call is None:
        return offered
    return kind.effect_of_call(tool, arguments)


def approval_of(tool: ToolConfig, *others: Approval | ApprovalRule | None) -> Approval | ApprovalRule:
    """Return which calls of a tool a person has to approve.

    Args:
        tool: the tool; its own setting takes precedence over `others`.
        others: settings of its task, its agent and the project, in this order. `deny` counts wherever it is written.
    """
    written: list[Approval | ApprovalRule] = [rule for rule in (tool.approve, *others) if rule is not None]
    if any(rule == "deny" for rule in written):
        return "deny"
    if written:
        return written[0]
    kind = kind_of(tool)
    return kind.approve(tool) if kind is not None else "never"


def runs_tasks(tool: ToolConfig) -> bool:
    """Return whether a call of a tool runs tasks of the run."""
    kind = kind_of(tool)
    return kind is not None and kind.runs_tasks(tool)


class _NewTool(Protocol):
    def __call__(self, config: ToolConfig, home: ToolHome, /) -> Tool: ...


def new_tool(config: ToolConfig, home: ToolHome) -> Tool:
    """Return the tool that a configuration describes; it has a kind.

    Raises:
        ToolError: a package that it needs is not installed.
    """
    kind = kind_of(config)
    assert kind is not None, config.id  # noqa: S101 - checked when the project is validated
    return cast("_NewTool", import_module(kind.module).new_tool)(config, home)
