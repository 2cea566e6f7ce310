"""Python tools in their own process: their description, their input, and how they are stopped."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import RuntimeSettings
from compozy.errors import ToolError
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolCall, ToolHome, ToolResult, new_tool
from compozy.tool.registry import kind_of

FUNCTIONS = '''
import asyncio
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date


@dataclass
class Order:
    number: str
    when: date


def find(number: str, limit: int = 10, *, exact: bool = True) -> Order:
    """Find an order.

    It must be of this year.

    Args:
        number: as printed
            on the bill
        limit: at most so many

    Returns:
        The order.
    """
    print("this is not the result")
    return Order(number, date(2026, 1, limit))


async def wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "waited"


def look(ctx):
    return {
        "key": ctx.idempotency_key, "run": ctx.execution_id, "task": ctx.task, "config": ctx.config,
        "variable": os.environ["COMPOZY_IDEMPOTENCY_KEY"],
    }


def variables(child: bool = False) -> list:
    if child:
        out = subprocess.run([sys.executable, "-c", "import os; print(sorted(os.environ))"], capture_output=True)
        return eval(out.stdout)
    return sorted(os.environ)


def secret() -> str:
    return "the token is " + os.environ["TOKEN"]


def hog(megabytes: int) -> int:
    return len(bytearray(megabytes * 1024 * 1024))


def spin(pid_file: str, detached: bool) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=detached)
    open(pid_file, "w").write(str(child.pid))
    time.sleep(600)


def leave_behind(pid_file: str) -> str:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    open(pid_file, "w").write(str(child.pid))
    return "done"


def burn() -> None:
    while True:
        pass


def endless() -> str:
    return "x" * 30_000_000


def chatter() -> str:
    for number in range(20_000):
        print("line", number)
    return "quiet"


def crash() -> None:
    os._exit(3)


def fail(text: str) -> None:
    raise ValueError(text)


def odd() -> object:
    return {1, 2}


def not_json() -> float:
    return float("nan")


def bomb(pid_file: str) -> None:
    # Children that leave the process group one after another, as long as the tool lives.
    with open(pid_file, "a") as file:
        while True:
            file.write(f"{subprocess.Popen(['sleep', '600'], start_new_session=True).pid}\\n")
            file.flush()
            time.sleep(0.02)
'''


@pytest.fixture
def home(tmp_path: Path) -> ToolHome:
    """A project with the functions."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    environ = {"PATH": os.environ["PATH"], "CANARY": "c4n4ry-value", "TOKEN_OF_SHOP": "s3cr3t-t0ken"}
    return ToolHome(root=tmp_path, environ=environ, settings=RuntimeSettings())


def config(name: str, **more: Any) -> ToolConfig:
    """Return a tool of the functions."""
    return ToolConfig.model_validate({"id": name, "run": f"functions.py:{name}", **more})


async def call(home: ToolHome, tool: ToolConfig, timeout_s: float = 60, **given: Any) -> ToolResult:
    """Call a tool."""
    made = ToolCall(key="k" * 24, input=given, execution_id="run", task="a/b", timeout_s=timeout_s)
    return await new_tool(tool, home).call(made)


async def test_type_hints_and_docstring_describe_a_function(home: ToolHome) -> None:
    spec = await new_tool(config("find"), home).describe()
    assert spec.description == "Find an order.\n\nIt must be of this year."
    assert spec.schema == {
        "type": "object",
        "properties": {
            "number": {"type": "string", "description": "as printed on the bill"},
            "limit": {"type": "integer", "default": 10, "description": "at most so many"},
            "exact": {"type": "boolean", "default": True},
        },
        "required": ["number"],
        "additionalProperties": False,
    }
    assert (spec.effect, spec.kind) == ("retry", "python")


async def test_the_configuration_takes_precedence_over_the_function(home: ToolHome) -> None:
    schema = {"type": "object", "properties": {"number": {"type": "string"}}}
    spec = await new_tool(config("find", description="Find it.", input=schema, effect="read"), home).describe()
    assert (spec.description, spec.schema, spec.effect) == ("Find it.", schema, "read")


async def test_a_result_is_converted_and_what_is_printed_is_not_the_result(home: ToolHome) -> None:
    found = await call(home, config("find"), number="17", limit=3)
    assert found == ToolResult(outcome="ok", content={"number": "17", "when": "2026-01-03"})


async def test_coroutines_are_awaited(home: ToolHome) -> None:
    assert (await call(home, config("wait"), seconds=0)).content == "waited"


async def test_a_function_gets_its_context(home: ToolHome) -> None:
    found = await call(home, config("look", config={"page": 20}))
    assert found.content == {
        "key": "k" * 24,
        "run": "run",
        "task": "a/b",
        "config": {"page": 20},
        "variable": "k" * 24,
    }
    assert (await new_tool(config("look"), home).describe()).schema["properties"] == {}


@pytest.mark.parametrize("child", [False, True])
async def test_no_variable_reaches_a_tool_but_those_it_names(home: ToolHome, child: bool) -> None:
    names = (await call(home, config("variables", env={"TOKEN": "${TOKEN_OF_SHOP}"}), child=child)).content
    assert set(names) <= {"PATH", "TOKEN", "COMPOZY_IDEMPOTENCY_KEY", "COMPOZY_TOOL_PROCESS", "LC_CTYPE"}
    assert {"PATH", "TOKEN"} <= set(names)


async def test_values_of_its_variables_are_masked_in_results(home: ToolHome) -> None:
    found = await call(home, config("secret", env={"TOKEN": "${TOKEN_OF_SHOP}"}))
    assert found.content == "the token is ********"


