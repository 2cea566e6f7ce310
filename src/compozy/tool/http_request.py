"""The request of an HTTP tool, from its templates and the arguments of a call.

Arguments come from a model. In the URL each of their values stays a value: it is percent-encoded, and cannot become a
host, another part of the path or a parameter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

from compozy import template
from compozy.errors import ToolError
from compozy.jsoninput import parse_json
from compozy.outbound.rules import (
    SAFE_METHODS,
    OutboundRequest,
    header_problem,
)
from compozy.tool.config import HttpRequest, ToolConfig
from compozy.tool.environment import own_environment

ROOTS = ("input", "config", "env")
"""The variables of templates of an HTTP tool."""
_TRUSTED = frozenset({"config", "env"})
_FORM = "application/x-www-form-urlencoded"
# Characters for private use: no encoded value contains them.
_EMPTY = "\ue000"
_FROM_INPUT = "\ue001"


@dataclass(frozen=True, kw_only=True)
class BuiltRequest:
    """A request, the hosts that it can reach, and its headers that no result shows."""

    request: OutboundRequest
    hosts: tuple[str, ...]
    secrets: frozenset[str]


def build_request(
    config: ToolConfig, arguments: Mapping[str, Any], environ: Mapping[str, str], key: str
) -> BuiltRequest:
    """Return the request of a call.

    Args:
        config: the tool; it has `http`.
        arguments: they fit the schema of the tool.
        environ: the environment with `.env`.
        key: idempotency key of the call.

    Raises:
        TemplateError: a template cannot be rendered.
        ToolError: a value would change more than its own part of the URL or a header.
    """
    http = config.http
    assert http is not None  # noqa: S101 - see above
    data = {
        "input": {**dict.fromkeys(properties_of(config)), **arguments},
        "config": config.config or {},
        "env": {**environ, **own_environment(config, environ)},
    }
    try:
        url, hosts = _url(http, data)
        headers = _headers(http, data)
        body, media_type = _body(http, headers, data)
    except UnicodeEncodeError as error:
        raise ToolError("an argument is not valid text: it contains half of a character") from error
    if media_type:
        headers.setdefault("content-type", media_type)
    if http.method not in SAFE_METHODS:
        headers.setdefault("idempotency-key", key)
    request = OutboundRequest(method=http.method, url=url, headers=headers, body=body)
    return BuiltRequest(request=request, hosts=hosts, secrets=_secret_headers(http, headers))


def properties_of(config: ToolConfig) -> tuple[str, ...]:
    """Return the names of the arguments that the schema of a tool lists."""
    properties: Any = (config.input or {}).get("properties")
    return tuple(cast("dict[str, Any]", properties)) if isinstance(properties, dict) else ()


def read_variables(config: ToolConfig, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that the templates of a tool read; all if a template reads `.env` itself."""
    names: set[str] = set()
    for text in _texts(config.http):
        for reference in template.compile(text, dialect="compozy").references:
            if reference.path[0] == "env":
                names |= {reference.path[1]} if len(reference.path) > 1 else set(environ)
    return frozenset(names)


def check_variables(config: ToolConfig, environ: Mapping[str, str]) -> None:
    """Refuse a tool that reads a variable that is not set.

    Raises:
        ToolError: names the variable.
    """
    known = {**environ, **own_environment(config, environ)}
    for name in sorted(read_variables(config, environ)):
        if name not in known:
            raise ToolError(
                f"tool {config.id!r} needs the variable {name}, which is not set",
                hint="set it in the environment or in .env",
                details={"tool": config.id, "variable": name},
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, HttpRequest):
        value = [value.url, value.headers, value.query, value.body]
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from _texts(item)


