"""An argument stays one value of the request, whatever it contains."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.errors import ToolError
from compozy.tool.config import ToolConfig
from compozy.tool.http_request import BuiltRequest, build_request

ANY_TEXT = st.text() | st.text(alphabet="./%\\?#&=@:;+ \r\n{}[]<>'\"0aA\ue000\ue001", max_size=12)
TOOL = ToolConfig.model_validate(
    {
        "id": "t",
        "input": {"type": "object", "properties": {"x": {}, "y": {}}},
        "http": {
            "method": "POST",
            "url": "https://a.test/v1/{{ .input.x }}/end?p={{ .input.y }}",
            "query": {"q": "{{ .input.y }}"},
            "headers": {"X-Own": "{{ .input.y }}"},
            "body": {"x": "{{ .input.x }}"},
        },
    }
)


def build(tool: ToolConfig, arguments: dict[str, Any]) -> BuiltRequest:
    return build_request(tool, arguments, {}, "key")


@given(x=ANY_TEXT)
def test_an_argument_is_one_part_of_the_path(x: str) -> None:
    try:
        built = build(TOOL, {"x": x, "y": "y"})
    except ToolError:
        assert x in {"", ".", ".."}
        return
    parts = urlsplit(built.request.url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "a.test", "p=y&q=y", "")
    before, version, found, end = parts.path.split("/")
    assert (before, version, unquote(found), end) == ("", "v1", x, "end")
    assert built.hosts == ("a.test",)


@given(y=ANY_TEXT)
def test_an_argument_is_one_parameter_and_one_header(y: str) -> None:
    if not re.fullmatch(r"[\t\x20-\x7e]*", y.strip(" \t")):
        with pytest.raises(ToolError, match="the header X-Own holds a line break"):
            build(TOOL, {"x": "x", "y": y})
        return
    built = build(TOOL, {"x": "x", "y": y})
    parts = urlsplit(built.request.url)
    given_twice = [("p", y), ("q", y)] if y else [("p", "")]
    assert parse_qsl(parts.query, keep_blank_values=True) == given_twice
    assert (parts.netloc, parts.path) == ("a.test", "/v1/x/end")
    assert set(built.request.headers) == {"x-own", "content-type", "idempotency-key"}


@given(x=ANY_TEXT)
def test_an_argument_never_chooses_another_host(x: str) -> None:
    http = {"url": "https://{{ .input.x }}.a.test/", "hosts": ["*.a.test"]}
    tool = ToolConfig.model_validate({"id": "t", "input": TOOL.input, "http": http})
    try:
        built = build(tool, {"x": x})
    except ToolError:
        return
    parts = urlsplit(built.request.url)
    assert parts.netloc.endswith(".a.test")
    assert (parts.path, parts.query, parts.username) == ("/", "", None)
    assert built.hosts == ("*.a.test",)


def test_half_a_character_is_refused_in_a_url() -> None:
    with pytest.raises(ToolError, match="an argument is not valid text: it contains half of a character"):
        build(TOOL, {"x": "\ud800", "y": ""})
    assert build(TOOL, {"x": "x", "y": ""}).request.body == b'{"x": "x"}'
