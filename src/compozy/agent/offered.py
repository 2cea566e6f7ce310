"""A tool as it is offered to a model, and what is recorded of a call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import JsonValue
from pydantic_ai.tools import ToolDefinition

from compozy.agent.attachment.results import Keep, keep_files
from compozy.boundary import OutsideRequest, exchange
from compozy.clock import monotonic_s
from compozy.errors import ToolError
from compozy.schema.worker import fit_value
from compozy.tool.config import Effect, ToolConfig
from compozy.tool.kind import Tool, ToolCall, ToolResult, ToolSpec

MAX_SENT = 256 * 1024
"""Characters of a result that a model gets."""


@dataclass(frozen=True, kw_only=True)
class OfferedTool:
    """A tool as the model sees it, as it is configured, and how it is made ready to be called."""

    spec: ToolSpec
    config: ToolConfig
    make: Callable[[], Tool]

    @property
    def definition(self) -> ToolDefinition:
        """Return what a request to a model says about it."""
        schema: dict[str, Any] = dict(self.spec.schema)
        return ToolDefinition(
            name=self.spec.name,
            description=self.spec.description,
            parameters_json_schema=schema,
            sequential=self.config.sequential,
        )

    async def perform(self, call: ToolCall, effect: Effect, keep: Keep) -> JsonValue:
        """Call a tool and return what is recorded; it never raises, so that the model learns what went wrong.

        `keep` stores the files of its result.
        """
        if call.tasks is not None:
            # Its tasks ask the outside themselves.
            return await self._perform(call, effect, keep)
        return await exchange(partial(self._describe, call), partial(self._perform, call, effect, keep))

    def _describe(self, call: ToolCall) -> OutsideRequest:
        answer = call.answer
        content: dict[str, Any] = {"tool": self.spec.name, "input": dict(call.input)}
        if answer is not None:
            content["answer"] = {"accepted": answer.accepted, "values": dict(answer.values)}
        return OutsideRequest(kind="tool", path=call.task, content=content, step=call.step)

    async def _perform(self, call: ToolCall, effect: Effect, keep: Keep) -> JsonValue:
        began_s = monotonic_s()
        try:
            result = await self.make().call(call)
        except ToolError as error:
            result = ToolResult(outcome="failed", content=error.message)
        if result.outcome == "ok" and self.config.output is not None:
            result = await _fitted(result, self.config.output)
        if result.outcome == "unknown" and effect != "once":
            result = ToolResult(outcome="failed", content=result.content)
        files = await keep_files(result.files, keep)
        content, truncated = _cut(result.content)
        duration = round((monotonic_s() - began_s) * 1000)
        recorded: dict[str, JsonValue] = {
            "outcome": result.outcome,
            "content": content,
            "duration_ms": duration,
            "truncated": truncated,
        }
        return {**recorded, "files": files} if files else recorded


@dataclass(frozen=True, kw_only=True)
class OwnTool:
    """A tool that changes only what its task keeps. It is applied again on a replay, whose result is the recorded one.

    Attributes:
        definition: what a request to a model says about it.
        apply: takes arguments that fit; the same arguments give the same result.
    """

    definition: ToolDefinition
    apply: Callable[[Mapping[str, Any]], ToolResult]

    def perform(self, given: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Apply a call and return what is recorded."""
        result = self.apply(given)
        return {"outcome": result.outcome, "content": result.content, "duration_ms": 0, "truncated": False}


async def _fitted(result: ToolResult, schema: dict[str, Any]) -> ToolResult:
    """Return a result with the defaults of its schema, or a failure if it does not match."""
    content, problems = await fit_value(schema, result.content)
    if not problems:
        return replace(result, content=content)
    # The call may have had an effect: the model must not take it for one that did not start.
    words = f"the call was made, but its result does not match the tool's `output` schema: {listed(problems)}"
    return ToolResult(outcome="failed", content=words)


def _cut(content: Any) -> tuple[Any, bool]:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    if len(text) <= MAX_SENT:
        return content, False
    return f"{text[:MAX_SENT]}\n[{len(text) - MAX_SENT} more characters are left out]", True


def listed(problems: Sequence[tuple[str, str]]) -> str:
    """Return the first problems of a value as one text."""
    return "; ".join(f"{path}: {message}" if path else message for path, message in problems[:10])
