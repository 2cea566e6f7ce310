"""Reports to systemd, over a real socket: of a server and a worker from their start to their end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest
import structlog.testing

from compozy.server.supervisor import Supervisor, supervised, watchdog_interval_s
from tests.harness.processes import Command, Commands, Conditions
from tests.harness.projects import write_project

# 40 ms: half of it passes between two reports.
SOON_USEC = "40000"


def received(manager: socket.socket) -> str:
    return manager.recv(4096).decode()


def until(manager: socket.socket, state: str) -> list[str]:
    """Return the reports up to `state`."""
    states: list[str] = []
    while not states or states[-1] != state:
        states.append(received(manager))
    return states


def start(commands: Commands, tmp_path: Path, word: str) -> Command:
    folder = write_project(tmp_path / "project")
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": SOON_USEC}
    arguments = ("start", "--port=0") if word == "start" else ("worker",)
    return commands.start(folder, *arguments, conditions=Conditions(environ=environ))


@pytest.mark.parametrize("word", ["start", "worker"])
def test_a_process_reports_its_states(commands: Commands, manager: socket.socket, tmp_path: Path, word: str) -> None:
    process = start(commands, tmp_path, word)
    assert set(until(manager, "READY=1")) <= {"WATCHDOG=1", "READY=1"}
    assert ("Server listening" if word == "start" else "Worker ready") in process.out
    assert [received(manager) for _ in range(5)] == ["WATCHDOG=1"] * 5
    process.send(signal.SIGTERM)
    assert set(until(manager, "STOPPING=1")) <= {"WATCHDOG=1", "STOPPING=1"}
    assert process.wait().status == 0


def test_a_stopped_event_loop_reports_nothing(commands: Commands, manager: socket.socket, tmp_path: Path) -> None:
    process = start(commands, tmp_path, "worker")
    until(manager, "READY=1")
    process.send(signal.SIGSTOP)
    # Reports that were sent before it stopped; then the queue stays empty.
    manager.settimeout(0.5)
    late: list[str] = []
    with contextlib.suppress(TimeoutError):
        while True:
            late.append(received(manager))
    assert set(late) <= {"WATCHDOG=1"}
    manager.settimeout(60)
    process.send(signal.SIGCONT)
    assert received(manager) == "WATCHDOG=1"


async def test_without_a_manager_nothing_is_reported() -> None:
    async with supervised({}) as supervisor:
        supervisor.ready()
        supervisor.stopping()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "watchdog"] == []


async def test_a_socket_with_an_abstract_name() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"compozy-test-{os.getpid()}"
        sock.bind(f"\0{name}")
        sock.settimeout(60)
        async with supervised({"NOTIFY_SOCKET": f"@{name}"}) as supervisor:
            supervisor.ready()
        assert received(sock) == "READY=1"


async def test_other_kinds_of_addresses_are_ignored() -> None:
    async with supervised({"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": SOON_USEC}) as supervisor:
        supervisor.ready()


def test_a_manager_that_is_gone_is_one_warning(tmp_path: Path) -> None:
    supervisor = Supervisor(str(tmp_path / "gone"))
    with structlog.testing.capture_logs() as logs:
        supervisor.ready()
        supervisor.alive()
    assert [line["event"] for line in logs] == ["cannot report the state to systemd"]


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getppid())}, 30.0),
        # Inherited from a process that this one was started by.
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"} if os.getppid() != 1 else {}, None),
    ],
)
def test_the_interval_is_half_of_the_limit(environ: dict[str, str], interval_s: float | None) -> None:
    assert watchdog_interval_s(environ) == interval_s
