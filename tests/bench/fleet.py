"""Processes of one project that a benchmark starts, watches, restarts and kills."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.servers import ask, free_port

_COMMAND = [sys.executable, "-c", "from compozy.cli.main import main; main()"]
_LOOK_S = 0.05
# The machine may be busy with other work.
_READY_S = 300.0


@dataclass(kw_only=True)
class Member:
    """One process: its command, `start` or `worker`, and its port for requests or probes."""

    name: str
    role: str
    port: int
    process: subprocess.Popen[bytes]
    started_s: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The memory and the file descriptors of a process at one moment, in seconds since the first start."""

    at_s: float
    name: str
    rss_mib: float
    descriptors: int


class Fleet:
    """The processes of the project in `folder`.

    Args:
        folder: the project.
        roles: the command of each process.
    """

    def __init__(self, folder: Path, roles: Sequence[str]) -> None:
        self._folder = folder
        self._began_s = time.monotonic()
        self.members = [self._start(f"{role}-{number}", role) for number, role in enumerate(roles)]
        for member in self.members:
            self.until_ready(member)

    @property
    def ports(self) -> list[int]:
        """Return the ports of the servers."""
        return [member.port for member in self.members if member.role == "start"]

    def until_ready(self, member: Member) -> None:
        """Wait until a process executes runs."""
        ends_s = time.monotonic() + _READY_S
        while time.monotonic() < ends_s and member.process.poll() is None:
            with contextlib.suppress(OSError):
                if ask(member.port, "GET", "/readyz").status == 200:
                    return
            time.sleep(_LOOK_S)
        raise RuntimeError(f"{member.name} did not become ready: {self.log_of(member)[-2000:]}")

    def replace(self, member: Member) -> int:
        """Wait for the end of a process and start its successor; return the exit status, negative for a signal."""
        status = member.process.wait()
        successor = self._start(member.name, member.role)
        self.members[self.members.index(member)] = successor
        self.until_ready(successor)
        return status

    def sample(self) -> list[Sample]:
        """Return the memory and descriptors of each process that is alive."""
        at_s = time.monotonic() - self._began_s
        samples: list[Sample] = []
        for member in list(self.members):
            with contextlib.suppress(OSError, StopIteration):
                place = Path(f"/proc/{member.process.pid}")
                lines = (place / "status").read_text(encoding="utf-8").splitlines()
                rss_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
                descriptors = len(os.listdir(place / "fd"))
                samples.append(Sample(at_s=at_s, name=member.name, rss_mib=rss_kib / 1024, descriptors=descriptors))
        return samples

    def stop(self) -> list[int]:
        """Shut all processes down gracefully, and return their statuses."""
        for member in self.members:
            member.process.send_signal(signal.SIGTERM)
        return [member.process.wait() for member in self.members]

    def kill(self) -> None:
        """Kill the processes that are alive."""
        for member in self.members:
            member.process.kill()
            member.process.wait()

    def log_of(self, member: Member) -> str:
        """Return the output of a process and of those before it."""
        return (self._folder / f"{member.name}.log").read_text(encoding="utf-8")

    def _start(self, name: str, role: str) -> Member:
        port = free_port()
        command = [*_COMMAND, role, f"--port={port}"]
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        return Member(name=name, role=role, port=port, process=process, started_s=time.monotonic())
