"""`cp__fetch`: an HTTP request of a model to a host of the public network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from compozy.clock import monotonic_s
from compozy.errors import ToolError
from compozy.outbound.rules import SAFE_METHODS, OutboundError, OutboundPolicy, OutboundRequest, header_problem
from compozy.outbound.send import Resolve, resolve_host, send
from compozy.tool.built_in.folder import CallError
from compozy.tool.built_in.specs import FETCH_TIMEOUT_MS, MAX_FETCHED
from compozy.tool.config import ToolConfig
from compozy.tool.http import decode_body, failure
from compozy.tool.kind import ToolCall, ToolHome, ToolResult


async def fetch(config: ToolConfig, home: ToolHome, call: ToolCall, *, resolve: Resolve = resolve_host) -> ToolResult:
    """Send the request of a call and return the answer, whatever its status is.

    Raises:
        CallError: the arguments are not a request.
    """
    request = _request(call.input)
    timeout_s = min(call.input.get("timeout_ms", FETCH_TIMEOUT_MS) / 1000, call.timeout_s)
    policy = OutboundPolicy(
        max_bytes=MAX_FETCHED,
        total_s=timeout_s,
        private_hosts=frozenset(host.lower() for host in home.settings.native_tools.private_hosts),
        hosts=_hosts(config),
        cuts=True,
    )
    began_s = monotonic_s()
    try:
        answer = await send(request, policy, resolve=resolve)
    except OutboundError as error:
        return failure(error)
    try:
        text = decode_body(answer)
    except ToolError as error:
        # The request took effect, so it is not one that failed.
        return ToolResult(outcome="unknown", content=f"answered {answer.status}, but {error.message}")
    content = {
        "status_code": answer.status,
        "status_text": answer.reason,
        "headers": dict(answer.headers),
        "body": text,
        "body_truncated": answer.is_cut,
        "duration_ms": round((monotonic_s() - began_s) * 1000),
    }
    return ToolResult(outcome="ok", content=content)


def _request(arguments: Mapping[str, Any]) -> OutboundRequest:
    method = str(arguments.get("method", "GET"))
    headers: dict[str, str] = {name.lower(): value for name, value in arguments.get("headers", {}).items()}
    for name, value in headers.items():
        problem = header_problem(name, value)
        if problem:
            raise CallError("InvalidArgument", problem)
    body = arguments.get("body")
    if body is None:
        return OutboundRequest(method=method, url=arguments["url"], headers=headers)
    if method in SAFE_METHODS:
        raise CallError("InvalidArgument", f"a {method} request has no body")
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    headers.setdefault("content-type", "text/plain; charset=utf-8" if isinstance(body, str) else "application/json")
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise CallError("InvalidArgument", "`body` is not valid text: it contains half of a character") from error
    return OutboundRequest(method=method, url=arguments["url"], headers=headers, body=data)


def _hosts(config: ToolConfig) -> tuple[str, ...] | None:
    """Return `config.hosts` of the tool; None, for all public hosts, if it is not written."""
    hosts: Any = (config.config or {}).get("hosts")
    return None if hosts is None else tuple(map(str, cast("list[Any]", hosts)))
