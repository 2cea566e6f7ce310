"""Operations of an OpenAPI 3 document as HTTP tools: their arguments as JSON Schema, and their requests as templates.

The document can come from somebody else, so its texts never become templates, and references lead only into itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from compozy.schema import check_schema
from compozy.tool.openapi_schema import Json, OpenApiError, Schemas, as_list, as_map, follow, without

METHODS = ("get", "head", "put", "post", "patch", "delete")
"""Methods of operations that become tools."""
_MAX_DESCRIPTION = 1000
_MAX_SCHEMA = 64 * 1024
_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNQUOTABLE = re.compile(r'["\\{}\x00-\x1f]')
_JSON_TYPE = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+\+json")
_FORM = "application/x-www-form-urlencoded"
# Headers that are not parameters, as OpenAPI has it.
_OWN_HEADERS = frozenset({"accept", "authorization", "content-type"})
_TOLERATED = frozenset({"pattern", "default", "format"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """An operation: `name` is its ID in the form of a name of a tool, `label` is such as `GET /pets`."""

    name: str
    label: str
    method: str
    path: str
    item: Json = field(repr=False)
    body: Json = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class OperationTool:
    """An operation as a tool: keys of `ToolConfig`, and of its `http`."""

    description: str
    input: dict[str, Any]
    http: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A value that the project adds to each request. It is sent as written, and is not an argument.

    Attributes:
        server: address in place of that of the document.
        headers: headers, templates.
        query: parameters of the URL, templates.
    """

    server: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_operations(document: Any) -> list[Operation]:
    """Return the operations of a document in their order.

    Raises:
        OpenApiError: it is not an OpenAPI 3 document, or two operations have the same name.
    """
    version = as_map(document).get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        raise OpenApiError("it is not an OpenAPI 3 document: it has no `openapi: 3.x`")
    found: dict[str, Operation] = {}
    for path, written in as_map(as_map(document).get("paths")).items():
        item = follow(document, written)
        for method in METHODS:
            body = as_map(item.get(method))
            if not body:
                continue
            label = f"{method.upper()} {path}"
            name = _NAME.sub("_", str(body.get("operationId") or f"{method}{path}")).strip("_")
            if name in found:
                raise OpenApiError(f"{label} and {found[name].label} have the same ID {name!r}")
            found[name] = Operation(name=name, label=label, method=method, path=path, item=item, body=body)
    return list(found.values())


def tool_of(document: Any, operation: Operation, fixed: Fixed) -> OperationTool:
    """Return an operation as a tool.

    Raises:
        OpenApiError: its request cannot be sent; the message says why.
    """
    return _Builder(document, operation, fixed).build()