def _url(http: HttpRequest, data: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the URL and the hosts that the request can reach."""
    compiled = template.compile(http.url.strip(), name="url", dialect="compozy")
    url = compiled.render(data, escape=template.Escape(quote=_encoded, trusted=_TRUSTED))
    outline = compiled.render(data, escape=template.Escape(quote=lambda _: _FROM_INPUT, trusted=_TRUSTED))
    try:
        parts, fixed = urlsplit(url), urlsplit(outline)
    except ValueError as error:
        raise ToolError(f"url: {http.url!r} does not give a URL") from error
    if not fixed.scheme or not parts.netloc:
        hint = "start it with `https://` and a host; values of `.input` are percent-encoded"
        raise ToolError(f"url: {http.url!r} does not give a URL", hint=hint)
    _check_path(parts.path)
    own = () if _FROM_INPUT in fixed.netloc else (fixed.netloc.rpartition("@")[2],)
    if not own and not http.hosts:
        raise ToolError("url: the host depends on `.input`", hint="list the allowed hosts in `hosts`")
    query = "&".join(part for part in (parts.query, urlencode(list(_parameters(http, data)))) if part)
    whole = urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")).replace(_EMPTY, "")
    return whole, (*http.hosts, *own)


def _encoded(text: str) -> str:
    return quote(text, safe="") or _EMPTY


def _check_path(path: str) -> None:
    """Refuse values that would change which parts a path has."""
    for part in path.split("/"):
        if part and not part.strip(_EMPTY):
            raise ToolError("url: a part of the path is empty, because a value of `.input` is")
        if unquote(part.replace(_EMPTY, "")) in {".", ".."}:
            raise ToolError("url: a part of the path is `.` or `..`, which leads to another path")


def _parameters(http: HttpRequest, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, written in http.query.items():
        value = _rendered(written, data, f"query.{name}")
        for item in cast("list[Any]", value) if isinstance(value, list) else [value]:
            if item is not None and item != "":
                yield name, _as_text(item)


def _headers(http: HttpRequest, data: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by their names in lower case."""
    headers: dict[str, str] = {}
    for name, written in http.headers.items():
        compiled = template.compile(written, name=f"headers.{name}", dialect="compozy")
        value = compiled.render(data).strip(" \t")
        problem = header_problem(name, value)
        if problem:
            raise ToolError(problem)
        headers[name.lower()] = value
    return headers


def _body(http: HttpRequest, headers: Mapping[str, str], data: Mapping[str, Any]) -> tuple[bytes | None, str]:
    """Return the body, and the media type that it has if no header says otherwise."""
    if http.body is None:
        return None, ""
    value = _rendered(http.body, data, "body")
    if headers.get("content-type", "").startswith(_FORM) and isinstance(value, dict):
        fields = cast("dict[str, Any]", value).items()
        return urlencode([(name, _as_text(item)) for name, item in fields if item is not None]).encode(), _FORM
    if isinstance(value, str):
        return value.encode(), "application/json" if _is_json(value) else "text/plain; charset=utf-8"
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(), "application/json"


def _is_json(text: str) -> bool:
    try:
        return text.lstrip()[:1] in {"{", "["} and parse_json(text) is not None
    except ValueError:
        return False


def _rendered(value: Any, data: Mapping[str, Any], name: str) -> Any:
    """Return a value with its templates rendered; a text that is one action keeps the type of its value."""
    if isinstance(value, str):
        return template.compile(value, name=name, dialect="compozy").evaluate(data)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: _rendered(item, data, f"{name}.{key}") for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_rendered(item, data, f"{name}.{index}") for index, item in enumerate(cast("list[Any]", value))]
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def secrets_of(config: ToolConfig, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the values that the templates of a tool get from the environment."""
    own = own_environment(config, environ)
    known = {**environ, **own}
    return frozenset({*own.values(), *(known.get(name, "") for name in read_variables(config, environ))})


def _secret_headers(http: HttpRequest, headers: Mapping[str, str]) -> frozenset[str]:
    """Return the values of headers that hold a variable, in whatever form, and the part behind `Bearer`."""
    secrets: set[str] = set()
    for name, written in http.headers.items():
        if any(found.path[0] == "env" for found in template.compile(written, dialect="compozy").references):
            value = headers[name.lower()]
            secrets |= {value, value.rpartition(" ")[2]}
    return frozenset(secrets)
