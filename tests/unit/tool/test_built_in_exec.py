"""`cp__exec`: only listed commands, arguments below the folder, few variables, and no remaining process."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import ExecSettings, NativeToolSettings, RuntimeSettings
from compozy.errors import ToolError
from compozy.tool.built_in.tool import BuiltInTool
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolCall, ToolHome, ToolResult

COMMANDS = ("cat", "ls", "pwd", "env", "sleep", "grep", "echo", "yes", "sh", "head")
SECRET = "canary-4711"
# Times to sleep that no other process on this machine uses.
TAG = os.getpid()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "notes").mkdir(parents=True)
    (root / "notes/a.md").write_text("alpha\n")
    (root / "script.sh").write_text(f"sleep 60.{TAG} & setsid sleep 61.{TAG} & echo started; wait")
    (root / ".env").write_text(f"KEY={SECRET}")
    (tmp_path / "outside.txt").write_text(SECRET)
    return root


def make(root: Path, commands: tuple[str, ...] = COMMANDS, **more: Any) -> BuiltInTool:
    settings = RuntimeSettings(native_tools=NativeToolSettings(exec=ExecSettings(commands=commands)))
    environ: Mapping[str, str] = {"PATH": os.environ["PATH"], "HOME": "/root", "SECRET_KEY": SECRET, "LANG": "C.UTF-8"}
    return BuiltInTool(ToolConfig(id="cp__exec", **more), ToolHome(root=root, environ=environ, settings=settings))


async def run(tool: BuiltInTool, command: str, *args: str, timeout_s: float = 60, **more: Any) -> ToolResult:
    arguments = {"command": command, "args": list(args), **more}
    return await tool.call(ToolCall(key="k", input=arguments, execution_id="e", task="t", timeout_s=timeout_s))


async def refused(root: Path, command: str, *args: str, **more: Any) -> str:
    result = await run(make(root), command, *args, **more)
    assert result.outcome == "failed", result
    assert SECRET not in result.content
    return str(result.content)


async def test_a_command(root: Path) -> None:
    result = await run(make(root), "cat", "notes/a.md")
    assert result.outcome == "ok"
    assert result.content | {"duration_ms": 0} == {
        "stdout": "alpha\n",
        "stderr": "",
        "exit_code": 0,
        "success": True,
        "duration_ms": 0,
        "timed_out": False,
        "stdout_truncated": False,
        "stderr_truncated": False,
    }
    failed = (await run(make(root), "cat", "none")).content
    assert (failed["exit_code"], failed["success"]) == (1, False)
    assert "none" in failed["stderr"]


async def test_by_name_or_by_path(root: Path) -> None:
    path = str(shutil.which("cat"))
    assert (await run(make(root, ("cat",)), path, "notes/a.md")).outcome == "ok"
    assert (await run(make(root, (path,)), path, "notes/a.md")).outcome == "ok"
    unnamed = await run(make(root, ("cat",)), "ls")
    assert unnamed.content == "CommandNotAllowed: 'ls' cannot be run; the commands are: cat"
    for command in ("/bin/sh", "./cat", "cat;ls", "", "notes/cat", "../cat"):
        assert (await run(make(root, ("cat",)), command)).content.startswith("CommandNotAllowed")


@pytest.mark.parametrize(
    "argument",
    [
        *("/etc/passwd", "//etc/passwd", "/./etc/passwd", "/etc/../etc/passwd", "../../../../etc/passwd"),
        *("notes/../../outside.txt", "../outside.txt", "..", "notes/..", "--file=/etc/passwd", "--file=../outside.txt"),
        *("-f/etc/passwd", "-f../outside.txt", "-rf/etc/passwd", "@/etc/passwd", "file:/etc/passwd", "a,/etc/passwd"),
        *("x=y:/etc/passwd", "+/etc/passwd", "r/etc/passwd", "1r/etc/passwd", "file:///etc/passwd", "if=/etc/passwd"),
        *("link", "./link", "-flink", "--file=link", "@link", "a=link", "up/outside.txt", "notes/up/outside.txt"),
        *("./up/../outside.txt", ".env", "./.env", "notes/../.env", "-f.env", "--file=.env", ".ENV", ".git/config"),
        *("env.txt", "-fenv.txt", "a=b"),
    ],
)
async def test_no_argument_names_a_file_that_is_closed_or_outside(root: Path, argument: str) -> None:
    (root / "link").symlink_to("/etc/passwd")
    (root / "a=b").symlink_to("/etc/passwd")
    (root / "up").symlink_to("..")
    (root / "notes/up").symlink_to("../..")
    os.link(root / ".env", root / "env.txt")
    assert (await refused(root, "cat", argument)).startswith("PermissionDenied")


@pytest.mark.parametrize(
    "argument",
    [
        "a b",
        "$(id)",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        "a>b",
        "*",
        "~",
        "~/x",
        "a\\b",
        "a\n",
        "a'b",
        'a"b',
        "a\0",
        "",
        "%2e",
    ],
)
async def test_other_characters_are_refused(root: Path, argument: str) -> None:
    assert (await refused(root, "cat", argument)).startswith("InvalidArgument")


async def test_too_many_arguments(root: Path) -> None:
    assert "at most 12 arguments" in await refused(root, "cat", *["a"] * 13)
    assert "is too long" in await refused(root, "cat", "a" * 1001)
    assert "is too long" in await refused(root, "cat", "a," * 20)


@pytest.mark.parametrize("argument", ["-n", "--color=never", "notes", "notes/a.md", "./notes/a.md", "2026-01-01T10:00"])
async def test_ordinary_arguments_are_accepted(root: Path, argument: str) -> None:
    assert (await run(make(root), "echo", argument)).outcome == "ok"
    assert (await run(make(root), "echo", str(root / "notes/a.md"))).outcome == "ok"


async def test_the_environment_is_minimal(root: Path) -> None:
    printed = (await run(make(root), "env", env={"TZ": "UTC", "NO_COLOR": "1"})).content["stdout"]
    names = {line.partition("=")[0] for line in printed.splitlines()}
    assert names == {"PATH", "LANG", "HOME", "TZ", "NO_COLOR", "COMPOZY_TOOL_PROCESS"}
    assert "HOME=/nonexistent" in printed.splitlines()
    assert SECRET not in printed


async def test_variables_of_the_tool_are_passed_on_and_masked(root: Path) -> None:
    printed = (await run(make(root, env={"KEY": "${SECRET_KEY}"}), "env")).content["stdout"]
    assert "KEY=********" in printed.splitlines()


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "HOME", "GIT_DIR", "BASH_ENV", "PYTHONPATH", "X"])
async def test_a_call_cannot_set_other_variables(root: Path, name: str) -> None:
    assert (await refused(root, "env", env={name: "x"})).startswith("PermissionDenied: a call cannot set the variable")


async def test_values_of_variables_are_confined_too(root: Path) -> None:
    assert (await refused(root, "env", env={"TZ": ":/etc/passwd"})).startswith("PermissionDenied")


async def test_the_working_dir_is_below_the_folder(root: Path) -> None:
    (root / "up").symlink_to("..")
    result = await run(make(root), "pwd", working_dir="notes")
    assert result.content["stdout"].strip().endswith("project/notes")
    assert (await run(make(root), "cat", "a.md", working_dir="/notes")).content["stdout"] == "alpha\n"
    for path in ("..", "up", "/../..", "none", "notes/a.md", ".git"):
        assert (await run(make(root), "pwd", working_dir=path)).outcome == "failed", path
    assert (await run(make(root), "cat", "../notes/a.md", working_dir="notes")).outcome == "failed"


def _running(words: str) -> list[str]:
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            found += [line] if f"{words} " in line else []
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_a_command_is_killed_with_its_descendants_at_the_time_limit(root: Path) -> None:
    began = time.monotonic()
    result = (await run(make(root), "sh", "script.sh", timeout_ms=3000)).content
    assert time.monotonic() - began < 50
    assert result | {"duration_ms": 0} == {
        "stdout": "started\n",
        "stderr": "",
        "exit_code": -1,
        "success": False,
        "duration_ms": 0,
        "timed_out": True,
        "stdout_truncated": False,
        "stderr_truncated": False,
    }
    assert _running(f"sleep 60.{TAG}") == _running(f"sleep 61.{TAG}") == []


async def test_the_time_limit_of_the_tool_is_the_upper_bound(root: Path) -> None:
    result = await run(make(root), "sleep", "60", timeout_s=0.2, timeout_ms=20_000)
    assert result.content["timed_out"] is True


async def test_a_command_that_leaves_a_process_behind_ends(root: Path) -> None:
    (root / "leave.sh").write_text(f"setsid sleep 62.{TAG} & echo done")
    result = (await run(make(root), "sh", "leave.sh")).content
    assert (result["stdout"], result["exit_code"]) == ("done\n", 0)
    assert _running(f"sleep 62.{TAG}") == []


async def test_endless_output_is_cut_and_ended(root: Path) -> None:
    result = (await run(make(root), "yes")).content
    assert len(result["stdout"]) == 2 * 1024 * 1024
    assert (result["stdout_truncated"], result["exit_code"], result["timed_out"]) == (True, -1, False)


async def test_errors_are_cut(root: Path) -> None:
    (root / "loud.sh").write_text("head -c 5000 loud.txt 1>&2; echo end")
    (root / "loud.txt").write_text("x" * 6000)
    result = (await run(make(root), "sh", "loud.sh")).content
    assert (len(result["stderr"]), result["stderr_truncated"], result["stdout"]) == (1024, True, "end\n")


async def test_memory_and_processor_time_are_limited(root: Path) -> None:
    (root / "spin.sh").write_text("sleep 0.2\nwhile true; do true; done")
    spin = make(root, limits={"cpu": "1s"})
    result = (await run(spin, "sh", "spin.sh")).content
    assert (result["exit_code"] < 0, result["timed_out"]) == (True, False)


async def test_a_cancelled_call_leaves_no_process(root: Path) -> None:
    task = asyncio.create_task(run(make(root), "sleep", f"63.{TAG}"))
    while not _running(f"sleep 63.{TAG}"):  # noqa: ASYNC110 - another process sends no events
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _running(f"sleep 63.{TAG}") == []


CALLER = """
import asyncio, sys
from pathlib import Path
from compozy.config.settings import ExecSettings, NativeToolSettings, RuntimeSettings
from compozy.tool.built_in.tool import BuiltInTool
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolCall, ToolHome

