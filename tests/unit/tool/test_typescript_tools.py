"""TypeScript tools: their input, the permissions that Deno enforces, and how they are stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from typescripthome import FUNCTIONS, call, config

from compozy.config.settings import RuntimeSettings
from compozy.errors import ToolError
from compozy.tool.kind import ToolHome, ToolResult
from compozy.tool.registry import new_tool


@pytest.fixture
def home(tmp_path: Path) -> ToolHome:
    """A project with the functions."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "shop.ts").write_text(FUNCTIONS)
    (tmp_path / "tools" / "prices.ts").write_text("export const TAX: number = 2;\n")
    (tmp_path / "notes.txt").write_text("a note")
    (tmp_path / ".env").write_text("TOKEN_OF_SHOP=s3cr3t-t0ken\n")
    environ = {"PATH": os.environ["PATH"], "CANARY": "c4n4ry-value", "TOKEN_OF_SHOP": "s3cr3t-t0ken"}
    closed = frozenset({tmp_path / "tools" / "app.db"})
    return ToolHome(root=tmp_path, environ=environ, settings=RuntimeSettings(), closed=closed)


def only(name: str, *reach: str) -> dict[str, Any]:
    """Return the key `permissions` with one permission."""
    return {"permissions": {name: list(reach)}}


async def test_a_call(home: ToolHome) -> None:
    assert await call(home, config("total"), price=20) == ToolResult(outcome="ok", content=40)


async def test_the_input_of_a_function(home: ToolHome) -> None:
    result = await call(home, config("look", config={"page": 20}))

    assert result.content == {
        "toolId": "shop",
        "idempotencyKey": "k" * 24,
        "executionId": "run",
        "task": "a/b",
        "timeoutMs": 60_000,
        "signal": False,
        "config": {"page": 20},
        "variable": "k" * 24,
    }


async def test_the_description_for_the_model(home: ToolHome) -> None:
    schema = {"type": "object", "properties": {"price": {"type": "number"}}}
    spec = await new_tool(config("total", input=schema, description="Add the tax", version="2"), home).describe()

    assert spec.to_json() == {
        "name": "shop",
        "description": "Add the tax",
        "schema": schema,
        "effect": "retry",
        "kind": "typescript",
        "version": "2",
    }


@pytest.mark.parametrize(
    ("function", "given", "refused"),
    [
        ("read", {"path": "notes.txt"}, "read"),
        ("read", {"path": "/etc/hostname"}, "read"),
        ("read", {"path": "tools/../notes.txt"}, "read"),
        ("read", {"path": "/proc/self/environ"}, "read"),
        ("load", {"name": "../notes.txt"}, "read"),
        ("write", {"path": "tools/new.txt"}, "write"),
        ("variable", {"name": "PATH"}, "env"),
        ("fetched", {"url": "http://127.0.0.1:8099/"}, "net"),
        ("connected", {"port": 9}, "net"),
    ],
)
async def test_access_without_permission_is_refused(
    home: ToolHome, function: str, given: dict[str, Any], refused: str
) -> None:
    result = await call(home, config(function), **given)

    assert result.outcome == "failed"
    assert f"; `permissions.{refused}` of the tool does not allow it" in result.content, result.content
    assert "--allow" not in result.content
    assert not (home.root / "tools" / "new.txt").exists()


async def test_programs_cannot_be_started_and_permissions_not_asked_for(home: ToolHome) -> None:
    everything = {"permissions": {"read": True, "write": True, "net": True, "env": True}}

    started, asked = await call(home, config("run", **everything)), await call(home, config("ask"))

    assert started.content == 'NotCapable: Requires run access to "id"; tools cannot do this'
    assert asked.content == "denied"


async def test_access_with_permission_works(home: ToolHome) -> None:
    (home.root / "out").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        allowed = await asyncio.gather(
            call(home, config("read", **only("read", "notes.txt")), path="notes.txt"),
            call(home, config("write", **only("write", "out")), path="out/new.txt"),
            call(home, config("variable", **only("env", "PATH")), name="PATH"),
            call(home, config("variable", env={"TOKEN": "t"}), name="TOKEN"),
            call(home, config("connected", **only("net", f"127.0.0.1:{port}")), port=port),
        )
        other = await call(home, config("connected", **only("net", f"127.0.0.1:{port + 1}")), port=port)

    assert [result.content for result in allowed] == ["a note", None, home.environ["PATH"], "t", "connected"]
    assert (home.root / "out" / "new.txt").read_text() == "written"
    assert other.outcome == "failed"


async def test_permissions_of_the_project_are_the_defaults_of_tools(home: ToolHome) -> None:
    project = RuntimeSettings.model_validate({"permissions": {"read": ["notes.txt"], "write": True}})
    shared = ToolHome(root=home.root, environ=home.environ, settings=project)

    inherited = await call(shared, config("read", permissions={"write": False}), path="notes.txt")
    own = await call(shared, config("read", permissions={"read": []}), path="notes.txt")
    written = await call(shared, config("write", permissions={"write": False}), path="new.txt")

    assert inherited.content == "a note"
    assert (own.outcome, written.outcome) == ("failed", "failed")


