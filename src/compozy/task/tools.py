"""Tools in a task: what is offered, calls as durable steps, approvals as tasks that wait."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from compozy.agent.budget import Amounts, Estimate
from compozy.boundary import OutsideRequest, exchange
from compozy.config.settings import ApprovalRule, RuntimeSettings
from compozy.database.attachments import store_attachments
from compozy.database.costs import add_tool_call
from compozy.database.events import TOOL_CALL, NewEvent, append_events
from compozy.database.status import Status
from compozy.durable.context import current_run
from compozy.durable.step import begin_step, step, step_once
from compozy.errors import ToolError, restore_error
from compozy.nearest import suggest
from compozy.task.branches import run_branches
from compozy.task.kinds.wait import WaitTask
from compozy.task.tool_tasks import ToolTasks
from compozy.task.tree import Outcome, RunTask, TaskCall, TaskResult, end_step, nothing_after, spender_of
from compozy.tool.config import ToolConfig
from compozy.tool.kind import Answer, NestedTasks, Questions, ToolHome, ToolSpec
from compozy.tool.mcp.config import McpConfig
from compozy.tool.mcp.tools import McpSource
from compozy.tool.source import SingleTool, ToolSource

if TYPE_CHECKING:
    import sqlalchemy as sa
    from pydantic import JsonValue

    from compozy.agent.offered import OfferedTool, OwnTool
    from compozy.agent.settings import ToolRules
    from compozy.agent.tools import Decision, Question, ToolBelt

_MAX_SHOWN = 4000


async def make_belt(
    call: TaskCall, rules: ToolRules, run_task: RunTask, own: Sequence[OwnTool] = ()
) -> ToolBelt | None:
    """Return the tools of a task, None if it has none. They are recorded before the first request, except its own.

    Raises:
        ToolError: a tool cannot be used.
    """
    from compozy.agent.tools import ToolBelt

    steps = RunToolSteps(call, run_task)
    if not rules.tools and not rules.servers:
        return ToolBelt({}, rules, steps, RuntimeSettings(), own) if own else None
    home = _home_of(call)
    offered = await _offer(call, _sources(rules, home))
    return ToolBelt(offered, rules, steps, home.settings, own)


async def call_tool(call: TaskCall, tool: ToolConfig, servers: Sequence[McpConfig], run_task: RunTask) -> Outcome:
    """Call the tool of a task that asks no model, with the input of the task. `servers` have it, if it is theirs.

    Raises:
        ToolError: the tool failed, was denied, or its outcome is unknown.
        SchemaMismatchError: the input does not match.
    """
    from compozy.agent.settings import ToolRules

    number = current_run().turns(f"{call.path}.tools")
    rules = ToolRules(servers=tuple(servers)) if servers else ToolRules(tools=(tool,))
    belt = await make_belt(call, rules, run_task)
    assert belt is not None  # noqa: S101 - there is one tool
    if tool.id not in belt.names:
        hint = suggest(tool.id, belt.names) or f"its tools are {', '.join(belt.names) or 'none'}"
        raise ToolError(f"MCP server {servers[0].id!r} has no tool {tool.id!r}", hint=hint, details={"tool": tool.id})
    given: Mapping[str, Any] = call.shown.get("with", {})
    result = await belt.call_one(tool.id, given, number)
    if result.outcome != "ok":
        text = result.content if isinstance(result.content, str) else json.dumps(result.content)
        words = {"failed": "failed", "denied": "was not called", "unknown": "was called, with an unknown outcome"}
        raise ToolError(f"tool {tool.id!r} {words[result.outcome]}: {text}", details={"tool": tool.id})
    return Outcome(output=result.content)


def _sources(rules: ToolRules, home: ToolHome) -> list[ToolSource]:
    tools: list[ToolSource] = [SingleTool(config=tool, home=home) for tool in rules.tools]
    servers = [McpSource(server, home.servers) for server in rules.servers] if home.servers is not None else []
    return [*tools, *servers]


async def _offer(call: TaskCall, sources: Sequence[ToolSource]) -> dict[str, OfferedTool]:
    """Return the tools of all sources by name, as the run recorded them."""
    from compozy.agent.offered import OfferedTool

    async def describe() -> JsonValue:
        specs = [spec for source in sources for spec in await _list_tools(call.path, source)]
        _check_names(specs)
        return cast("JsonValue", [spec.to_json() for spec in specs])

    recorded = cast("list[dict[str, Any]]", await step(f"{call.path}.tools", describe))
    by_name = {source.name: source for source in sources}
    offered: dict[str, OfferedTool] = {}
    for spec in (ToolSpec(**values) for values in recorded):
        source = by_name[spec.source or spec.name]
        offered[spec.name] = OfferedTool(spec=spec, config=source.config_of(spec), make=partial(source.new_tool, spec))
    return offered


async def _list_tools(path: str, source: ToolSource) -> list[ToolSpec]:
    """Return the tools of a source. Those of a server or a file are a request to the outside."""

    async def perform() -> JsonValue:
        return cast("JsonValue", [spec.to_json() for spec in await source.list_tools()])

    def describe() -> OutsideRequest:
        return OutsideRequest(
            kind="tools", path=path, content={"tools_of": source.name, **source.describe()}, step=f"{path}.tools"
        )

    return [ToolSpec(**values) for values in await exchange(describe, perform)]


def _check_names(specs: Sequence[ToolSpec]) -> None:
    """Refuse two tools of one name, of which the model could call only one.

    Raises:
        ToolError: there are two.
    """
    seen: dict[str, ToolSpec] = {}
    for spec in specs:
        other = seen.setdefault(spec.name, spec)
        if other is not spec:
            sources = " and ".join(each.source or "`tools`" for each in (other, spec))
            raise ToolError(
                f"two tools have the name {spec.name!r}, from {sources}",
                hint="give the MCP server another `prefix`, or leave the tool out with `tools: {exclude: [...]}`",
            )


def _home_of(call: TaskCall) -> ToolHome:
    if call.run.tools is None:
        raise ToolError("this process has no tools", hint="execute the run with the project's own server or command")
    return call.run.tools


class RunToolSteps:
    """Tool calls as steps of a run; see `compozy.agent.tools.ToolSteps`."""

    def __init__(self, call: TaskCall, run_task: RunTask) -> None:
        self.execution_id = call.run.execution_id
        self.path = call.path
        self._call = call
        self._run_task = run_task
        self._asked = 0

    async def step(self, name: str, call: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
        """Run a call that can be repeated, and record its result."""
        return await step(name, call, partial(self._log, name))

    async def step_once(
        self, name: str, call: Callable[[], Awaitable[JsonValue]], unknown: Callable[[], Awaitable[JsonValue]], /
    ) -> JsonValue:
        """Run a call at most once, and record its result."""
        return await step_once(name, call, unknown, partial(self._log, name))

    def _log(self, name: str, connection: sa.Connection, recorded: Any) -> None:
        """Add a call to the log of the run, in the transaction that records it."""
        # Names of tools have no dot; a number behind them counts the answers that a server asked for.
        request, index, tool, *_ = name.removeprefix(f"{self.path}.tool.").split(".")
        data = {"tool": tool, "request": int(request), "index": int(index), "outcome": recorded["outcome"]}
        event = NewEvent(kind=TOOL_CALL, path=self.path, data={**data, "duration_ms": recorded.get("duration_ms")})
        append_events(connection, self.execution_id, [event])
        ledger, scopes = self._call.run.ledger, self._call.scopes
        if ledger is not None and scopes:
            add_tool_call(connection, spender_of(self._call))
            ledger.note(connection, scopes, self.path, (self.path, name), Amounts(tool_calls=1))

    def admit(self, name: str, /) -> AbstractAsyncContextManager[None]:
        """Admit the call whose step is `name`, by the budgets around the task."""
        ledger, scopes = self._call.run.ledger, self._call.scopes
        if ledger is None or not scopes:
            return nullcontext()
        return ledger.admit(scopes, self.path, name, lambda: Estimate(amounts=Amounts(tool_calls=1)))

    async def gather(self, bodies: Sequence[Callable[[], Awaitable[Any]]], at_once: int, /) -> list[Any]:
        """Return the results of `bodies` in their order; at most `at_once` run at the same time."""
        results: dict[int, Any] = {}
        queue = iter(range(len(bodies)))

        async def work(end_branch: Callable[[], None]) -> None:
            try:
                for number in queue:
                    results[number] = await bodies[number]()
            finally:
                end_branch()

        count = min(at_once, len(bodies))
        with current_run().branching(count) as end_branch:
            await run_branches([work(end_branch) for _ in range(count)], lambda: False)
        return [results[number] for number in range(len(bodies))]

    async def keep(self, contents: Mapping[str, bytes], /) -> None:
        """Store files of a result, before the step that names them is recorded."""
        await self._call.run.database.write_async(
            lambda connection: store_attachments(connection, self.execution_id, contents)
        )

    async def ask(self, question: Question, /) -> Decision:
        """Wait until a person has decided, in a separate task below this one.

        Raises:
            ToolError: nobody decided in time, and the tool fails its task then.
        """
        from compozy.agent.tools import Decision

        rule = question.rule
        # The name of the signal holds for this call with these arguments, and so does the answer.
        name = hashlib.sha256(f"{question.step} {question.digest}".encode()).hexdigest()[:20]
        child_id = self._approval_id(question.step)
        result = await self._wait(child_id, f"approve:{name}", _form(question), rule)
        if result.end.status is Status.SUCCESS:
            payload = cast("dict[str, Any]", result.end.output)["payload"]
            return Decision(
                approved=payload["approve"], reason=payload.get("reason", ""), arguments=payload.get("arguments")
            )
        if rule.on_timeout == "deny" and result.end.status is Status.TIMED_OUT:
            return Decision(approved=False, reason="not answered in time")
        raise restore_error(result.end.error or {})

    async def inquire(self, name: str, turn: int, tool: ToolSpec, questions: Questions, /) -> Answer:
        """Wait until a person has answered the questions of a tool, in a task below this one."""
        asked = json.dumps([name, turn, questions.to_json()], sort_keys=True)
        signal = f"answer:{hashlib.sha256(asked.encode()).hexdigest()[:20]}"
        child_id = self._approval_id(name).replace("approve-", "answer-", 1) + f"-{turn}"
        result = await self._wait(child_id, signal, _question_form(tool, questions), ApprovalRule())
        if result.end.status is not Status.SUCCESS:
            raise restore_error(result.end.error or {})
        payload = cast("dict[str, Any]", result.end.output)["payload"]
        return Answer(questions=questions, accepted=payload["accept"], values=payload.get("answer", {}))

    async def _wait(self, child_id: str, signal: str, form: dict[str, Any], rule: ApprovalRule) -> TaskResult:
        """Wait for a signal with a form in a task below this one."""
        call = self._call
        options: dict[str, Any] = {"timeout": rule.timeout, "approver": rule.approver}
        task = WaitTask(id=child_id, type="wait", wait_for=signal, form=form, **options)
        self._asked += 1
        child = call.child(task, call.yaml_path, call.context.nested(), number=self._asked, child_id=child_id)
        return await self._run_task(child, started=False, on_end=nothing_after)

    def has_begun(self, name: str, /) -> bool:
        """Return whether the call whose step is `name` has started, in this process or in an earlier one."""
        return any(current_run().is_recorded(step_name) for step_name in (name, begin_step(name)))

    def was_asked(self, name: str, /) -> bool:
        """Return whether a person decided about the call whose step is `name`."""
        return current_run().is_recorded(end_step(f"{self._call.base}/{self._approval_id(name)}"))

    def _approval_id(self, step_name: str) -> str:
        """Return the ID of the task that waits for an approval."""
        return "approve-" + step_name.removeprefix(f"{self._call.path}.tool.").replace(".", "-")

    def nested(self, name: str, tool: ToolConfig, /) -> NestedTasks:
        """Return what runs the tasks of a call of `tool`, below this task."""
        return ToolTasks(call=self._call, run_task=self._run_task, gather=self.gather, tool=tool, name=name)

    def key(self, name: str, /) -> str:
        """Return the idempotency key of the step `name`."""
        return hashlib.sha256(f"{self.execution_id}/{name}".encode()).hexdigest()[:24]


def _other_arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of other arguments; the call checks them again."""
    # References would point elsewhere inside the form.
    known = {} if "$ref" in json.dumps(schema) else dict(schema)
    return {**known, "type": "object", "description": "Other arguments to call it with."}


