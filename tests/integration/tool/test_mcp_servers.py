"""Connections to MCP servers that exit, hang, or send wrong or invalid messages, in both eras."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from compozy.errors import ToolError
from compozy.tool.kind import Answer, Questions, ToolCall, ToolResult, ToolSpec
from compozy.tool.mcp.config import PROTOCOL_VERSIONS, McpConfig
from compozy.tool.mcp.servers import McpServers, ServerHome
from compozy.tool.mcp.tools import McpSource
from tests.harness import rawmcp
from tests.harness.rawmcp import RawServer, calls_in, serve

ERAS = ("modern", "legacy")
RAW = [sys.executable, "-S", rawmcp.__file__]
HOME_VARIABLES = ("PATH", "HOME")


class Used:
    """A source of tools, used like in a task."""

    def __init__(self, source: McpSource, specs: list[ToolSpec]) -> None:
        self.source = source
        self.specs = {spec.remote: spec for spec in specs}

    async def call(self, name: str, /, timeout_s: float = 60, answer: Answer | None = None, **given: Any) -> ToolResult:
        """Call a tool by its name at the server."""
        call = ToolCall(key="k" * 24, input=given, execution_id="e", task="t", timeout_s=timeout_s, answer=answer)
        return await self.source.new_tool(self.specs[name]).call(call)


@asynccontextmanager
async def using(config: dict[str, Any], environ: dict[str, str] | None = None) -> AsyncGenerator[Used]:
    """Connect to a server and list its tools."""
    found = McpConfig.model_validate({"id": "raw", **config})
    variables = {name: os.environ[name] for name in HOME_VARIABLES if name in os.environ}
    servers = McpServers([found], ServerHome(root=Path.cwd(), environ={**variables, **(environ or {})}))
    source = McpSource(found, servers)
    try:
        yield Used(source, list(await source.list_tools()))
    finally:
        await servers.aclose()


def stdio(era: str, ledger: Path, **more: Any) -> dict[str, Any]:
    """Return the configuration of a server that is started."""
    return {"command": RAW[0], "args": [*RAW[1:], era, str(ledger)], **more}


@pytest.mark.parametrize("era", ERAS)
async def test_calls_over_stdio(era: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with using(stdio(era, ledger)) as used:
        connection = await used.source._servers.connect(used.source._config)  # pyright: ignore[reportPrivateUsage]
        assert connection.protocol_version == {"modern": "2026-07-28", "legacy": "2025-11-25"}[era]
        assert await used.call("echo", text="{{ .env.HOME }}") == ToolResult(outcome="ok", content="{{ .env.HOME }}")
        assert await used.call("refuse") == ToolResult(outcome="failed", content="the server refuses")
        results = await asyncio.gather(*(used.call("echo", text=str(number)) for number in range(50)))
        assert [result.content for result in results] == [str(number) for number in range(50)]
    assert calls_in(ledger)[0] == ("echo", "k" * 24)


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_that_exits_during_a_call_is_started_again(era: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with using(stdio(era, ledger)) as used:
        result = await used.call("die")
        assert result.outcome == "unknown"
        assert result.content == "MCP server 'raw': Connection closed (it ended with exit code 3)"
        assert await used.call("echo", text="again") == ToolResult(outcome="ok", content="again")
    assert calls_in(ledger) == [("die", "k" * 24), ("echo", "k" * 24)]


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_that_can_be_repeated_is_repeated(era: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with using(stdio(era, ledger, tools={"effect": {"d*": "retry"}})) as used:
        result = await used.call("die")
    assert result.outcome == "unknown"
    assert calls_in(ledger) == [("die", "k" * 24)] * 5


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_that_does_not_answer(era: str, tmp_path: Path) -> None:
    async with using(stdio(era, tmp_path / "ledger")) as used:
        result = await used.call("hang", timeout_s=0.2)
        assert result == ToolResult(outcome="unknown", content="MCP server 'raw' did not answer within 0.2 s")
        # The session still works.
        assert await used.call("echo", text="still") == ToolResult(outcome="ok", content="still")


@pytest.mark.parametrize("era", ERAS)
async def test_an_answer_over_the_limit(era: str, tmp_path: Path) -> None:
    async with using(stdio(era, tmp_path / "ledger")) as used:
        result = await used.call("huge", size=50 * 1024 * 1024)
        assert result == ToolResult(outcome="failed", content="the answer is larger than 10 MiB")
        assert (await used.call("huge", size=5 * 1024 * 1024)).outcome == "ok"


@pytest.mark.parametrize("era", ERAS)
async def test_calls_over_http(era: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    server = RawServer(era=era, ledger=ledger)
    with serve(server) as port:
        async with using({"url": f"http://localhost:{port}/mcp"}) as used:
            assert await used.call("echo", text="over HTTP") == ToolResult(outcome="ok", content="over HTTP")
            assert await used.call("refuse") == ToolResult(outcome="failed", content="the server refuses")
            lost = await used.call("die")
            assert lost.outcome == "unknown"
            assert "the connection to http://localhost" in lost.content
            assert await used.call("echo", text="still") == ToolResult(outcome="ok", content="still")
            huge = await used.call("huge", size=11 * 1024 * 1024)
            assert huge == ToolResult(outcome="failed", content="the answer is larger than 10 MiB")
    assert [tool for tool, _ in calls_in(ledger)].count("die") == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_that_is_restarted(era: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with ExitStack() as first:
        port = first.enter_context(serve(RawServer(era=era, ledger=ledger)))
        async with using({"url": f"http://localhost:{port}/mcp"}) as used:
            assert (await used.call("echo", text="before")).outcome == "ok"
            first.close()
            down = await used.call("echo")
            assert down.outcome == "failed"
            assert "does not accept connections" in down.content
            # At the same address, without the sessions of the first server.
            with serve(RawServer(era=era, ledger=ledger), port):
                assert await used.call("echo", text="after") == ToolResult(outcome="ok", content="after")
    assert len(calls_in(ledger)) == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"command": "no-such-program"}, "no-such-program was not found"),
        ({"command": "/bin/true"}, "Connection closed (it ended with exit code 0)"),
        ({"command": "sh -c 'echo no key >&2; exit 4'"}, "Connection closed (it ended with exit code 4: no key)"),
        ({"command": "sleep 60", "start_timeout": 0.3}, "it did not answer within 0.3 s"),
        ({"command": "yes"}, "not a message: y"),
        ({"command": "cat", "start_timeout": 0.3}, ""),
        ({"command": "true", "env": {"A": "${NOT_SET}"}}, "needs the variable NOT_SET, which is not set"),
        ({"url": "http://localhost:9/mcp"}, "does not accept connections"),
        ({"url": "http://169.254.169.254/mcp"}, "169.254.169.254, which is not in the public network"),
        ({"url": "http://127.0.0.1:9/mcp", "headers": {"A": "${X}"}}, "holds a line break"),
    ],
)
async def test_servers_that_cannot_be_used(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolError) as caught:
        async with using(config, {"X": "a\nb"}):
            pass
    assert "MCP server 'raw'" in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("tool", "rules", "message"),
    [
        ({"name": "cp__exec"}, {"prefix": "cp_"}, ""),
        ({"name": "_exec"}, {"prefix": "cp_"}, "would have the name 'cp__exec', as built-in tools do"),
        ({"name": "a.b"}, {}, ""),
        (
            {"name": "n", "inputSchema": {"type": "object", "required": 3}},
            {},
            "the input schema of its tool 'n' cannot be used",
        ),
        ({"name": "n", "inputSchema": {}}, {}, "its answer does not follow the protocol: tools.0.inputSchema.type"),
        ({"name": "n", "description": "d" * 300_000}, {}, ""),
    ],
)
async def test_tools_that_cannot_be_offered(
    tmp_path: Path, tool: dict[str, Any], rules: dict[str, Any], message: str
) -> None:
    tools = [{"inputSchema": {"type": "object"}, **tool}]
    with serve(RawServer(era="modern", ledger=tmp_path / "ledger", tools=tools)) as port:
        config = {"url": f"http://localhost:{port}/", **rules}
        if not message:
            async with using(config) as used:
                assert all(len(spec.description) <= 8192 for spec in used.specs.values())
            return
        with pytest.raises(ToolError) as caught:
            async with using(config):
                pass
    assert message in caught.value.message


def annotated(name: str, **hints: bool) -> dict[str, Any]:
    """Return a tool with annotations."""
    return {"name": name, "inputSchema": {"type": "object"}, "annotations": hints}


@pytest.mark.parametrize("is_trusted", [False, True])
async def test_annotations_count_only_if_they_are_trusted(tmp_path: Path, *, is_trusted: bool) -> None:
    tools = [
        annotated("pay", readOnlyHint=True),
        annotated("put", idempotentHint=True),
        annotated("post", readOnlyHint=False),
        annotated("known", readOnlyHint=True),
    ]
    rules = {"tools": {"trust_annotations": is_trusted, "effect": {"kn*": "once"}, "exclude": ["p?st"]}}
    with serve(RawServer(era="modern", ledger=tmp_path / "ledger", tools=tools)) as port:
        async with using({"url": f"http://localhost:{port}/", **rules}) as used:
            effects = {name: spec.effect for name, spec in used.specs.items()}
    said = {"pay": "read", "put": "retry"} if is_trusted else {"pay": "once", "put": "once"}
    assert effects == {**said, "known": "once"}


class TokenHandler(BaseHTTPRequestHandler):
    """Issues numbered tokens, and answers MCP requests with 401 unless they have the last one."""

    given: ClassVar[list[str]] = []
    asked: ClassVar[list[str]] = []
    mcp: ClassVar[RawServer]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
        """Log nothing."""

    def do_POST(self) -> None:
        """Respond."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/token":
            self.asked.append(f"{self.headers['Authorization']} {body.decode()}")
            self.given.append(f"token-{len(self.given)}")
            self.send(200, {"access_token": self.given[-1], "expires_in": 3600})
        elif self.headers["Authorization"] != f"Bearer {self.given[-1]}":
            self.send(401, {"error": "invalid_token"})
        else:
            self.send(200, self.mcp.answer(json.loads(body)) or {})

    def send(self, status: int, document: dict[str, Any]) -> None:
        """Send JSON."""
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


