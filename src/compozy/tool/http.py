"""HTTP tools: a request to an API, and its answer as a result."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from functools import partial
from typing import Any

from compozy.errors import CompozyError, ExpressionError, TemplateError, ToolError
from compozy.expression import evaluate
from compozy.jsoninput import parse_json
from compozy.outbound.rules import (
    OutboundError,
    OutboundPolicy,
    OutboundResponse,
    show_url,
)
from compozy.outbound.send import Resolve, resolve_host, send
from compozy.schema.worker import compute
from compozy.tool.config import ToolConfig
from compozy.tool.environment import mask_values
from compozy.tool.http_request import BuiltRequest, build_request, check_variables, secrets_of
from compozy.tool.kind import Tool, ToolCall, ToolHome, ToolResult, ToolSpec, effect_of
from compozy.turn import current_turn

MAX_BYTES = 2 * 1024 * 1024
"""Size of an answer."""
PRIVATE_HINT = "list the host in `runtime.native_tools.private_hosts` to allow it"
_MAX_EXCERPT = 2000
# Larger values leave the event loop before they are parsed.
_LARGE = 50_000
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def new_tool(config: ToolConfig, home: ToolHome) -> Tool:
    """Return the tool that `http` describes."""
    return HttpTool(config, home)


class HttpTool:
    """A request to an API. `resolve` finds the addresses of hosts."""

    def __init__(self, config: ToolConfig, home: ToolHome, *, resolve: Resolve = resolve_host) -> None:
        self._config = config
        self._home = home
        self._resolve = resolve

    async def describe(self) -> ToolSpec:
        """Return the description for the model.

        Raises:
            ToolError: a variable that the request needs is not set.
        """
        config = self._config
        check_variables(config, self._home.environ)
        return ToolSpec(
            name=config.id,
            description=config.description or config.name or "",
            schema=config.input if config.input is not None else _NOTHING,
            effect=effect_of(config),
            kind="http",
            version=config.version,
        )

    async def call(self, call: ToolCall) -> ToolResult:
        """Send the request. An answer with a status of 400 or above is a failure."""
        config, environ = self._config, self._home.environ
        secrets = secrets_of(config, environ)
        try:
            built = await compute(partial(build_request, config, call.input, environ, call.key))
        except (ExpressionError, TemplateError, ToolError) as error:
            return ToolResult(outcome="failed", content=mask_values(_words(error), secrets))
        secrets |= built.secrets
        result = await self._send(built, call.timeout_s, secrets)
        return ToolResult(outcome=result.outcome, content=mask_values(result.content, secrets))

    async def _send(self, built: BuiltRequest, timeout_s: float, secrets: frozenset[str]) -> ToolResult:
        policy = OutboundPolicy(
            max_bytes=min(MAX_BYTES, self._config.limits.output),
            total_s=timeout_s,
            private_hosts=frozenset(host.lower() for host in self._home.settings.native_tools.private_hosts),
            hosts=built.hosts,
        )
        try:
            answer = await send(built.request, policy, resolve=self._resolve)
        except OutboundError as error:
            return failure(error)
        if answer.status >= 400:
            words = f"{built.request.method} {show_url(answer.url)} answered {answer.status} {answer.reason}"
            return ToolResult(outcome="failed", content=f"{words}: {_excerpt(answer, secrets)}".rstrip(": "))
        try:
            return ToolResult(outcome="ok", content=await compute(partial(self._select, answer)))
        except (ToolError, ExpressionError) as error:
            # The request took effect, so it is not one that failed.
            words = f"the request was answered with {answer.status}, but its answer cannot be used: {error.message}"
            return ToolResult(outcome="unknown", content=words)

    def _select(self, answer: OutboundResponse) -> Any:
        if len(answer.body) > _LARGE:
            current_turn().leave_loop()
        http = self._config.http
        body = read_body(answer)
        if http is not None and http.select is not None:
            variables = {"body": body, "status": answer.status, "headers": dict(answer.headers)}
            return evaluate(http.select, variables, name="http.select")
        if http is not None and http.method == "HEAD":
            return {"status": answer.status, "headers": dict(answer.headers)}
        return body if body is not None else {"status": answer.status}


def failure(error: OutboundError) -> ToolResult:
    """Return the result of a call whose request failed: unknown if the server may have received it."""
    words = f"{error.message}; {PRIVATE_HINT}" if error.is_private else error.message
    return ToolResult(outcome="unknown" if error.is_sent else "failed", content=words)


def read_body(answer: OutboundResponse) -> Any:
    """Return the value of a JSON answer, else its text; None for an empty one.

    Raises:
        ToolError: it is neither.
    """
    text = decode_body(answer)
    if not text:
        return None
    media_type = _media_type(answer.headers).get_content_type()
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return parse_json(text, lenient=True)
        except ValueError:
            return text
    return text


def decode_body(answer: OutboundResponse) -> str:
    """Return the text of an answer.

    Raises:
        ToolError: it is not text.
    """
    header = _media_type(answer.headers)
    # The last character of an answer that was cut off can be incomplete.
    errors = "ignore" if answer.is_cut else "strict"
    try:
        text = answer.body.decode(str(header.get_param("charset", "utf-8")), errors=errors)
    except (LookupError, UnicodeDecodeError):
        text = "\0"
    if "\0" in text:
        raise ToolError(f"it is binary: {len(answer.body)} bytes of {header.get_content_type()}")
    return text


def _media_type(headers: Mapping[str, str]) -> Message:
    message = Message()
    message["content-type"] = headers.get("content-type", "text/plain")
    return message


def _excerpt(answer: OutboundResponse, secrets: frozenset[str]) -> str:
    try:
        # Masked before it is cut: a part of a secret could not be found.
        text = str(mask_values(decode_body(answer).strip(), secrets))
    except ToolError as error:
        return error.message
    return text if len(text) <= _MAX_EXCERPT else f"{text[:_MAX_EXCERPT]}..."


def _words(error: CompozyError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
