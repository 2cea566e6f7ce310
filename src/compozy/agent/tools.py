"""The tools of one task: which the model can call, and what becomes of its calls."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, cast

from pydantic import JsonValue
from pydantic_ai.messages import ToolCallPart, ToolReturnPart
from pydantic_ai.tools import ToolDefinition

from compozy.agent.offered import OfferedTool, OwnTool, listed
from compozy.agent.settings import ToolRules
from compozy.agent.steps import tool_step
from compozy.config.settings import Approval, ApprovalRule, RuntimeSettings
from compozy.errors import ToolError
from compozy.expression import evaluate_condition
from compozy.filepatterns import matches_name
from compozy.jsoninput import parse_json
from compozy.nearest import suggest
from compozy.schema.worker import compute, fit_value
from compozy.telemetry import genai
from compozy.telemetry.traces import span
from compozy.tool.config import ToolConfig
from compozy.tool.kind import Answer, NestedTasks, Questions, ToolCall, ToolResult, ToolSpec
from compozy.tool.registry import approval_of, effect_of_call, runs_tasks

_MAX_ERRORS = 10
_MAX_REPEATS = 3
_MAX_QUESTIONS = 5
_UNKNOWN = (
    "The outcome of this call is unknown: it was interrupted. It may or may not have taken effect. "
    "Do not repeat it unless you have made sure that it did not."
)
_FAILED = frozenset({"failed", "denied"})


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The decision of a person about a call: `arguments` are set if they were changed."""

    approved: bool
    reason: str = ""
    arguments: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """A call that a person is asked to approve.

    Attributes:
        step: name of the step of the call.
        tool: the tool.
        arguments: what the model wants to call it with.
        digest: of tool and arguments; the answer holds for this call only.
        rule: for how long to wait.
    """

    step: str
    tool: ToolSpec
    arguments: Mapping[str, Any]
    digest: str
    rule: ApprovalRule