class _Builder:
    """Builds one tool."""

    def __init__(self, document: Any, operation: Operation, fixed: Fixed) -> None:
        self._document = document
        self._operation = operation
        self._fixed = fixed
        self._schemas = Schemas(document)
        self._properties: dict[str, Any] = {}
        self._required: list[str] = []
        self._headers: dict[str, str] = {}
        self._query: dict[str, Any] = {}
        self._segments: dict[str, str] = {}
        self._body: Any = None

    def build(self) -> OperationTool:
        """Return the tool."""
        for parameter in self._parameters():
            self._add_parameter(parameter)
        self._add_body()
        http = {
            "method": self._operation.method.upper(),
            "url": self._server() + self._path(),
            "headers": {**self._headers, **self._fixed.headers},
            "query": {**self._query, **self._fixed.query},
        }
        return OperationTool(
            description=self._description(),
            input=self._input(),
            http={**http, "body": self._body} if self._body is not None else http,
        )

    def _parameters(self) -> Iterator[Json]:
        found: dict[tuple[str, str], Json] = {}
        for source in (self._operation.item, self._operation.body):
            for written in as_list(source.get("parameters")):
                parameter = follow(self._document, written)
                found[str(parameter.get("name")), str(parameter.get("in"))] = parameter
        yield from found.values()

    def _add_parameter(self, parameter: Json) -> None:
        name, where = str(parameter.get("name")), str(parameter.get("in"))
        is_required = parameter.get("required") is True
        if self._is_left_out(name, where, is_required=is_required):
            return
        problem = self._problem(parameter, name, where)
        if problem and is_required:
            raise OpenApiError(f"its parameter {name[:100]!r} {problem}")
        if problem:
            return
        schema = self._schemas.convert(parameter.get("schema", {}))
        if parameter.get("description"):
            schema = {**as_map(schema), "description": str(parameter["description"])[:_MAX_DESCRIPTION]}
        argument = self._add_argument(name, where, schema, is_required=is_required)
        if where == "path":
            self._segments[name] = argument
        elif where == "query":
            self._query[name] = argument
        else:
            self._headers[name] = argument

    def _is_left_out(self, name: str, where: str, *, is_required: bool) -> bool:
        """Return whether the project sends a parameter itself, or it is one that can be missing and no URL shows."""
        if where == "header":
            fixed = {key.lower() for key in self._fixed.headers}
            return not is_required or name.lower() in fixed | _OWN_HEADERS
        return (where == "query" and name in self._fixed.query) or (where == "cookie" and not is_required)

    def _problem(self, parameter: Json, name: str, where: str) -> str:
        """Return why a parameter cannot be sent, an empty text if it can be."""
        if where not in {"path", "query", "header"}:
            return "is a cookie, which tools do not send"
        if _UNQUOTABLE.search(name):
            return "has a name that tools cannot send"
        if "schema" not in parameter:
            return "is sent as a separate document, which tools do not support"
        kinds = set(self._schemas.kinds_of(parameter["schema"]))
        is_plain = where == "query" and parameter.get("style", "form") == "form" and parameter.get("explode", True)
        if "object" in kinds or ("array" in kinds and not is_plain):
            return "is a list or an object in a form that tools do not send"
        return ""

    def _add_argument(self, name: str, where: str, schema: Any, *, is_required: bool) -> str:
        """Add an argument, and return the template that prints it."""
        key = name if name not in self._properties else f"{name}_{where}"
        self._properties[key] = schema
        if is_required or where == "path":
            self._required.append(key)
        return f"{{{{ .input.{key} }}}}" if _ARGUMENT.fullmatch(key) else f'{{{{ index .input "{key}" }}}}'

    def _add_body(self) -> None:
        written = self._operation.body.get("requestBody")
        if written is None:
            return
        if self._operation.method in {"get", "head"}:
            raise OpenApiError(f"it is a {self._operation.method.upper()} request with a body")
        content = as_map(follow(self._document, written).get("content"))
        media_type = next((kind for kind in map(str, content) if _is_sent(kind)), None)
        if media_type is None:
            raise OpenApiError(
                f"its body is {', '.join(map(str, content)) or 'not described'}, which tools do not send"
            )
        plain = media_type.partition(";")[0].strip().lower()
        if plain != "application/json":
            self._headers["Content-Type"] = plain
        schema = self._schemas.convert(as_map(content[media_type]).get("schema", {}))
        # Whether it is required is often not written, and a request without it is rarely what was meant.
        self._body = self._add_argument("body", "content", schema, is_required=True)

    def _server(self) -> str:
        if self._fixed.server is not None:
            return self._fixed.server.rstrip("/")
        sources = (self._operation.body, self._operation.item, as_map(self._document))
        servers = [as_map(server) for source in sources for server in as_list(source.get("servers"))]
        server = servers[0] if servers else as_map(None)
        url, variables = str(server.get("url", "")), as_map(server.get("variables"))
        for name, variable in variables.items():
            url = url.replace(f"{{{name}}}", str(as_map(variable).get("default", "")))
        if not re.match(r"https?://[^/]", url) or re.search(r"[{}\s]", url):
            shown = f"its server {url[:200]!r} is not a URL with a host" if url else "it does not name a server"
            raise OpenApiError(f"{shown}; write `server`")
        return url.rstrip("/")

    def _path(self) -> str:
        """Return the path as a template; texts between its parameters are never one."""
        parts: list[str] = []
        for index, part in enumerate(re.split(r"\{([^{}]*)\}", self._operation.path)):
            if index % 2:
                if part not in self._segments:
                    raise OpenApiError(f"its path has {{{part[:100]}}}, which is not one of its parameters")
                parts.append(self._segments[part])
            else:
                parts.append(quote(part, safe="/:@!$&'()*+,;=~%"))
        path = "".join(parts)
        return path if path.startswith("/") else f"/{path}"

    def _description(self) -> str:
        texts = [
            str(self._operation.body[key]).strip() for key in ("summary", "description") if key in self._operation.body
        ]
        return "\n".join(dict.fromkeys(texts))[:_MAX_DESCRIPTION] or self._operation.label

    def _input(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object", "properties": self._properties, "additionalProperties": False}
        if self._required:
            schema["required"] = self._required
        if self._schemas.definitions:
            schema["$defs"] = self._schemas.definitions
        size = len(json.dumps(schema))
        if size > _MAX_SCHEMA:
            raise OpenApiError(f"the schema of its arguments has {size} characters; {_MAX_SCHEMA} is the limit")
        if check_schema(schema):
            # Regular expressions of other languages, and defaults that do not match.
            schema = without(schema, _TOLERATED)
        for problem in check_schema(schema):
            raise OpenApiError(
                f"the schema of its arguments is wrong at {'.'.join(map(str, problem.path))}: {problem.message}"
            )
        return schema


def _is_sent(media_type: str) -> bool:
    plain = media_type.partition(";")[0].strip().lower()
    # The name becomes a header, which is a template.
    return plain in {"application/json", _FORM, "text/plain"} or _JSON_TYPE.fullmatch(plain) is not None