async def test_a_token_is_requested_and_renewed(tmp_path: Path) -> None:
    TokenHandler.given, TokenHandler.asked = [], []
    TokenHandler.mcp = RawServer(era="modern", ledger=tmp_path / "ledger")
    listener = ThreadingHTTPServer(("127.0.0.1", 0), TokenHandler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = f"http://localhost:{listener.server_address[1]}"
    auth = {"token_url": f"{url}/token", "client_id": "me", "client_secret": "${SECRET}", "scope": "orders"}
    try:
        async with using({"url": url, "auth": auth}, {"SECRET": "s3cret"}) as used:
            assert (await used.call("echo", text="one")).content == "one"
            assert TokenHandler.asked == ["Basic bWU6czNjcmV0 grant_type=client_credentials&scope=orders"]
            # The token is revoked.
            TokenHandler.given.append("another")
            assert (await used.call("echo", text="two")).content == "two"
            assert len(TokenHandler.asked) == 2
        with pytest.raises(ToolError, match="answered 401"):
            async with using({"url": url}):
                pass
        with pytest.raises(ToolError, match="returned no token: it answered 401"):
            async with using({"url": url, "auth": {**auth, "token_url": f"{url}/other"}}, {"SECRET": "x"}):
                pass
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


async def test_a_server_gets_only_the_variables_that_it_names(tmp_path: Path) -> None:
    environ = {"CANARY": "secret-canary", "TOKEN": "tok-4711"}
    script = f"env > {tmp_path}/env; exit 1"
    with pytest.raises(ToolError):
        async with using({"command": "sh", "args": ["-c", script], "env": {"MINE": "${TOKEN}"}}, environ):
            pass
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert {"MINE", "PATH"} <= names
    assert "CANARY" not in names
    assert "TOKEN" not in names


async def test_only_files_of_the_project_define_servers() -> None:
    home = ServerHome(root=Path.cwd(), environ={})
    servers = McpServers([McpConfig(id="mine", command="sleep 1")], home)
    with pytest.raises(ToolError, match="is not defined in the files of the project"):
        await servers.connect(McpConfig(id="other", command="sh -c 'touch owned'"))
    # A program that has a different name in a run is the one in the files.
    assert servers._current(McpConfig(id="mine", command="touch owned")).command == "sleep 1"  # pyright: ignore[reportPrivateUsage]


def test_the_versions_of_the_protocol_are_those_of_the_sdk() -> None:
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

    assert (*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS) == PROTOCOL_VERSIONS


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_of_the_sdk(era: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    proto = {} if era == "modern" else {"proto": "2025-11-25"}
    command = {"command": sys.executable, "args": [mcpserver_file(), str(ledger)], "start_timeout": "60s", **proto}
    async with using({**command, "tools": {"trust_annotations": True}}) as used:
        assert used.specs["look_up"].effect == "read"
        assert used.specs["with.dots/and slashes"].name == "raw__with_dots_and_slashes"
        assert await used.call("add", a=1, b=2) == ToolResult(outcome="ok", content={"result": 3})
        assert await used.call("fail") == ToolResult(
            outcome="failed", content="Error executing tool fail: no such order: A-1"
        )
        picture = await used.call("picture")
        assert picture.content == "[image/png, 402 bytes]"
        assert [(file.media_type, file.data) for file in picture.files] == [("image/png", b"\x89PNG" * 100)]
        asked = await used.call("delete", name="x")
        if era == "legacy":
            assert asked.outcome == "failed"
            assert "questions are only answered with the protocol of 2026-07-28" in asked.content
            return
        questions = Questions(**asked.content)
        assert list(questions.messages.values()) == ["Delete x?"]
        (name,) = questions.messages
        values = {name: {"sure": True, "reason": "old"}}
        answer = Answer(questions=questions, accepted=True, values=values)
        done = await used.call("delete", answer=answer, name="x")
        assert done == ToolResult(outcome="ok", content={"result": "deleted x: old"})
    assert '"sure": true' in ledger.read_text()


def mcpserver_file() -> str:
    """Return the file of the server, which is not imported here."""
    return str(Path(rawmcp.__file__).with_name("mcpserver.py"))
