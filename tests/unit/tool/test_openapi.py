"""OpenAPI documents: operations as tools, and operations that cannot be tools."""

from __future__ import annotations

from typing import Any

import pytest

from compozy.schema import validate_value
from compozy.tool.config import HttpRequest, ToolConfig
from compozy.tool.http_request import build_request, read_variables
from compozy.tool.openapi import Fixed, OperationTool, read_operations, tool_of
from compozy.tool.openapi_schema import OpenApiError

SERVERS = [{"url": "https://{host}/v1/", "variables": {"host": {"default": "api.example.com"}}}]


def document(paths: Any, **more: Any) -> dict[str, Any]:
    """Return a document with these paths."""
    return {"openapi": "3.0.3", "servers": SERVERS, "paths": paths, **more}


def built(paths: Any, fixed: Fixed | None = None, **more: Any) -> OperationTool:
    """Return the tool of the first operation."""
    whole = document(paths, **more)
    return tool_of(whole, read_operations(whole)[0], fixed or Fixed())


def sent(tool: OperationTool, **arguments: Any) -> Any:
    """Return the request of a call."""
    http = HttpRequest.model_validate(tool.http)
    config = ToolConfig.model_validate({"id": "t", "input": tool.input, "http": http})
    return build_request(config, arguments, {"TOKEN": "s3cr3t"}, "k" * 24).request


def parameter(name: str, where: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "schema": {"type": kind},
        **({"required": True} if where == "path" else {}),
        **more,
    }


def test_a_request() -> None:
    item = {
        "parameters": [parameter("pet-id", "path")],
        "get": {
            "operationId": "photos/list",
            "summary": "List photos",
            "description": "Newest first.",
            "parameters": [
                parameter("limit", "query", "integer", description="at most"),
                parameter("filter[tag]", "query", "array"),
                parameter("X-Trace", "header", required=True),
                parameter("X-Optional", "header"),
                parameter("session", "cookie"),
            ],
        },
    }
    tool = built({"/pets/{pet-id}/photos": item})
    request = sent(tool, **{"pet-id": "a/b", "filter[tag]": ["x", "y z"], "X-Trace": "1"})

    assert tool.description == "List photos\nNewest first."
    assert tool.input["required"] == ["pet-id", "X-Trace"]
    assert list(tool.input["properties"]) == ["pet-id", "limit", "filter[tag]", "X-Trace"]
    assert tool.input["properties"]["limit"] == {"type": "integer", "description": "at most"}
    assert (request.method, request.headers) == ("GET", {"x-trace": "1"})
    assert request.url == "https://api.example.com/v1/pets/a%2Fb/photos?filter%5Btag%5D=x&filter%5Btag%5D=y+z"


@pytest.mark.parametrize(
    ("media_type", "body", "expected", "content_type"),
    [
        ("application/json", {"a": [1]}, b'{"a": [1]}', "application/json"),
        ("application/merge-patch+json", {"a": None}, b'{"a": null}', "application/merge-patch+json"),
        (
            "application/x-www-form-urlencoded; charset=utf-8",
            {"a": "x y"},
            b"a=x+y",
            "application/x-www-form-urlencoded",
        ),
        ("text/plain", "hello", b"hello", "text/plain"),
    ],
)
def test_bodies(media_type: str, body: Any, expected: bytes, content_type: str) -> None:
    tool = built({"/a": {"patch": {"requestBody": {"content": {"image/png": {}, media_type: {"schema": {}}}}}}})
    request = sent(tool, body=body)

    assert tool.input["required"] == ["body"]
    assert (request.body, request.headers["content-type"]) == (expected, content_type)


def test_names_of_operations() -> None:
    paths = {
        "/pets": {"get": {"operationId": "pets.list all"}, "post": {"summary": "x"}, "options": {"summary": "x"}},
        "/pets/{id}": {"delete": {"tags": ["a"]}},
    }
    found = read_operations(document(paths))

    assert [(operation.name, operation.label) for operation in found] == [
        ("pets_list_all", "GET /pets"),
        ("post_pets", "POST /pets"),
        ("delete_pets_id", "DELETE /pets/{id}"),
    ]


def test_parameters_that_the_project_sets_are_not_arguments() -> None:
    fixed = Fixed(
        server="https://other.test/", headers={"x-key": "{{ .env.TOKEN }}"}, query={"key": "{{ .env.TOKEN }}"}
    )
    parameters = [parameter("X-Key", "header", required=True), parameter("key", "query", required=True)]
    tool = built({"/a": {"get": {"parameters": parameters}}}, fixed)
    request = sent(tool)

    assert tool.input == {"type": "object", "properties": {}, "additionalProperties": False}
    assert (request.url, request.headers) == ("https://other.test/a?key=s3cr3t", {"x-key": "s3cr3t"})


SCHEMAS = {
    "Pet": {
        "type": "object",
        "required": ["id", "name", "extra"],
        "properties": {
            "id": {"type": "integer", "readOnly": True},
            "name": {"type": "string", "example": "Rex", "xml": {"name": "n"}},
            "age": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": False},
            "tag": {"type": "string", "nullable": True, "enum": ["a"]},
            "mother": {"$ref": "#/components/schemas/Pet"},
            "owner": {"allOf": [{"$ref": "#/components/schemas/Owner"}], "nullable": True},
        },
    },
    "Owner": {
        "type": "object",
        "properties": {"pets": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}}},
    },
}
BODY = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}


