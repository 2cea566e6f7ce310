"""Checks of tools that send requests: templates, the expression that selects the result, where requests can go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from compozy.config.nodes import (
    MappingNode,
    ScalarNode,
    SequenceNode,
    child,
    key_place_at,
    text_at,
    to_value,
    walk_scalars,
)
from compozy.errors import Diagnostic, ExpressionSyntaxError, TemplateSyntaxError
from compozy.expression import compile as compile_expression
from compozy.nearest import suggest
from compozy.outbound.rules import SAFE_METHODS, header_problem, is_host
from compozy.template import Reference, has_actions
from compozy.template import compile as compile_template
from compozy.tool.http_request import ROOTS

_TEMPLATES = ("url", "headers", "query", "body")
_ANSWER = ("body", "status", "headers")
# Scheme and authority of a URL, in which actions can stand.
_AUTHORITY = re.compile(r"https?://((?:\{\{.*?\}\}|[^/?#{}])*)", re.IGNORECASE)
_OPEN = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"})


def check_http(node: MappingNode) -> Iterator[Diagnostic]:
    """Yield what is wrong with the request of a tool besides the types of its values."""
    http = child(node, "http")
    if not isinstance(http, MappingNode):
        return
    for key in _TEMPLATES:
        found = child(http, key)
        for below, scalar in walk_scalars(found) if found is not None else ():
            if isinstance(scalar.value, str) and has_actions(scalar.text):
                yield from _check_template(node, scalar, ".".join(map(str, ("http", key, *below))))
    yield from _check_url(http)
    yield from _check_hosts(http, "http")
    yield from _check_headers(http)
    yield from _check_select(http)
    method = text_at(http, "method") or "GET"
    if method in SAFE_METHODS and http.entry("body") is not None:
        message = f"http.body: a {method} request has no body"
        yield _fault(key_place_at(http, ("body",)), message, "use `query`, or another `method`")


def _check_template(node: MappingNode, scalar: ScalarNode, name: str) -> Iterator[Diagnostic]:
    try:
        compiled = compile_template(scalar.text, name=name, dialect="compozy", locate=scalar.locate)
    except TemplateSyntaxError as error:
        place = error.location or scalar.place
        yield Diagnostic(location=place, message=error.message, hint=error.hint, code=error.code)
        return
    for reference in compiled.references:
        words = _check_reference(node, reference)
        if words is not None:
            yield Diagnostic(
                location=reference.location or scalar.place,
                message=f"{name}: {words[0]}",
                hint=words[1],
                code="reference",
            )


def _check_reference(node: MappingNode, reference: Reference) -> tuple[str, str] | None:
    """Return the message and the hint for a path that cannot be read."""
    root, *rest = reference.path
    if root not in ROOTS:
        return f".{root} does not exist here", "an HTTP tool reads `.input`, `.config` and `.env`"
    if root == "env" or not (rest or root == "input"):
        return None
    if root == "input":
        schema = child(node, "input")
        if schema is None:
            return ".input is read, but the tool has no `input`", "write the JSON Schema of the arguments as `input`"
        known = _properties(to_value(schema))
    else:
        config = child(node, "config")
        known = list(to_value(config)) if isinstance(config, MappingNode) else []
    if known is None or not rest or rest[0] in known or reference.optional:
        return None
    where = "`input`" if root == "input" else "`config`"
    return f".{root}.{rest[0]} is not part of {where}", suggest(rest[0], known) or f"add it to {where}"


def _properties(schema: Any) -> list[str] | None:
    """Return the names of the properties that a schema allows, None if it does not list them all."""
    if not isinstance(schema, dict):
        return None
    fields = cast("dict[str, Any]", schema)
    if fields.get("additionalProperties") or _OPEN & fields.keys() or not isinstance(fields.get("properties"), dict):
        return None
    return list(fields["properties"])


def _check_url(http: MappingNode) -> Iterator[Diagnostic]:
    url = child(http, "url")
    if not isinstance(url, ScalarNode) or not url.text.strip():
        return
    text = url.text.strip()
    found = _AUTHORITY.match(text)
    if found is None:
        if not text.startswith("{{"):
            message = f"http.url: {text[:100]!r} is not a URL"
            yield _fault(url.place, message, "start it with `https://` and a host")
        elif _reads_input(text[: text.find("}}")]):
            yield _fault(
                url.place, "http.url: the whole URL comes from `.input`", "start it with `https://` and a host"
            )
        return
    if "@" in re.sub(r"\{\{.*?\}\}", "", found[1]):
        message = "http.url: a URL with a user or a password is not requested"
        yield _fault(url.place, message, "write a header `Authorization`")
    elif _reads_input(found[1]) and child(http, "hosts") is None:
        message = "http.url: the host depends on `.input`"
        yield _fault(url.place, message, "list the allowed hosts in `hosts`, such as `*.example.com`")


def _reads_input(text: str) -> bool:
    return any(re.search(r"\.input\b", action) for action in re.findall(r"\{\{.*", text))


def check_fetch(node: MappingNode) -> Iterator[Diagnostic]:
    """Yield what is wrong with `config` of the built-in tool `cp__fetch`."""
    config = child(node, "config")
    if not isinstance(config, MappingNode):
        return
    for entry in config.entries:
        if entry.key != "hosts":
            hint = suggest(entry.key, ["hosts"]) or "it has `hosts`, a list"
            yield _fault(entry.key_place, f"config: 'cp__fetch' does not read {entry.key!r}", hint)
        elif not isinstance(entry.value, SequenceNode):
            yield _fault(entry.value.place, "config.hosts: expected a list of hosts", "write `[api.example.com]`")
    yield from _check_hosts(config, "config")


def _check_hosts(node: MappingNode, name: str) -> Iterator[Diagnostic]:
    hosts = child(node, "hosts")
    for item in hosts.items if isinstance(hosts, SequenceNode) else ():
        if not isinstance(item, ScalarNode) or not is_host(item.text):
            text = item.text if isinstance(item, ScalarNode) else "a list or a map"
            message = f"{name}.hosts: {text!r} is not a host"
            hint = "write `api.example.com`, `*.example.com` or `localhost:8080`"
            yield _fault(item.place, message, hint)


def _check_headers(http: MappingNode) -> Iterator[Diagnostic]:
    headers = child(http, "headers")
    for entry in headers.entries if isinstance(headers, MappingNode) else ():
        text = entry.value.text if isinstance(entry.value, ScalarNode) else ""
        problem = header_problem(entry.key, "" if has_actions(text) else text)
        if problem:
            yield _fault(entry.key_place, f"http.headers: {problem}", "")


def _check_select(http: MappingNode) -> Iterator[Diagnostic]:
    found = child(http, "select")
    if not isinstance(found, ScalarNode) or not isinstance(found.value, str):
        return
    try:
        expression = compile_expression(found.text, locate=found.locate)
    except ExpressionSyntaxError as error:
        place = error.location or found.place
        yield Diagnostic(location=place, message=error.message, hint=error.hint, code=error.code)
        return
    for reference in expression.references:
        if reference.path[0] not in _ANSWER:
            message = f"http.select: {reference.path[0]} does not exist here"
            hint = suggest(reference.path[0], _ANSWER) or "it reads `body`, `status` and `headers`"
            place = found.locate(reference.offset)
            yield Diagnostic(location=place, message=message, hint=hint, code="reference")


def _fault(place: Any, message: str, hint: str) -> Diagnostic:
    return Diagnostic(location=place, message=message, hint=hint, code="tool")