class ToolSteps(Protocol):
    """How tool calls become durable steps of a run."""

    execution_id: str
    path: str

    async def step(self, name: str, call: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
        """Run a call that can be repeated, and record its result."""
        ...

    async def step_once(
        self, name: str, call: Callable[[], Awaitable[JsonValue]], unknown: Callable[[], Awaitable[JsonValue]], /
    ) -> JsonValue:
        """Run a call at most once, and record its result; `unknown` gives it if a process ended during the call."""
        ...

    async def gather(self, bodies: Sequence[Callable[[], Awaitable[Any]]], at_once: int, /) -> list[Any]:
        """Return the results of `bodies` in their order; at most `at_once` run at the same time."""
        ...

    async def keep(self, contents: Mapping[str, bytes], /) -> None:
        """Store files of a result by their SHA-256."""
        ...

    async def ask(self, question: Question, /) -> Decision:
        """Wait until a person has decided about a call."""
        ...

    async def inquire(self, name: str, turn: int, tool: ToolSpec, questions: Questions, /) -> Answer:
        """Wait until a person has answered questions of the call whose step is `name`."""
        ...

    def admit(self, name: str, /) -> AbstractAsyncContextManager[None]:
        """Admit the call whose step is `name`, by the budgets around it."""
        ...

    def has_begun(self, name: str, /) -> bool:
        """Return whether the call whose step is `name` has started, in this process or in an earlier one."""
        ...

    def was_asked(self, name: str, /) -> bool:
        """Return whether a person decided about the call whose step is `name`."""
        ...

    def nested(self, name: str, tool: ToolConfig, /) -> NestedTasks:
        """Return what runs the tasks of the call whose step is `name`."""
        ...

    def key(self, name: str, /) -> str:
        """Return the idempotency key of the step `name`."""
        ...


class ToolBelt:
    """The tools of one task. Counts what the model does with them, from the first request of an attempt.

    Args:
        tools: those that are offered, by name.
        rules: limits of the task.
        steps: the run.
        settings: what the project says about tools.
        own: tools of the task itself.
    """

    def __init__(
        self,
        tools: Mapping[str, OfferedTool],
        rules: ToolRules,
        steps: ToolSteps,
        settings: RuntimeSettings,
        own: Sequence[OwnTool] = (),
    ) -> None:
        self._tools = tools
        self._own = {tool.definition.name: tool for tool in own}
        self._rules = rules
        self._steps = steps
        self._settings = settings
        self._calls: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._last: tuple[str, int] = ("", 0)

    @property
    def names(self) -> list[str]:
        """Return the names of the tools."""
        return [*self._tools, *self._own]

    @property
    def definitions(self) -> list[ToolDefinition]:
        """Return what requests say about the tools."""
        return [tool.definition for tool in (*self._tools.values(), *self._own.values())]

    async def answer(self, calls: Sequence[ToolCallPart], request: int) -> list[ToolReturnPart]:
        """Run the calls of one answer, and return their results in the same order.

        Args:
            calls: of the answer.
            request: number of the request in the task, which names the steps.

        Raises:
            ToolError: the conversation makes no progress, or an outcome is unknown and the tool fails its task then.
        """
        returns: list[ToolReturnPart] = []
        for batch in self._batches(list(enumerate(calls))):
            bodies = [partial(self._call, call, request, index) for index, call in batch]
            returns += await self._steps.gather(bodies, self._rules.max_concurrent)
        for call, result in zip(calls, returns, strict=True):
            self._check_progress(call, result)
        return returns

    def _batches(self, calls: list[tuple[int, ToolCallPart]]) -> list[list[tuple[int, ToolCallPart]]]:
        """Return the calls in groups that follow one another: sequential tools and own tools are alone in theirs."""
        groups: list[list[tuple[int, ToolCallPart]]] = [[]]
        for index, call in calls:
            tool = self._tools.get(call.tool_name)
            if call.tool_name in self._own or (tool is not None and tool.config.sequential):
                groups += [[(index, call)], []]
            else:
                groups[-1].append((index, call))
        return [group for group in groups if group]

    async def _call(self, call: ToolCallPart, request: int, index: int) -> ToolReturnPart:
        name = call.tool_name
        step = tool_step(self._steps.path, request, index, name)
        tool, own = self._tools.get(name), self._own.get(name)
        if tool is None and own is None:
            hint = suggest(name, self.names) or f"the tools are {', '.join(self.names) or 'none'}"
            return _returned(call, ToolResult(outcome="failed", content=f"unknown tool {name!r}; {hint}"))
        refused = self._count(name)
        if refused:
            return _returned(call, ToolResult(outcome="failed", content=refused))
        try:
            arguments = _arguments_of(call)
        except ValueError as error:
            return _returned(call, ToolResult(outcome="failed", content=f"the arguments are not JSON: {error}"))
        if own is not None:
            return _returned(call, await self._apply(own, arguments, step))
        assert tool is not None  # noqa: S101 - one of both
        return _returned(call, await self._fit_and_run(tool, arguments, step))

    async def _apply(self, own: OwnTool, arguments: Mapping[str, Any], step: str) -> ToolResult:
        given, problems = await fit_value(own.definition.parameters_json_schema, dict(arguments))
        if problems:
            return ToolResult(outcome="failed", content=f"the arguments do not match: {listed(problems)}")
        async with self._steps.admit(step):
            recorded = await self._steps.step(step, partial(_done, own.perform(given)))
        result = cast("dict[str, Any]", recorded)
        return ToolResult(outcome=result["outcome"], content=result["content"])

    async def call_one(self, name: str, arguments: Mapping[str, Any], number: int) -> ToolResult:
        """Call a tool without a model; `number` counts the calls of the task, which names the step."""
        return await self._fit_and_run(self._tools[name], arguments, tool_step(self._steps.path, number, 0, name))

    async def _fit_and_run(self, tool: OfferedTool, arguments: Mapping[str, Any], step: str) -> ToolResult:
        given, problems = await fit_value(dict(tool.spec.schema), {**(tool.config.with_ or {}), **arguments})
        if problems:
            return ToolResult(outcome="failed", content=f"the arguments do not match: {listed(problems)}")
        return await self._run(tool, cast("dict[str, Any]", given), step)

    def _count(self, name: str) -> str:
        """Count a call; return why it is refused, "" if it is not."""
        self._calls.update((name, "total"))
        for key in (name, "total"):
            limit = self._rules.max_calls.get(key)
            if limit is not None and self._calls[key] > limit:
                of = f"the tool {name!r}" if key == name else "tools"
                return f"the limit of {limit} calls of {of} is reached; answer with what you have"
        return ""

    async def _run(self, tool: OfferedTool, given: Mapping[str, Any], step: str) -> ToolResult:
        """Call a tool with arguments that fit, as the step `step`, after an approval where it needs one."""
        refused, given = await self._approved(tool, given, step)
        if refused is not None:
            return refused
        call = ToolCall(
            key=self._steps.key(step),
            input=given,
            execution_id=self._steps.execution_id,
            task=self._steps.path,
            timeout_s=tool.config.timeout or self._settings.tool_execution_timeout,
        )
        async with self._steps.admit(step):
            result = await self._record(tool, call, step)
        for turn in range(1, _MAX_QUESTIONS + 1):
            if result.outcome != "asks":
                return result
            answer = await self._steps.inquire(step, turn, tool.spec, Questions(**result.content))
            result = await self._record(tool, replace(call, answer=answer), f"{step}.{turn}")
        return result if result.outcome != "asks" else ToolResult(outcome="failed", content="it asks without end")

    async def _record(self, tool: OfferedTool, call: ToolCall, step: str) -> ToolResult:
        """Call a tool as the step `step`, and return its recorded result."""
        call, given = replace(call, step=step), call.input
        effect = effect_of_call(tool.config, tool.spec.effect, given)
        perform = partial(_traced, tool.spec.name, partial(tool.perform, call, effect, self._steps.keep))
        if runs_tasks(tool.config):
            # Its tasks are recorded themselves; within a step they could not be.
            nested = replace(call, tasks=self._steps.nested(step, tool.config))
            recorded = await self._steps.step(
                step, partial(_done, await tool.perform(nested, effect, self._steps.keep))
            )
        elif effect == "once":
            recorded = await self._steps.step_once(step, perform, partial(self._unknown, tool, call))
        else:
            recorded = await self._steps.step(step, perform)
        result = cast("dict[str, Any]", recorded)
        if result["outcome"] == "unknown" and tool.config.on_unknown == "fail":
            raise ToolError(
                f"the outcome of a call of tool {tool.spec.name!r} is unknown",
                hint="find out whether it took effect; then rerun the execution from the next task, or this one",
                details={"tool": tool.spec.name, "step": step, "input": dict(given)},
            )
        return ToolResult(outcome=result["outcome"], content=result["content"], recorded=result.get("files", ()))

    async def _approved(
        self, tool: OfferedTool, given: Mapping[str, Any], step: str
    ) -> tuple[ToolResult | None, Mapping[str, Any]]:
        """Return the refusal of a call, None if it can begin, and the arguments, which a person may have changed."""
        need = await compute(partial(self._approval_of, tool, given))
        if self._steps.has_begun(step):
            # Rules of the project that changed since then do not change what happened.
            need = "ask" if self._steps.was_asked(step) else "never"
        if need == "deny":
            return ToolResult(outcome="denied", content=f"calls of {tool.spec.name!r} are not allowed here"), given
        if need == "never":
            return None, given
        rule = need if isinstance(need, ApprovalRule) else ApprovalRule()
        text = json.dumps([tool.spec.name, given], sort_keys=True, ensure_ascii=False)
        question = Question(step=step, tool=tool.spec, arguments=given, digest=_digest(text), rule=rule)
        decision = await self._steps.ask(question)
        if not decision.approved:
            words = f": {decision.reason}" if decision.reason else ""
            return ToolResult(outcome="denied", content=f"a person denied this call{words}"), given
        if decision.arguments is None:
            return None, given
        changed, problems = await fit_value(dict(tool.spec.schema), dict(decision.arguments))
        if problems:
            return ToolResult(
                outcome="denied", content=f"the approved arguments do not match: {listed(problems)}"
            ), given
        return None, changed

    def _approval_of(self, tool: OfferedTool, given: Mapping[str, Any]) -> Approval | ApprovalRule:
        """Return what a call with these arguments needs."""
        if any(matches_name(pattern, tool.spec.name) for pattern in self._settings.deny_tools):
            return "deny"
        approval = approval_of(tool.config, *self._rules.approvals, self._settings.approve)
        if isinstance(approval, ApprovalRule) and approval.when is not None:
            name = f"approve.when of tool {tool.spec.name!r}"
            is_asked = evaluate_condition(approval.when, {"input": dict(given)}, name=name)
            return approval if is_asked else "never"
        return approval

    async def _unknown(self, tool: OfferedTool, call: ToolCall) -> JsonValue:
        """Return the result of a call whose process ended; the tool in `check` is asked first."""
        content: Any = _UNKNOWN
        check = self._tools.get(tool.config.check or "")
        if check is not None:
            found = await check.perform(call, check.spec.effect, self._steps.keep)
            content = {"message": _UNKNOWN, "check": cast("dict[str, Any]", found)["content"]}
        return {"outcome": "unknown", "content": content, "duration_ms": 0, "truncated": False}

    def _check_progress(self, call: ToolCallPart, result: ToolReturnPart) -> None:
        """Count errors and repetitions.

        Raises:
            ToolError: ten errors of one tool in a row, or three calls with equal arguments and equal results.
        """
        name = call.tool_name
        self._errors[name] = self._errors[name] + 1 if result.outcome == "failed" else 0
        if self._errors[name] >= _MAX_ERRORS:
            raise _no_progress(name, f"failed {_MAX_ERRORS} times in a row; the last time: {str(result.content)[:300]}")
        same = json.dumps([name, call.args, result.content], sort_keys=True, default=str)
        self._last = (same, self._last[1] + 1 if self._last[0] == same else 1)
        if self._last[1] >= _MAX_REPEATS:
            raise _no_progress(name, f"was called {_MAX_REPEATS} times with the same arguments and the same result")


async def _traced(name: str, perform: Callable[[], Awaitable[JsonValue]]) -> JsonValue:
    """Call a tool in a span; a recorded call makes none."""
    about = {genai.OPERATION: genai.EXECUTE_TOOL, genai.TOOL_NAME: name}
    with span(f"{genai.EXECUTE_TOOL} {name}", about) as shown:
        result = await perform()
        outcome = cast("dict[str, Any]", result)["outcome"]
        if outcome in _FAILED:
            shown.fail(outcome)
        return result


async def _done(recorded: JsonValue) -> JsonValue:
    return recorded


def _returned(call: ToolCallPart, result: ToolResult) -> ToolReturnPart:
    outcome = {"ok": "success", "failed": "failed", "denied": "denied", "unknown": "interrupted"}[result.outcome]
    return ToolReturnPart(
        tool_name=call.tool_name,
        content=result.content,
        tool_call_id=call.tool_call_id,
        outcome=cast("Any", outcome),
        metadata={"files": list(result.recorded)} if result.recorded else None,
    )


def _arguments_of(call: ToolCallPart) -> dict[str, Any]:
    """Return the arguments of a call.

    Raises:
        ValueError: they are not a JSON object.
    """
    value: Any = call.args
    if isinstance(value, str):
        value = parse_json(value, lenient=True) if value.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("expected an object")  # noqa: TRY004 - as for other arguments that are wrong
    return cast("dict[str, Any]", value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _no_progress(name: str, words: str) -> ToolError:
    return ToolError(
        f"the model makes no progress: the tool {name!r} {words}",
        hint="read the calls in the execution, and improve the description of the tool or the prompt",
        details={"tool": name},
    )
