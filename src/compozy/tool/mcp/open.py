"""How the connection to an MCP server is opened: a process, or requests to its URL."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from compozy.errors import ToolError
from compozy.outbound.rules import OutboundPolicy, header_problem
from compozy.tool.environment import basic_environment, fill_variables
from compozy.tool.mcp.config import McpConfig
from compozy.tool.mcp.connection import Connection, mode_of
from compozy.tool.mcp.http import new_client
from compozy.tool.mcp.limits import MAX_MESSAGE
from compozy.tool.mcp.oauth import Credentials, TokenSource
from compozy.tool.mcp.servers import ServerHome
from compozy.tool.mcp.session import Endpoint
from compozy.tool.mcp.stdio import ServerCommand, ServerProcess, run_server

# A server of this machine that the project names itself.
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def open_server(config: McpConfig, home: ServerHome) -> Connection:
    """Return the connection to a server.

    Raises:
        ToolError: a variable is not set, or a value cannot be used.
    """
    try:
        mode = mode_of(config.proto)
    except ValueError as error:
        raise _error(config, str(error)) from error
    process = ServerProcess()
    if config.kind == "stdio":
        opened = partial(run_server, _command_of(config, home), process)
    else:
        url, headers = _address_of(config, home)
        client = partial(new_client, _policy(url, home), headers, _tokens_of(config, home))
        opened = partial(_http, config, url, client)
    endpoint = Endpoint(
        server=config.id,
        open=opened,
        mode=mode,
        start_timeout_s=config.start_timeout,
        explain=lambda: process.end,
        has_one_stream=config.kind != "streamable-http",
    )
    return Connection(endpoint)


def _command_of(config: McpConfig, home: ServerHome) -> ServerCommand:
    fill = partial(fill_variables, environ=home.environ, who=_who(config), server=config.id)
    own = {name: fill(value) for name, value in (config.env or {}).items()}
    words = [*shlex.split(config.command or ""), *config.args]
    return ServerCommand(
        command=[fill(word) for word in words],
        environment={**basic_environment(home.environ), **own},
        cwd=str(home.root / (config.cwd or ".")),
        name=config.id,
        secrets=frozenset(own.values()),
    )


def _address_of(config: McpConfig, home: ServerHome) -> tuple[str, dict[str, str]]:
    fill = partial(fill_variables, environ=home.environ, who=_who(config), server=config.id)
    url = fill(config.url or "")
    headers = {name: fill(value) for name, value in config.headers.items()}
    for name, value in headers.items():
        problem = header_problem(name, value)
        if problem:
            raise _error(config, problem)
    return url, headers


def _policy(url: str, home: ServerHome) -> OutboundPolicy:
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        host = ""
    named = frozenset({host}) & _LOOPBACK
    return OutboundPolicy(max_bytes=MAX_MESSAGE, private_hosts=home.private_hosts | named)


def _tokens_of(config: McpConfig, home: ServerHome) -> TokenSource | None:
    if config.auth is None:
        return None
    fill = partial(fill_variables, environ=home.environ, who=_who(config), server=config.id)
    credentials = Credentials(
        token_url=fill(config.auth.token_url),
        client_id=fill(config.auth.client_id),
        client_secret=fill(config.auth.client_secret),
        scope=config.auth.scope,
    )
    return TokenSource(credentials, _policy(credentials.token_url, home))


@asynccontextmanager
async def _http(
    config: McpConfig, url: str, client: Callable[[], httpx2.AsyncClient]
) -> AsyncGenerator[tuple[Any, Any], None]:
    if config.kind == "sse":
        async with sse_client(url, httpx_client_factory=partial(_sse_client, client)) as streams:
            yield streams
        return
    async with (
        client() as opened,
        streamable_http_client(url, http_client=opened, max_sse_event_size=MAX_MESSAGE) as streams,
    ):
        yield streams


def _sse_client(
    client: Callable[[], httpx2.AsyncClient],
    headers: dict[str, str] | None = None,  # noqa: ARG001 - its signature
    timeout: httpx2.Timeout | None = None,  # noqa: ARG001 - its signature
    auth: httpx2.Auth | None = None,  # noqa: ARG001 - its signature
) -> httpx2.AsyncClient:
    return client()


def _who(config: McpConfig) -> str:
    return f"MCP server {config.id!r}"


def _error(config: McpConfig, words: str) -> ToolError:
    return ToolError(f"MCP server {config.id!r}: {words}", details={"server": config.id})