async def test_a_variable_that_is_not_set_is_named(home: ToolHome) -> None:
    with pytest.raises(ToolError, match="tool 'secret' needs the variable NOWHERE, which is not set"):
        await call(home, config("secret", env={"TOKEN": "${NOWHERE}"}))


async def test_memory_is_limited(home: ToolHome) -> None:
    assert (await call(home, config("hog"), megabytes=10)).content == 10 * 1024 * 1024
    hog = await call(home, config("hog", limits={"memory": "300MB"}), megabytes=400)
    assert hog == ToolResult(outcome="failed", content="the tool needs more memory than `limits.memory` allows")


async def test_processor_time_is_limited(home: ToolHome) -> None:
    burned = await call(home, config("burn", limits={"cpu": "1s"}))
    assert burned.outcome == "failed"
    assert "more than 1 s of processor time" in burned.content


@pytest.mark.parametrize("detached", [False, True])
async def test_a_tool_that_does_not_end_is_killed_with_its_children(
    home: ToolHome, tmp_path: Path, detached: bool
) -> None:
    began_s = time.monotonic()
    late = await call(home, config("spin"), timeout_s=5.0, pid_file=str(tmp_path / "pid"), detached=detached)
    assert late == ToolResult(outcome="unknown", content="the tool did not end within 5 s")
    assert time.monotonic() - began_s < 60
    assert not is_alive(int((tmp_path / "pid").read_text()))


async def test_processes_that_a_tool_leaves_behind_are_killed(home: ToolHome, tmp_path: Path) -> None:
    assert (await call(home, config("leave_behind"), pid_file=str(tmp_path / "pid"))).content == "done"
    assert not is_alive(int((tmp_path / "pid").read_text()))


async def test_a_tool_that_keeps_starting_processes_leaves_none(home: ToolHome, tmp_path: Path) -> None:
    late = await call(home, config("bomb"), timeout_s=5.0, pid_file=str(tmp_path / "pids"))
    assert late.outcome == "unknown"
    pids = [int(line) for line in (tmp_path / "pids").read_text().splitlines()]
    assert len(pids) > 5
    assert [pid for pid in pids if is_alive(pid)] == []


async def test_a_large_result_is_refused(home: ToolHome) -> None:
    assert (await call(home, config("endless"))).content == f"the result is larger than {10 * 1024**2} bytes"


async def test_a_tool_that_prints_much_is_not_stopped(home: ToolHome) -> None:
    assert (await call(home, config("chatter"))).content == "quiet"


async def test_errors_and_ends_are_results(home: ToolHome) -> None:
    assert (await call(home, config("fail"), text="no luck")).content == "ValueError: no luck"
    assert (await call(home, config("crash"))).content == "the tool ended with exit code 3 before it answered"
    assert (await call(home, config("not_json"))).outcome == "failed"
    assert (await call(home, config("odd"))).content == [1, 2]


async def test_a_missing_function_is_named_with_those_that_exist(home: ToolHome) -> None:
    with pytest.raises(ToolError, match=r"functions.py has no function 'fnd'; it has bomb, burn, chatter, crash"):
        await new_tool(ToolConfig(id="x", run="functions.py:fnd"), home).describe()


async def test_the_time_limit_of_a_tool_counts_while_its_file_is_loaded(home: ToolHome) -> None:
    (home.root / "hangs.py").write_text("import time\ntime.sleep(600)\n\ndef f() -> int:\n    return 1\n")
    tool = ToolConfig.model_validate({"id": "x", "run": "hangs.py:f", "timeout": "700ms"})
    with pytest.raises(ToolError, match=r"tool 'x' cannot be used: the tool did not end within 0\.7 s"):
        await new_tool(tool, home).describe()


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("nowhere.py:f", "the file nowhere.py does not exist"),
        ("../other.py:f", r"\.\./other\.py is outside of the project"),
        ("/etc/passwd.py:f", "/etc/passwd.py is outside of the project"),
    ],
)
async def test_only_files_of_the_project_run(home: ToolHome, run: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        new_tool(ToolConfig(id="x", run=run), home)


async def test_a_link_out_of_the_project_is_not_followed(
    home: ToolHome, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "evil.py"
    outside.write_text("def f(): return 1")
    (home.root / "link.py").symlink_to(outside)
    with pytest.raises(ToolError, match="outside of the project"):
        new_tool(ToolConfig(id="x", run="link.py:f"), home)


async def test_another_interpreter_can_run_the_tools(home: ToolHome) -> None:
    settings = RuntimeSettings(python="/nowhere/python")
    with pytest.raises(ToolError, match="needs the Python interpreter '/nowhere/python', which does not exist"):
        await new_tool(config("find"), ToolHome(root=home.root, environ={}, settings=settings)).describe()


async def test_a_cancelled_call_kills_its_process(home: ToolHome, tmp_path: Path) -> None:
    running = asyncio.create_task(call(home, config("spin"), pid_file=str(tmp_path / "pid"), detached=False))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pid = int((tmp_path / "pid").read_text())
    # A killed process may still run until it is scheduled next. The time limit of tests ends this loop.
    while is_alive(pid):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def test_the_suffix_of_the_file_is_the_kind() -> None:
    assert (kind := kind_of(ToolConfig(id="x", run="a.py:f"))) is not None
    assert kind.name == "python"
    assert kind_of(ToolConfig(id="x", run="a.rb:f")) is None


def is_alive(pid: int) -> bool:
    """Return whether a process runs. An ended process that was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