def _question_form(tool: ToolSpec, questions: Questions) -> dict[str, Any]:
    """Return the JSON Schema of the answer to questions of a tool."""
    names = list(questions.schemas)
    closed: dict[str, Any] = {"type": "object", "additionalProperties": False}
    answers = {**closed, "properties": dict(questions.schemas), "required": names}
    return {
        **closed,
        "title": f"{tool.name} asks",
        "description": "\n".join(questions.messages.values())[:_MAX_SHOWN],
        "properties": {
            "accept": {"type": "boolean", "description": "Whether to answer; the tool learns if not."},
            **({"answer": answers} if names else {}),
        },
        "required": ["accept"],
        "if": {"properties": {"accept": {"const": True}}},
        "then": {"required": ["answer"] if names else []},
    }


def _form(question: Question) -> dict[str, Any]:
    """Return the JSON Schema of the answer, which shows the call."""
    shown = json.dumps(question.arguments, ensure_ascii=False)
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}... ({len(shown)} characters)"
    return {
        "type": "object",
        "title": f"Call {question.tool.name}?",
        "description": f"The agent wants to call {question.tool.name} with {shown}",
        "properties": {
            "approve": {"type": "boolean", "description": "Whether the call begins."},
            "reason": {"type": "string", "description": "Why not; the agent reads it."},
            "arguments": _other_arguments(question.tool.schema),
        },
        "required": ["approve"],
        "additionalProperties": False,
    }