@pytest.mark.parametrize("path", [".env", "tools/app.db", ".git/config"])
async def test_secrets_and_the_database_are_never_accessible(home: ToolHome, path: str) -> None:
    (home.root / path).parent.mkdir(exist_ok=True)
    (home.root / path).write_text("closed")
    everything = {"permissions": {"read": True, "write": True}}

    read = await call(home, config("read", **everything), path=path)
    written = await call(home, config("write", **everything), path=path)

    assert (read.outcome, written.outcome) == ("failed", "failed")
    assert (home.root / path).read_text() == "closed"


async def test_a_tool_cannot_create_links_to_files_outside_of_its_folders(home: ToolHome) -> None:
    result = await call(home, config("link", permissions={"write": ["tools"]}), path="tools/link")

    assert result.outcome == "failed"
    assert not (home.root / "tools" / "link").is_symlink()


async def test_commas_in_paths(home: ToolHome) -> None:
    # Deno has no syntax for a comma within a path.
    inside = home.root / "a,b"
    shutil.copytree(home.root / "tools", inside / "tools")
    project = ToolHome(root=inside, environ=home.environ, closed=frozenset({inside / "app.db"}))

    with pytest.raises(ValueError, match="is not a path without commas"):
        config("read", **only("read", "a,b"))
    with pytest.raises(ToolError, match="Deno does not accept a comma in the path a,b/tools"):
        await new_tool(config("total", run="a,b/tools/shop.ts:total"), home).describe()
    assert (await call(project, config("total"), price=1)).content == 2


async def test_it_gets_only_the_variables_that_it_names(home: ToolHome) -> None:
    everything = config("variable", permissions={"env": True}, env={"TOKEN": "${TOKEN_OF_SHOP}"})

    canary = await call(home, everything, name="CANARY")
    token = await call(home, config("secret", env={"TOKEN": "${TOKEN_OF_SHOP}"}))

    assert canary == ToolResult(outcome="ok", content=None)
    assert token.content == "the token is ********"


@pytest.mark.parametrize("name", ["npm:left-pad@1.3.0", "https://127.0.0.1:9/mod.ts", "jsr:@std/assert"])
async def test_packages_are_not_fetched(home: ToolHome, tmp_path: Path, name: str) -> None:
    away = ToolHome(root=home.root, environ={**home.environ, "DENO_DIR": str(tmp_path / "empty")})

    result = await call(away, config("load", permissions={"net": True, "read": True}), name=name)

    assert result.outcome == "failed"
    assert "--cached-only" in result.content, result.content


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        ("fail", {"text": "too much"}, "RangeError: too much"),
        ("text", {}, "only a text"),
        ("lost", {}, "Error: lost"),
        ("odd", {}, "TypeError: Do not know how to serialize a BigInt"),
        ("exit", {}, "the tool ended with exit code 3 before it answered"),
        ("endless", {}, "the result is larger than 10485760 bytes"),
    ],
)
async def test_failures_are_answers(home: ToolHome, function: str, given: dict[str, Any], message: str) -> None:
    assert await call(home, config(function), **given) == ToolResult(outcome="failed", content=message)


async def test_files_that_cannot_be_loaded_are_answers(home: ToolHome) -> None:
    (home.root / "tools" / "shop.ts").write_text("export function total( {")
    broken = await call(home, config("total"))
    (home.root / "tools" / "shop.ts").write_text(
        "export const a = 1; export function b() {}; export default { c() {} }"
    )
    missing = await call(home, config("total"))

    assert "SyntaxError" in broken.content
    assert missing.content == "shop.ts exports no function 'total'; it exports b, c"


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("export default () => 'found'", "default"),
        ("export default { shop: () => 'found', other: () => 'other' }", "default"),
        ("export const shop = () => 'found'", "default"),
        ("export default { find: () => 'found' }", "find"),
    ],
)
async def test_where_a_function_is_found(home: ToolHome, text: str, function: str) -> None:
    (home.root / "tools" / "shop.ts").write_text(text)

    assert (await call(home, config(function))).content == "found"


async def test_a_default_export_does_not_replace_a_named_function(home: ToolHome) -> None:
    (home.root / "tools" / "shop.ts").write_text("export default function refund() {}")

    assert (await call(home, config("lookup"))).outcome == "failed"


@pytest.mark.parametrize("function", ["chatter", "inWorker", "nothing"])
async def test_printed_text_is_not_the_result(home: ToolHome, function: str) -> None:
    expected = {"chatter": "quiet", "inWorker": "done", "nothing": None}

    assert await call(home, config(function)) == ToolResult(outcome="ok", content=expected[function])


async def test_a_tool_that_does_not_end_is_killed(home: ToolHome) -> None:
    result = await call(home, config("burn"), timeout_s=1)

    assert result == ToolResult(outcome="unknown", content="the tool did not end within 1 s")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited from outside")
async def test_memory_is_limited(home: ToolHome) -> None:
    hog, buffers = await asyncio.gather(
        call(home, config("hog", limits={"memory": "100MB"})),
        call(home, config("buffers", limits={"memory": "100MB"})),
    )

    assert hog.content == "the tool was aborted, probably because it needs more memory than `limits.memory` allows"
    assert buffers.content == "RangeError: Array buffer allocation failed"


@pytest.mark.parametrize("host", ["https://a.test", "a.test/x", "a,b", "", "a b", "-a"])
def test_hosts_that_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        config("total", **only("net", host))
