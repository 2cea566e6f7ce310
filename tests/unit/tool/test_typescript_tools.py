"""TypeScript tools: their input, the permissions that Deno enforces, and how they are stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import RuntimeSettings
from compozy.errors import ToolError
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolCall, ToolHome, ToolResult
from compozy.tool.kinds import typescript
from compozy.tool.registry import kind_of, new_tool

FUNCTIONS = """
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { TAX } from "./prices";

interface Order { price: number }

export async function total({ price }: Order): Promise<number> {
  console.log("this is not the result");
  await Promise.resolve();
  return price * TAX;
}

export function look(_: unknown, config: object, context: { signal: AbortSignal }) {
  return { ...context, signal: context.signal.aborted, config, variable: process.env.COMPOZY_IDEMPOTENCY_KEY };
}

export const read = ({ path }: { path: string }) => readFileSync(path, "utf8");
export const write = ({ path }: { path: string }) => writeFileSync(path, "written");
export const link = ({ path }: { path: string }) => symlinkSync("/etc/passwd", path);
export const variable = ({ name }: { name: string }) => process.env[name] ?? null;
export const load = async ({ name }: { name: string }) => Object.keys(await import(name));
export const secret = () => "the token is " + process.env.TOKEN;
export const fetched = async ({ url }: { url: string }) => (await fetch(url)).status;
export const connected = ({ port }: { port: number }) => new Promise((resolve, reject) => {
  connect(port, "127.0.0.1", () => resolve("connected")).on("error", reject);
});
export const run = () => new Deno.Command("id").outputSync().code;
export const ask = async () => (await Deno.permissions.request({ name: "read" })).state;

export function fail({ text }: { text: string }) { throw new RangeError(text); }
export function text() { throw "only a text"; }
export async function lost() {
  Promise.reject(new Error("lost"));
  await new Promise((done) => setTimeout(done, 60_000));
}
export const odd = () => 10n;
export const nothing = () => undefined;
export const exit = () => process.exit(3);
export const endless = () => "x".repeat(30_000_000);
export function burn() { for (;;); }
export async function chatter() {
  for (let line = 0; line < 100_000; line++) console.log("line", line);
  return "quiet";
}
export function hog() {
  const kept = [];
  for (;;) kept.push(new Array(10_000).fill(Math.random()));
}
export function buffers() {
  const kept = [];
  for (;;) kept.push(new Uint8Array(50_000_000).fill(1));
}
export async function inWorker() {
  const code = "console.log('from a thread'); self.postMessage('done')";
  const worker = new Worker("data:application/javascript," + encodeURIComponent(code), { type: "module" });
  return await new Promise((done) => worker.onmessage = (event) => done(event.data));
}
"""


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


def config(name: str, **more: Any) -> ToolConfig:
    """Return a tool of the functions."""
    return ToolConfig.model_validate(
        {"id": "shop", "run": f"tools/shop.ts:{name}", "input": {"type": "object"}, **more}
    )


async def call(home: ToolHome, tool: ToolConfig, timeout_s: float = 60, **given: Any) -> ToolResult:
    """Call a tool."""
    made = ToolCall(key="k" * 24, input=given, execution_id="run", task="a/b", timeout_s=timeout_s)
    return await new_tool(tool, home).call(made)


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


async def test_permissions_of_the_project_hold_where_the_tool_says_nothing(home: ToolHome) -> None:
    project = RuntimeSettings.model_validate({"permissions": {"read": ["notes.txt"], "write": True}})
    shared = ToolHome(root=home.root, environ=home.environ, settings=project)

    inherited = await call(shared, config("read", permissions={"write": False}), path="notes.txt")
    own = await call(shared, config("read", permissions={"read": []}), path="notes.txt")
    written = await call(shared, config("write", permissions={"write": False}), path="new.txt")

    assert inherited.content == "a note"
    assert (own.outcome, written.outcome) == ("failed", "failed")


@pytest.mark.parametrize("path", [".env", "tools/app.db", ".git/config"])
async def test_secrets_and_the_database_are_closed_whatever_is_allowed(home: ToolHome, path: str) -> None:
    (home.root / path).parent.mkdir(exist_ok=True)
    (home.root / path).write_text("closed")
    everything = {"permissions": {"read": True, "write": True}}

    read = await call(home, config("read", **everything), path=path)
    written = await call(home, config("write", **everything), path=path)

    assert (read.outcome, written.outcome) == ("failed", "failed")
    assert (home.root / path).read_text() == "closed"


async def test_a_tool_cannot_make_links_that_lead_out_of_its_folders(home: ToolHome) -> None:
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


async def test_a_default_function_does_not_stand_for_a_name(home: ToolHome) -> None:
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


async def test_results_of_an_entrypoint_are_objects_as_in_2025(home: ToolHome) -> None:
    entry = ToolHome(
        root=home.root, environ=home.environ, settings=RuntimeSettings.model_validate({"entrypoint": "tools/shop.ts"})
    )

    assert (await call(entry, config("total"), price=1)).content == {"value": 2}
    assert (await call(entry, config("look"))).content["toolId"] == "shop"


async def test_import_maps_of_the_project_are_read(home: ToolHome) -> None:
    (home.root / "deno.json").write_text('{"imports": {"$prices": "./tools/prices.ts"}}')
    (home.root / "tools" / "shop.ts").write_text('import { TAX } from "$prices"; export const total = () => TAX;')

    assert (await call(home, config("total"))).content == 2


async def test_node_executes_tools_without_permissions(home: ToolHome) -> None:
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    (home.root / "tools" / "shop.mjs").write_text(
        'import { readFileSync } from "node:fs";\n'
        'export const read = ({ path }) => ({ text: readFileSync(path, "utf8"), leak: process.env.CANARY ?? null });\n'
    )

    result = await call(home, config("read", run="tools/shop.mjs:read", runtime="node"), path="notes.txt")

    assert result == ToolResult(outcome="ok", content={"text": "a note", "leak": None})


async def test_a_runtime_that_is_missing(home: ToolHome, monkeypatch: pytest.MonkeyPatch) -> None:
    away = ToolHome(root=home.root, environ={"PATH": "/nonexistent"}, settings=home.settings)
    monkeypatch.setattr("compozy.tool.typescript.packaged_deno", lambda: None)

    with pytest.raises(ToolError, match="needs Deno, which is not installed") as deno:
        await new_tool(config("total"), away).describe()
    with pytest.raises(ToolError, match="needs 'bun', which is not in PATH") as bun:
        await new_tool(config("total", runtime="bun"), away).describe()

    assert "compozy[typescript]" in str(deno.value.hint)
    assert "runtime: deno" in str(bun.value.hint)
    assert (await call(away, config("total"))).outcome == "failed"


async def test_a_deno_of_the_machine_must_be_new_enough(
    home: ToolHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "deno"
    program.parent.mkdir()
    away = ToolHome(root=home.root, environ={"PATH": f"{program.parent}:/usr/bin:/bin"}, settings=home.settings)
    real = typescript.packaged_deno()
    monkeypatch.setattr("compozy.tool.typescript.packaged_deno", lambda: None)

    program.write_text("#!/bin/sh\necho deno 1.46.3\n")
    program.chmod(0o755)
    with pytest.raises(ToolError, match=r"needs Deno 2\.9 or newer; .*/bin/deno has version 1\.46"):
        await new_tool(config("total"), away).describe()
    program.write_text(f'#!/bin/sh\nexec {real} "$@"\n')

    assert (await call(away, config("total"), price=1)).content == 2


CALLER = """
import asyncio, os, sys
from pathlib import Path
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolCall, ToolHome
from compozy.tool.registry import new_tool

