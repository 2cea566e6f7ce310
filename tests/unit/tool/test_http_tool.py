"""HTTP tools: the request from its templates, the response as a result, and arguments that stay data."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.harness.websites import Site, run_site

from compozy.config.settings import NativeToolSettings, RuntimeSettings
from compozy.errors import ToolError
from compozy.tool.config import ToolConfig
from compozy.tool.http import HttpTool
from compozy.tool.kind import ToolCall, ToolHome, ToolResult

HOSTS = ("a.test", "b.test")
TOKEN = "tok-canary-4711"
ANY = {"type": "object", "properties": {"x": {"type": "string"}, "y": {}, "z": {}}}


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site() as found:
        yield found


def resolve(host: str, port: int) -> Sequence[str]:
    if host not in HOSTS:
        raise OSError(host)
    return ["127.0.0.1"]


def make(http: dict[str, Any], *, environ: dict[str, str] | None = None, **more: Any) -> HttpTool:
    config = ToolConfig.model_validate({"id": "api", "http": http, "input": ANY, **more})
    settings = RuntimeSettings(native_tools=NativeToolSettings(private_hosts=HOSTS))
    home = ToolHome(root=Path("/nowhere"), environ=environ or {"TOKEN": TOKEN}, settings=settings)
    return HttpTool(config, home, resolve=resolve)


async def run(tool: HttpTool, timeout_s: float = 60, **arguments: Any) -> ToolResult:
    return await tool.call(ToolCall(key="k" * 24, input=arguments, execution_id="e", task="t", timeout_s=timeout_s))


async def test_a_request_with_everything(site: Site) -> None:
    site.respond("/v1/tickets/a%20b?dry=true&tag=x%26y&tag=z", '{"id": 7}', Content_Type="application/json")
    tool = make(
        {
            "method": "POST",
            "url": "{{ .config.base }}/tickets/{{ .input.x }}",
            "headers": {"Authorization": "Bearer {{ .env.TOKEN }}"},
            "query": {"dry": True, "tag": "{{ .input.y }}", "empty": "", "absent": "{{ .input.z }}"},
            "body": {"title": "{{ .input.x }}", "tags": "{{ .input.y }}", "fixed": 1},
        },
        config={"base": site.url("/v1")},
    )
    result = await run(tool, x="a b", y=["x&y", "z"])
    assert result == ToolResult(outcome="ok", content={"id": 7})
    [seen] = site.seen
    assert (seen.method, seen.path) == ("POST", "/v1/tickets/a%20b?dry=true&tag=x%26y&tag=z")
    assert seen.body == b'{"title": "a b", "tags": ["x&y", "z"], "fixed": 1}'
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["idempotency-key"] == "k" * 24
    assert seen.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST", "GET", "HEAD"])
async def test_methods_that_change_something_bring_the_key(site: Site, method: str) -> None:
    await run(make({"method": method, "url": site.url("/x")}))
    [seen] = site.seen
    assert ("idempotency-key" in seen.headers) is (method not in {"GET", "HEAD"})


async def test_bodies(site: Site) -> None:
    await run(make({"method": "POST", "url": site.url(), "body": "{{ toJson .input }}"}), x="1")
    await run(make({"method": "POST", "url": site.url(), "body": "hello {{ .input.x }}"}), x="you")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    await run(make({"method": "POST", "url": site.url(), "headers": form, "body": {"a": "{{ .input.x }}"}}), x="1&b=2")
    await run(make({"method": "POST", "url": site.url()}))
    assert [(seen.headers.get("content-type"), seen.body) for seen in site.seen] == [
        ("application/json", b'{"x":"1","y":null,"z":null}'),
        ("text/plain; charset=utf-8", b"hello you"),
        ("application/x-www-form-urlencoded", b"a=1%26b%3D2"),
        (None, b""),
    ]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a/b", "/u/a%2Fb/end"),
        ("a?b=c", "/u/a%3Fb%3Dc/end"),
        ("a#b", "/u/a%23b/end"),
        ("a\r\nX-Evil: 1", "/u/a%0D%0AX-Evil%3A%201/end"),
        ("%2e%2e", "/u/%252e%252e/end"),
        ("a\\..\\b", "/u/a%5C..%5Cb/end"),
        ("é", "/u/%C3%A9/end"),
        ("{{ .env.TOKEN }}", "/u/%7B%7B%20.env.TOKEN%20%7D%7D/end"),
        ("@evil.test", "/u/%40evil.test/end"),
    ],
)
async def test_a_value_stays_one_part_of_the_path(site: Site, value: str, path: str) -> None:
    assert (await run(make({"url": site.url("/u/{{ .input.x }}/end")}), x=value)).outcome == "ok"
    assert [seen.path for seen in site.seen] == [path]


@pytest.mark.parametrize(
    ("value", "words"),
    [("..", "leads to another path"), (".", "leads to another path"), ("", "a part of the path is empty")],
)
async def test_values_that_would_lead_to_another_path_are_refused(site: Site, value: str, words: str) -> None:
    result = await run(make({"method": "DELETE", "url": site.url("/users/{{ .input.x }}")}), x=value)
    assert result.outcome == "failed"
    assert words in result.content
    assert site.seen == []


async def test_decoded_values_are_encoded_again(site: Site) -> None:
    await run(make({"url": site.url("/u/{{ .input.x | b64dec }}")}), x="Li4vYWRtaW4=")
    assert [seen.path for seen in site.seen] == ["/u/..%2Fadmin"]


async def test_a_value_in_the_query_stays_one_value(site: Site) -> None:
    await run(make({"url": site.url("/s?q={{ .input.x }}&a=1")}), x="1&admin=true#")
    await run(make({"url": site.url("/s?q={{ .input.x }}"), "query": {"p": "{{ .input.x }}"}}), x="&a=1")
    await run(make({"url": site.url("/s?q={{ .input.x }}")}), x="")
    assert [seen.path for seen in site.seen] == [
        "/s?q=1%26admin%3Dtrue%23&a=1",
        "/s?q=%26a%3D1&p=%26a%3D1",
        "/s?q=",
    ]


@pytest.mark.parametrize("value", ["evil.test", "a.test@evil.test", "a.test:1/", "a.test#", "169.254.169.254", "[::1]"])
@pytest.mark.parametrize("url", ["http://{{ .input.x }}/", "http://{{ .input.x }}.test/", "{{ .input.x }}"])
async def test_no_value_chooses_the_host(site: Site, value: str, url: str) -> None:
    result = await run(make({"url": url}), x=value)
    assert result.outcome == "failed"
    listed = await run(make({"url": url, "hosts": [f"a.test:{site.port}"]}), x=value)
    assert listed.outcome == "failed"
    assert site.seen == []


async def test_a_host_from_an_argument_is_one_of_those_listed(site: Site) -> None:
    tool = make({"url": f"http://{{{{ .input.x }}}}.test:{site.port}/", "hosts": [f"a.test:{site.port}"]})
    assert (await run(tool, x="a")).outcome == "ok"
    assert (await run(tool, x="b")).outcome == "failed"


async def test_a_value_cannot_add_a_header(site: Site) -> None:
    result = await run(make({"url": site.url(), "headers": {"X-User": "{{ .input.x }}"}}), x="me\r\nX-Admin: yes")
    assert result == ToolResult(
        outcome="failed", content="the header X-User holds a line break or a character that is not ASCII"
    )
    assert site.seen == []


async def test_template_syntax_in_arguments_and_answers_is_data(site: Site) -> None:
    site.respond("/", "{{ .env.TOKEN }} ${TOKEN}")
    result = await run(make({"method": "POST", "url": site.url(), "body": "{{ .input.x }}"}), x="{{ .env.TOKEN }}")
    assert result.content == "{{ .env.TOKEN }} ${TOKEN}"
    assert site.seen[0].body == b"{{ .env.TOKEN }}"


async def test_answers(site: Site) -> None:
    site.respond("/json", '{"items": [{"n": 1}, {"n": 2}]}', Content_Type="application/problem+json")
    site.respond("/text", "häuser".encode("latin-1"), Content_Type="text/plain; charset=latin-1")
    site.respond("/broken", '{"a":', Content_Type="application/json")
    site.respond("/empty", "", status=201)
    assert (await run(make({"url": site.url("/json")}))).content == {"items": [{"n": 1}, {"n": 2}]}
    assert (await run(make({"url": site.url("/text")}))).content == "häuser"
    assert (await run(make({"url": site.url("/broken")}))).content == '{"a":'
    assert (await run(make({"method": "POST", "url": site.url("/empty")}))).content == {"status": 201}
    head = (await run(make({"method": "HEAD", "url": site.url("/json2")}))).content
    assert (head["status"], "content-length" in head["headers"]) == (200, True)


async def test_a_selection(site: Site) -> None:
    site.respond("/", '{"items": [{"n": 1}, {"n": 2}]}', Content_Type="application/json", X_Total="2")
    select = "{'ns': body.items.map(i, i.n), 'status': status, 'total': headers['x-total']}"
    result = await run(make({"url": site.url(), "select": select}))
    assert result.content == {"ns": [1, 2], "status": 200, "total": "2"}


async def test_a_selection_that_fails_after_the_request_took_effect(site: Site) -> None:
    result = await run(make({"method": "POST", "url": site.url(), "select": "body.missing"}))
    assert result.outcome == "unknown"
    assert result.content.startswith("the request was answered with 200, but its answer cannot be used: http.select")


async def test_a_status_of_400_or_above_fails_with_an_excerpt(site: Site) -> None:
    site.respond("/x?k=1", f"no such thing, {TOKEN} " + "x" * 5000, status=404)
    headers = {"X-Token": "{{ .env.TOKEN }}"}
    result = await run(make({"method": "POST", "url": site.url("/x?k=1"), "headers": headers}))
    assert result.outcome == "failed"
    assert result.content.startswith(f"POST {site.url('/x')} answered 404 Not Found: no such thing, ******** xxx")
    assert len(result.content) < 2200


async def test_secrets_are_masked_in_every_form(site: Site) -> None:
    def echo(handler: BaseHTTPRequestHandler) -> None:
        text = handler.headers["authorization"].encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    site.answers["/"] = echo
    basic = {"Authorization": 'Basic {{ printf "%s:%s" .env.USER_NAME .env.TOKEN | b64enc }}'}
    environ = {"USER_NAME": "robert", "TOKEN": TOKEN}
    assert (await run(make({"url": site.url(), "headers": basic}, environ=environ))).content == "********"
    own = {"Authorization": "{{ .env.MINE }}"}
    tool = make({"url": site.url(), "headers": own}, env={"MINE": "${TOKEN}"})
    assert (await run(tool)).content == "********"


async def test_secrets_do_not_follow_a_redirect_to_another_host(site: Site) -> None:
    site.redirects["/away"] = (302, site.url("/there", host="b.test"))
    http = {
        "url": site.url("/away"),
        "headers": {"Authorization": "Bearer {{ .env.TOKEN }}", "X-Team": "{{ .env.TOKEN }}"},
        "hosts": [f"b.test:{site.port}"],
    }
    assert (await run(make(http))).outcome == "ok"
    assert TOKEN not in str(site.seen[1])
    closed = await run(make({**http, "hosts": []}))
    assert closed.outcome == "unknown"
    assert "is not one of the allowed hosts" in closed.content
    assert len(site.seen) == 3


async def test_a_request_that_was_not_sent_failed_and_one_that_was_is_unknown(site: Site) -> None:
    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.close()

    site.answers["/"] = broken
    assert (await run(make({"method": "POST", "url": site.url()}))).outcome == "unknown"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://a.test:{closed.getsockname()[1]}/"
        assert (await run(make({"method": "POST", "url": url}))).outcome == "failed"


async def test_a_timeout_after_the_request_is_unknown(site: Site) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.recv(1)

    site.answers["/"] = slow
    result = await run(make({"method": "POST", "url": site.url()}), timeout_s=2)
    assert (result.outcome, result.content) == ("unknown", f"{site.url()} did not answer within 2 s")


async def test_large_and_binary_answers(site: Site) -> None:
    site.respond("/large", b"x" * (2 * 1024**2 + 1))
    site.respond("/binary", b"\x89PNG\0", Content_Type="image/png")
    large = await run(make({"url": site.url("/large")}))
    assert large.content == f"the answer of {site.url('/large')} is larger than 2 MiB"
    binary = await run(make({"url": site.url("/binary")}))
    assert binary.content.endswith("but its answer cannot be used: it is binary: 5 bytes of image/png")


async def test_private_hosts_have_to_be_listed(site: Site) -> None:
    home = ToolHome(root=Path("/nowhere"), environ={})
    config = ToolConfig.model_validate({"id": "api", "http": {"url": f"http://127.0.0.1:{site.port}/"}})
    result = await run(HttpTool(config, home))
    assert result.outcome == "failed"
    assert "list the host in `runtime.native_tools.private_hosts` to allow it" in result.content
    assert site.seen == []


async def test_a_variable_that_is_not_set_is_named_before_the_first_call() -> None:
    tool = make({"url": "https://a.test/", "headers": {"X": "{{ .env.MISSING }}"}})
    with pytest.raises(ToolError, match="tool 'api' needs the variable MISSING, which is not set"):
        await tool.describe()


async def test_the_description_for_the_model() -> None:
    spec = await make({"method": "POST", "url": "https://a.test/"}, description="Pay", version="2").describe()
    assert spec.to_json() == {
        "name": "api",
        "description": "Pay",
        "schema": ANY,
        "effect": "once",
        "kind": "http",
        "version": "2",
    }
