"""Calls of MCP tools: repeated where their effect allows it, and never an end of the run."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from mcp_types import InputRequiredResult

from compozy.clock import monotonic_s
from compozy.errors import ToolError
from compozy.ids import jitter
from compozy.tool.kind import ToolCall, ToolResult, ToolSpec
from compozy.tool.mcp.config import McpConfig
from compozy.tool.mcp.connection import Connection
from compozy.tool.mcp.content import content_of, files_of
from compozy.tool.mcp.questions import asked_by, is_same_question, responses_to
from compozy.tool.mcp.servers import McpServers
from compozy.tool.mcp.session import GoneError, RequestError

if TYPE_CHECKING:
    from mcp_types import Tool

KEY = "compozy/idempotencyKey"
"""Where in `_meta` of a call its idempotency key is."""
_ATTEMPTS = 5
_PAUSE_S = 0.05


async def list_tools(config: McpConfig, connection: Connection) -> list[Tool]:
    """Return all tools of a server; an attempt that failed is repeated once.

    Raises:
        ToolError: the server cannot be reached, or offers no tools.
    """
    for is_last in (False, True):
        try:
            return await connection.list_tools()
        except GoneError as error:
            if is_last or error.is_final or not error.is_sent:
                raise _unusable(config, error.message) from error
        except RequestError as error:
            raise _unusable(config, error.message) from error
        except TimeoutError as error:
            raise _unusable(config, f"it did not list its tools within {config.start_timeout:g} s") from error
    raise AssertionError("unreachable")


class McpTool:
    """A tool of an MCP server."""

    def __init__(self, spec: ToolSpec, config: McpConfig, servers: McpServers) -> None:
        self._spec = spec
        self._config = config
        self._servers = servers

    async def describe(self) -> ToolSpec:
        """Return the description for the model, as it was recorded."""
        return self._spec

    async def call(self, call: ToolCall) -> ToolResult:
        """Call the tool. A lost connection is an unknown outcome, unless the call can be repeated."""
        deadline_s = monotonic_s() + call.timeout_s
        connection = await self._servers.connect(self._config)
        for attempt in range(_ATTEMPTS):
            try:
                return await self._call_once(connection, call, deadline_s - monotonic_s())
            except GoneError as error:
                is_repeatable = not error.is_sent or self._spec.effect != "once"
                is_last = attempt == _ATTEMPTS - 1 or monotonic_s() >= deadline_s
                if is_repeatable and not is_last and not error.is_final:
                    await asyncio.sleep(jitter(_PAUSE_S * 2**attempt))
                    continue
                words = f"MCP server {self._config.id!r}: {error.message}"
                return ToolResult(outcome="unknown" if error.is_sent else "failed", content=words)
            except TimeoutError:
                words = f"MCP server {self._config.id!r} did not answer within {call.timeout_s:g} s"
                return ToolResult(outcome="unknown", content=words)
            except RequestError as error:
                return ToolResult(outcome="failed", content=error.message)
        raise AssertionError("unreachable")

    async def _call_once(self, connection: Connection, call: ToolCall, left_s: float) -> ToolResult:
        ask = partial(
            connection.call,
            self._spec.remote or self._spec.name,
            call.input,
            meta={KEY: call.key},
            timeout_s=max(left_s, 0.0),
        )
        answer = call.answer
        if answer is None:
            result = await ask()
        else:
            try:
                result = await ask(responses=responses_to(answer), state=answer.questions.state)
            except RequestError as error:
                if "requestState" not in error.message:
                    raise
                # A server that was restarted has forgotten its question, and asks again.
                result = await ask()
            if isinstance(result, InputRequiredResult) and is_same_question(result, answer.questions):
                result = await ask(responses=responses_to(answer), state=result.request_state)
        if isinstance(result, InputRequiredResult):
            return asked_by(result)
        content, files = await asyncio.to_thread(lambda: (content_of(result), files_of(result)))
        return ToolResult(outcome="failed" if result.is_error else "ok", content=content, files=files)


def _unusable(config: McpConfig, words: str) -> ToolError:
    return ToolError(
        f"MCP server {config.id!r} cannot be used: {words}",
        hint="check the `command` or `url` of the server, and run `compozy mcp check`",
        http_hint="check the `command` or `url` of the server",
        details={"server": config.id},
    )
