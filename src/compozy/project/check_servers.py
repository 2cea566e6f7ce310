"""Checks of MCP servers: how they are reached, and what is said about their tools."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from compozy.config.nodes import (
    MappingNode,
    ScalarNode,
    YamlPath,
    child,
    key_place_at,
    node_at,
    place_at,
    text_at,
)
from compozy.errors import Diagnostic
from compozy.outbound.rules import PORTS, header_problem
from compozy.project.check_approval import check_approval
from compozy.project.link_servers import prefix_of
from compozy.project.outline import id_place, map_items
from compozy.tool.config import BUILT_IN_PREFIX
from compozy.tool.environment import BLOCKED
from compozy.tool.mcp.config import PROTOCOL_VERSIONS

_OF_PROCESSES = ("command", "args", "env", "cwd")
_OF_URLS = ("url", "headers", "auth")
_VARIABLE = "${"


def check_server(node: MappingNode) -> Iterator[Diagnostic]:
    """Yield what is wrong with an MCP server besides the types of its values."""
    name = text_at(node, "id")
    command, url = child(node, "command"), child(node, "url")
    if command is not None and url is not None:
        yield _fault(node, ("url",), f"MCP server {name!r} has both `command` and `url`", "write one of them")
    elif command is None and url is None:
        message = f"MCP server {name!r} has neither `command` nor `url`"
        hint = "write the program that is started as `command`, or the address of the server as `url`"
        yield Diagnostic(location=id_place(node), message=message, hint=hint, code="tool")
    else:
        yield from _check_transport(node, name, is_process=command is not None)
    yield from _check_url(node, ("url",))
    yield from _check_url(node, ("auth", "token_url"))
    yield from _check_names(node, name)
    yield from _check_variables(node)
    yield from _check_approvals(node)


def check_servers_in(node: MappingNode, path: YamlPath) -> Iterator[Diagnostic]:
    """Yield what is wrong with the MCP servers of the agent or task at `path`."""
    found = node_at(node, path)
    for _, server in map_items(found, "mcps") if isinstance(found, MappingNode) else ():
        # Without more than an ID it is one that was not found, which is reported.
        if len(server.entries) > 1 or child(server, "id") is None:
            yield from check_server(server)


def _check_transport(node: MappingNode, name: str, *, is_process: bool) -> Iterator[Diagnostic]:
    transport = text_at(node, "transport")
    if transport and (transport == "stdio") is not is_process:
        has = "command" if is_process else "url"
        message = f"MCP server {name!r} has `{has}`, which does not go with `transport: {transport}`"
        hint = "leave `transport` out" if is_process else "leave `transport` out, or write `command`"
        yield _fault(node, ("transport",), message, hint)
    has = "command" if is_process else "url"
    for key in _OF_URLS if is_process else _OF_PROCESSES:
        if child(node, key) is not None:
            message = f"`{key}` does not go with `{has}`"
            yield Diagnostic(location=key_place_at(node, (key,)), message=message, hint="remove it", code="tool")
    proto = text_at(node, "proto")
    if proto and proto not in PROTOCOL_VERSIONS:
        message = f"proto: unknown version {proto!r} of the protocol"
        hint = f"leave it out, or write one of {', '.join(PROTOCOL_VERSIONS)}"
        yield _fault(node, ("proto",), message, hint)


def _check_url(node: MappingNode, path: YamlPath) -> Iterator[Diagnostic]:
    found = node_at(node, path)
    if not isinstance(found, ScalarNode) or found.text.startswith((_VARIABLE, "{{")):
        return
    try:
        parts = urlsplit(found.text)
        is_url = parts.scheme in PORTS and bool(parts.hostname)
        has_user = parts.username is not None or parts.password is not None
    except ValueError:
        is_url, has_user = False, False
    if not is_url:
        hint = "write `https://` and the host, or `http://` for a server of this machine"
        yield _fault(node, path, f"{path[-1]}: {found.text!r:.100} is not a URL of the web", hint)
    elif has_user:
        yield _fault(node, path, f"{path[-1]}: the URL holds a user or a password", "send it as one of `headers`")


def _check_names(node: MappingNode, name: str) -> Iterator[Diagnostic]:
    if prefix_of(node).startswith(BUILT_IN_PREFIX):
        path: YamlPath = ("prefix",) if child(node, "prefix") is not None else ("id",)
        message = f"{path[0]}: the names of its tools would begin with {BUILT_IN_PREFIX!r}, as those of built-in tools"
        yield _fault(node, path, message, "choose another `prefix`")
    headers = child(node, "headers")
    for entry in headers.entries if isinstance(headers, MappingNode) else ():
        value = entry.value.text if isinstance(entry.value, ScalarNode) else ""
        problem = header_problem(entry.key, "" if _VARIABLE in value else value)
        if problem:
            message = f"MCP server {name!r}: {problem}"
            yield Diagnostic(location=entry.key_place, message=message, hint="remove or correct it", code="tool")


def _check_variables(node: MappingNode) -> Iterator[Diagnostic]:
    env = child(node, "env")
    for entry in env.entries if isinstance(env, MappingNode) else ():
        if entry.key in BLOCKED:
            message = f"env: {entry.key} makes programs load code, and is not passed to MCP servers"
            yield Diagnostic(location=entry.key_place, message=message, hint="remove it", code="tool")


def _check_approvals(node: MappingNode) -> Iterator[Diagnostic]:
    rules = node_at(node, ("tools", "approve"))
    names = [entry.key for entry in rules.entries] if isinstance(rules, MappingNode) else []
    for path in (("approve",), *(("tools", "approve", name) for name in names)):
        yield from check_approval(node, path)


def _fault(node: MappingNode, path: YamlPath, message: str, hint: str) -> Diagnostic:
    return Diagnostic(location=place_at(node, path), message=message, hint=hint, code="tool")
