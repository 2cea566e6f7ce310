"""Runtimes of TypeScript tools: Deno and Node, missing and old versions, kinds of files, entrypoints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typescripthome import FUNCTIONS, call, config

from compozy.config.settings import RuntimeSettings
from compozy.errors import ToolError
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolHome, ToolResult
from compozy.tool.kinds import typescript
from compozy.tool.registry import kind_of, new_tool


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
    pytest.fail("not so within 60 s")


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