config = ToolConfig(id="t", run="tools/shop.ts:burn", input={"type": "object"}, permissions={"write": ["started"]})
home = ToolHome(root=Path(sys.argv[1]), environ=dict(os.environ))
asyncio.run(new_tool(config, home).call(ToolCall(key="k", input={}, execution_id="e", task="t", timeout_s=120)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_tool_ends_with_compozy(home: ToolHome) -> None:
    (home.root / "tools" / "shop.ts").write_text(
        'export function burn() { Deno.writeTextFileSync("started", `${Deno.pid}`); for (;;); }'
    )
    started = home.root / "started"
    with subprocess.Popen([sys.executable, "-c", CALLER, str(home.root)]) as caller:
        try:
            wait_until(lambda: started.exists() and started.read_text() != "")
        finally:
            caller.kill()
    wait_until(lambda: not Path(f"/proc/{started.read_text()}").exists())


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1200):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail("this did not come about within 60 s")


async def test_files_that_are_missing_or_outside(home: ToolHome) -> None:
    with pytest.raises(ToolError, match=r"the file tools/none\.ts does not exist"):
        new_tool(config("total", run="tools/none.ts:total"), home)
    with pytest.raises(ToolError, match="is outside of the project"):
        new_tool(config("total", run="../shop.ts:total"), home)
    with pytest.raises(ToolError, match="does not describe its arguments"):
        await new_tool(config("total", input=None), home).describe()


@pytest.mark.parametrize(
    ("run", "runtime", "kind"),
    [
        ("a.ts:f", None, "typescript"),
        ("a.mjs:f", None, "typescript"),
        ("a.js:f", "bun", "typescript"),
        ("a.py:f", None, "python"),
        ("a.rb:f", None, None),
    ],
)
def test_which_kind_a_file_is(run: str, runtime: str | None, kind: str | None) -> None:
    found = kind_of(ToolConfig.model_validate({"id": "t", "run": run, "runtime": runtime}))

    assert (found.name if found else None) == kind


@pytest.mark.parametrize("host", ["https://a.test", "a.test/x", "a,b", "", "a b", "-a"])
def test_hosts_that_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        config("total", **only("net", host))