def test_schemas_become_json_schema() -> None:
    components = {"schemas": SCHEMAS, "requestBodies": {"Pet": BODY}}
    tool = built({"/a": {"put": {"requestBody": {"$ref": "#/components/requestBodies/Pet"}}}}, components=components)
    pet = tool.input["$defs"]["Pet"]

    assert pet["required"] == ["name", "extra"]
    assert pet["properties"]["name"] == {"type": "string"}
    assert pet["properties"]["age"] == {"type": "number", "exclusiveMinimum": 0, "maximum": 9}
    assert pet["properties"]["tag"] == {"type": ["string", "null"], "enum": ["a", None]}
    assert "id" not in pet["properties"]
    good = {"name": "Rex", "extra": 1, "mother": {"name": "Eva", "extra": 1, "owner": None, "tag": None}}
    assert validate_value(tool.input, {"body": good}) == []
    assert validate_value(tool.input, {"body": {**good, "mother": {"name": 1}}})


def test_patterns_and_defaults_that_cannot_be_used_are_left_out() -> None:
    schema = {"type": "object", "properties": {"default": {"type": "string", "pattern": "a{2}(?<x>b", "default": 5}}}
    tool = built({"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}})

    assert tool.input["properties"]["body"]["properties"] == {"default": {"type": "string"}}


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"requestBody": {"content": {"multipart/form-data": {}}}},
            "its body is multipart/form-data, which tools do not",
        ),
        ({"requestBody": {}}, "its body is not described"),
        (
            {"requestBody": {"$ref": "other.yaml#/a"}},
            "its reference 'other.yaml#/a' points outside of the file and is not followed",
        ),
        (
            {"requestBody": {"$ref": "https://a.test/x"}},
            "its reference 'https://a.test/x' points outside of the file and is not followed",
        ),
        (
            {"requestBody": {"$ref": "#/components/none"}},
            "its reference '#/components/none' does not exist in the file",
        ),
        ({"parameters": [{"$ref": "#/components/parameters/Circle"}]}, "its references form a cycle"),
        ({"parameters": [parameter("a", "cookie", required=True)]}, "its parameter 'a' is a cookie"),
        (
            {"parameters": [parameter("a", "query", "object", required=True)]},
            "its parameter 'a' is a list or an object",
        ),
        ({"parameters": [parameter('a"b', "query", required=True)]}, "has a name that tools cannot send"),
        ({"servers": [{"url": "/v1"}]}, "its server '/v1' is not a URL with a host; write `server`"),
        ({"servers": [{"url": "https://a.test/{{ .env.TOKEN }}"}]}, "is not a URL with a host"),
        ({"requestBody": {"content": {"application/{{ .env.TOKEN }}+json": {}}}}, "which tools do not send"),
    ],
)
def test_operations_that_cannot_be_tools(operation: dict[str, Any], message: str) -> None:
    circle = {"$ref": "#/components/parameters/Circle"}
    with pytest.raises(OpenApiError) as caught:
        built({"/a": {"post": {"operationId": "x", **operation}}}, components={"parameters": {"Circle": circle}})
    assert message in str(caught.value)


def test_a_schema_that_is_only_itself() -> None:
    components = {"schemas": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}
    with pytest.raises(OpenApiError, match="form a cycle"):
        built({"/a": {"post": {"requestBody": body}}}, components=components)


def test_large_schemas_are_refused() -> None:
    schema = {"type": "object", "properties": {f"name-{number}": {"type": "string"} for number in range(5000)}}
    with pytest.raises(OpenApiError, match="characters; 65536 is the limit"):
        built({"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}})


@pytest.mark.parametrize("path", ["/a/{{ .env.TOKEN }}", "/a/{none}", "/a/{ .env.TOKEN }", "/{{ .env.TOKEN }}/{a}"])
def test_paths_never_become_templates(path: str) -> None:
    with pytest.raises(OpenApiError, match="which is not one of its parameters"):
        built({path: {"get": {"parameters": [parameter("a", "path")]}}})


def test_texts_of_the_document_never_read_variables() -> None:
    evil = "{{ .env.TOKEN }}"
    item = {
        "get": {
            "operationId": evil,
            "description": evil,
            "parameters": [
                parameter(f"q{evil}", "query"),
                parameter("a", "query", description=evil),
                {"name": "b", "in": "query", "schema": {"enum": [evil], "default": evil}},
            ],
        }
    }
    tool = built({"/a}b": item})
    config = ToolConfig.model_validate({"id": "t", "input": tool.input, "http": tool.http})

    assert read_variables(config, {"TOKEN": "s3cr3t"}) == frozenset()
    assert sent(tool, a=evil).url == "https://api.example.com/v1/a%7Db?a=%7B%7B+.env.TOKEN+%7D%7D"


@pytest.mark.parametrize("written", [None, [], {"swagger": "2.0"}, {"openapi": 3}, {"openapi": "2.0"}])
def test_other_documents(written: Any) -> None:
    with pytest.raises(OpenApiError, match="it is not an OpenAPI 3 document"):
        read_operations(written)


def test_two_operations_of_one_name() -> None:
    with pytest.raises(OpenApiError, match="GET /b and GET /a have the same ID 'x'"):
        read_operations(document({"/a": {"get": {"operationId": "x"}}, "/b": {"get": {"operationId": "x"}}}))


@pytest.mark.parametrize("written", [1, "x", [1], {"get": 1}, {"get": {"parameters": {"a": 1}, "requestBody": None}}])
def test_odd_documents_are_not_a_crash(written: Any) -> None:
    for operation in read_operations(document({"/a": written})):
        tool_of(document({"/a": written}), operation, Fixed())
