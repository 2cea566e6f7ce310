"""`cp__fetch`, and the meaning of repeated calls of the built-in tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.harness.websites import Site, run_site

from compozy.config.settings import NativeToolSettings, RuntimeSettings
from compozy.errors import ToolError
from compozy.tool.built_in.fetch import fetch
from compozy.tool.built_in.folder import CallError
from compozy.tool.built_in.tool import BuiltInTool, new_tool
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolCall, ToolHome, ToolResult
from compozy.tool.registry import approval_of, effect_of, effect_of_call

PUBLIC = "93.184.216.34"


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site() as found:
        yield found


def home_of(*private: str) -> ToolHome:
    settings = RuntimeSettings(native_tools=NativeToolSettings(private_hosts=private))
    return ToolHome(root=Path("/nowhere"), environ={}, settings=settings)


async def ask(url: str, *, config: ToolConfig | None = None, timeout_s: float = 60, **arguments: Any) -> ToolResult:
    def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"] if host in {"a.test", "b.test"} else [host.strip("[]")]

    call = ToolCall(key="k", input={"url": url, **arguments}, execution_id="e", task="t", timeout_s=timeout_s)
    return await fetch(config or ToolConfig(id="cp__fetch"), home_of("a.test"), call, resolve=resolve)


async def test_an_answer(site: Site) -> None:
    site.respond("/x", '{"a": 1}', status=201, Content_Type="application/json")
    result = await ask(site.url("/x"), method="POST", body={"b": [1]}, headers={"X-Own": "1"})
    assert result.outcome == "ok"
    assert result.content["headers"]["content-type"] == "application/json"
    assert result.content | {"headers": {}, "duration_ms": 0} == {
        "status_code": 201,
        "status_text": "Created",
        "headers": {},
        "body": '{"a": 1}',
        "body_truncated": False,
        "duration_ms": 0,
    }
    [seen] = site.seen
    assert (seen.method, seen.body, seen.headers["content-type"]) == ("POST", b'{"b": [1]}', "application/json")


async def test_a_status_of_400_or_above_is_an_answer(site: Site) -> None:
    site.respond("/x", "gone", status=410)
    assert (await ask(site.url("/x"))).content["status_code"] == 410


async def test_long_answers_are_cut(site: Site) -> None:
    site.respond("/x", "ä" * 2_000_000)
    result = await ask(site.url("/x"))
    assert result.content["body_truncated"] is True
    assert len(result.content["body"].encode()) == 2 * 1024 * 1024


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost.test/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://b.test/",
        "http://10.0.0.1:8080/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_private_addresses_are_refused(url: str, method: str) -> None:
    url = url.replace("localhost.test", "127.0.0.1")
    result = await ask(url, method=method)
    assert result.outcome == "failed"
    assert "is not in the public network; list the host in `runtime.native_tools.private_hosts`" in result.content


async def test_a_redirect_to_the_metadata_service_is_refused(site: Site) -> None:
    site.redirects["/away"] = (302, "http://169.254.169.254/latest/meta-data/")
    result = await ask(site.url("/away"))
    assert result.outcome == "unknown"
    assert "169.254.169.254, which is not in the public network" in result.content


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.test/", "a.test", "http://u:p@a.test/", "http://"])
async def test_urls_outside_of_the_web(url: str) -> None:
    assert (await ask(url)).outcome == "failed"


async def test_the_author_can_list_hosts(site: Site) -> None:
    config = ToolConfig(id="cp__fetch", config={"hosts": [f"a.test:{site.port}"]})
    assert (await ask(site.url("/x"), config=config)).outcome == "ok"
    refused = await ask(f"http://{PUBLIC}/", config=config)
    assert "is not one of the allowed hosts" in refused.content


@pytest.mark.parametrize(
    "arguments",
    [
        {"headers": {"Host": "x"}},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X Y": "a"}},
        {"body": "x"},
        {"method": "HEAD", "body": {}},
        {"method": "POST", "body": "\ud800"},
    ],
)
async def test_invalid_arguments(site: Site, arguments: dict[str, Any]) -> None:
    with pytest.raises(CallError, match="InvalidArgument"):
        await ask(site.url(), **arguments)
    assert site.seen == []


async def test_a_time_limit_and_a_binary_answer(site: Site) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.recv(1)

    site.answers["/slow"] = slow
    site.respond("/binary", b"\0\1", Content_Type="image/png")
    slow_result = await ask(site.url("/slow"), method="POST", timeout_ms=2000)
    assert (slow_result.outcome, slow_result.content) == ("unknown", f"{site.url('/slow')} did not answer within 2 s")
    assert (await ask(site.url("/binary"))).content == "answered 200, but it is binary: 2 bytes of image/png"


async def test_the_tool_reports_errors_as_results() -> None:
    tool = BuiltInTool(ToolConfig(id="cp__fetch"), home_of())
    call = ToolCall(key="k", input={"url": "http://a/", "body": 1}, execution_id="e", task="t", timeout_s=1)
    assert (await tool.call(call)).content == "InvalidArgument: a GET request has no body"
    with pytest.raises(ToolError, match="unknown built-in tool 'cp__none'"):
        new_tool(ToolConfig(id="cp__none"), home_of())


@pytest.mark.parametrize(
    ("name", "arguments", "effect"),
    [
        ("cp__read_file", {}, "read"),
        ("cp__list_dir", {}, "read"),
        ("cp__list_files", {}, "read"),
        ("cp__grep", {}, "read"),
        ("cp__write_file", {}, "retry"),
        ("cp__write_file", {"append": True}, "once"),
        ("cp__delete_file", {}, "retry"),
        ("cp__exec", {}, "once"),
        ("cp__fetch", {}, "read"),
        ("cp__fetch", {"method": "PUT"}, "retry"),
        ("cp__fetch", {"method": "POST"}, "once"),
    ],
)
def test_effects_of_calls(name: str, arguments: dict[str, Any], effect: str) -> None:
    tool = ToolConfig(id=name)
    assert effect_of_call(tool, effect_of(tool), arguments) == effect
    own = ToolConfig(id=name, effect="once")
    assert effect_of_call(own, effect_of(own), arguments) == "once"


def test_calls_that_a_person_approves() -> None:
    asked = {name for name in ("cp__read_file", "cp__write_file", "cp__delete_file", "cp__exec", "cp__fetch")
             if approval_of(ToolConfig(id=name)) == "ask"}  # fmt: skip
    assert asked == {"cp__write_file", "cp__delete_file", "cp__exec"}
    assert approval_of(ToolConfig(id="cp__exec", approve="never")) == "never"
