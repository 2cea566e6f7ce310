"""Measures the cost of a command that calls a server, and the startup time of a server.

python -m tests.bench.commands
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.harness.projects import write_project
from tests.harness.servers import ask, free_port

_AT_ONCE = 10
_RESPONSES = {f"t{number}": {"text": "x", "delay_ms": 20} for number in range(3)}
_WORKFLOW = {"tasks": [{"id": f"t{number}", "prompt": "a"} for number in range(3)]}
_COMMAND = [sys.executable, "-c", "from compozy.cli.main import main; main()"]


def main() -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as scratch:
        port = free_port()
        folder = write_project(Path(scratch), {"three": _WORKFLOW}, responses=_RESPONSES, server={"port": port})
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        for what in ("new database", "old database"):
            server = _start(folder, port, what)
            if what == "old database":
                _run_ten(folder)
                print(f"server, resident: {_resident_mb(server.pid):.0f} MB")
            server.terminate()
            server.wait()


def _start(folder: Path, port: int, what: str) -> subprocess.Popen[bytes]:
    began = time.monotonic()
    server = subprocess.Popen([*_COMMAND, "start", f"--port={port}"], cwd=folder, stdout=subprocess.DEVNULL)
    while not _is_ready(port):
        time.sleep(0.005)
    seconds = time.monotonic() - began
    print(f"ready after {seconds:.2f} s, {_processor_s(server.pid):.2f} s of processor ({what})")
    return server


def _run_ten(folder: Path) -> None:
    command = [*_COMMAND, "workflow", "run", "three", "--quiet"]
    # The first run waits for the imports of the model libraries.
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        started = [subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) for _ in range(_AT_ONCE)]
        statuses = [process.wait() for process in started]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"{_AT_ONCE} concurrent `workflow run`: {time.monotonic() - began:.2f} s, "
            f"{used / _AT_ONCE:.2f} s of processor each, {sum(status == 0 for status in statuses)} succeeded"
        )


def _is_ready(port: int) -> bool:
    try:
        return ask(port, "GET", "/readyz").status == 200
    except OSError:
        return False


def _processor_s(pid: int) -> float:
    fields: list[Any] = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
