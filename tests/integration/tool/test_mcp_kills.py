"""A kill of Compozy leaves no process of an MCP server, even if the server ignores the end of its input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# The server ignores the end of its input and every signal that can be ignored, and has a child outside its group.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleep, start_new_session=True)
open(sys.argv[1] + ".part", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""
CALLER = """
import asyncio, sys
from compozy.tool.mcp.stdio import ServerCommand, ServerProcess, run_server

async def main():
    command = [sys.executable, "-S", "-c", sys.argv[1], sys.argv[2]]
    start = ServerCommand(command=command, environment={}, cwd="/", name="stubborn")
    async with run_server(start, ServerProcess()):
        print("started", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_no_process_remains(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    command = [sys.executable, "-c", CALLER, STUBBORN, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "started\n"
        _wait_until(file.exists)
        pids = [int(pid) for pid in file.read_text().split()]
        assert all(_is_running(pid) for pid in pids)
        caller.send_signal(signal.SIGKILL)
    _wait_until(lambda: not any(_is_running(pid) for pid in pids))


def _is_running(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1200):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail(f"not within a minute; this process is {os.getpid()}")