settings = RuntimeSettings(native_tools=NativeToolSettings(exec=ExecSettings(commands=("sleep",))))
home = ToolHome(root=Path(sys.argv[1]), environ={"PATH": "/bin:/usr/bin"}, settings=settings)
tool = BuiltInTool(ToolConfig(id="cp__exec"), home)
arguments = {"command": "sleep", "args": [sys.argv[2]]}
asyncio.run(tool.call(ToolCall(key="k", input=arguments, execution_id="e", task="t", timeout_s=60)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_command_ends_with_compozy(root: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", CALLER, str(root), f"65.{TAG}"]) as caller:
        try:
            _wait_until(lambda: len(_running(f"bin/sleep 65.{TAG}")) == 1)
            _wait_until(lambda: len(_running("read _; kill -9")) >= 1)
        finally:
            caller.kill()
    _wait_until(lambda: not _running(f"sleep 65.{TAG}"))


def _wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1200):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail("not so within 60 s")


async def test_the_description_for_the_model(root: Path) -> None:
    spec = await make(root, ("cat", "no-such-program")).describe()
    assert spec.schema["properties"]["command"]["enum"] == ["cat"]
    assert spec.effect == "once"
    with pytest.raises(ToolError, match="'cp__exec' has no command to run") as caught:
        await make(root, ()).describe()
    assert "runtime.native_tools.exec.commands" in caught.value.hint
