"""`compozy start --processes` without standard streams, under a service manager, and while its database is away."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Commands, Conditions
from tests.harness.projects import WORKFLOWS, write_project
from tests.harness.proxy import Proxy
from tests.harness.servers import API, ask, free_port, start_server
from tests.harness.stores import Store, open_store
from tests.integration.server.test_server_processes import is_alive, until

WORKERS = f"{API}/workers"
EXECUTORS = "SELECT count(*) FROM executors"
PROGRAM = f"exec {sys.executable} -P -c 'from compozy.cli.entry import main; main()' start"


@pytest.fixture
def store(tmp_path: Path, clean_environ: None) -> Iterator[Store]:
    """A project on its own PostgreSQL database."""
    with open_store("postgres", tmp_path / "project") as opened:
        write(opened)
        yield opened


def write(store: Store, **database: Any) -> None:
    write_project(store.home, {"echo": WORKFLOWS["echo"]}, database={**store.section, **database})


def pids_at(port: int) -> set[int]:
    """Return the processes of the server, none before it is ready."""
    try:
        return {worker["pid"] for worker in ask(port, "GET", WORKERS).document["workers"]}
    except OSError:
        return set()


def run_once(port: int) -> Any:
    return ask(port, "POST", f"{API}/workflows/echo/executions/sync", {}).document["status"]


@contextmanager
def in_shell(store: Store, script: str) -> Generator[subprocess.Popen[bytes]]:
    """Start a script, not from a forked process, which has its streams already."""
    with subprocess.Popen(
        ["sh", "-c", script], cwd=store.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_the_socket_does_not_take_the_place_of_a_closed_stream(
    manager: socket.socket, store: Store, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    port = free_port()
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    with in_shell(store, f"{PROGRAM} --processes=2 --port={port} {closed}") as server:
        assert manager.recv(4096) == b"READY=1"
        pids = pids_at(port)
        assert len(pids) == 2
        assert server.pid not in pids
        assert run_once(port) == "SUCCESS"
        killed = min(pids)
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(pids_at(port) - {killed}) == 2)
        pids = pids_at(port) - {killed}
        server.terminate()
        out, err = server.communicate()
    assert server.returncode == 0
    assert not any(map(is_alive, pids))
    assert out.startswith(b"Starting Compozy server...\n") is (">&-" not in closed.split())
    assert (b"another one replaces it" in err) is ("2>&-" not in closed)
    # The lease of the killed one may not have expired.
    assert store.query(f"{EXECUTORS} WHERE pid <> {killed}") == [(0,)]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_reader_that_leaves_ends_the_server(store: Store, processes: int) -> None:
    with in_shell(store, f"{PROGRAM} --processes={processes} --port=0") as server:
        assert server.stdout is not None
        assert server.stderr is not None
        assert server.stdout.readline() == b"Starting Compozy server...\n"
        assert server.stdout.readline().startswith(b"Database initialized")
        # The address is printed later, when all processes are ready.
        server.stdout.close()
        err = server.stderr.read()
        server.wait()
    # As every command whose reader has read enough.
    assert (server.returncode, b"Traceback" in err) == (0, False), err
    assert store.query(EXECUTORS) == [(0,)]


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "20000000"}], ids=["alone", "watchdog"])
def test_the_service_manager_gets_the_reports_of_one_process(
    commands: Commands, manager: socket.socket, store: Store, watchdog: dict[str, str]
) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), **watchdog}
    command = commands.start(store.home, "start", "--port=0", "--processes=2", conditions=Conditions(environ=environ))
    states = [manager.recv(4096)]
    while states[-1] != b"READY=1":
        states.append(manager.recv(4096))
    # All processes are ready, not only the first one.
    assert store.query(EXECUTORS) == [(2,)]
    assert "Server listening" in command.out
    pids = {pid for (pid,) in store.query("SELECT pid FROM executors")}
    os.kill(min(pids), signal.SIGKILL)
    until(lambda: store.query(f"{EXECUTORS} WHERE pid <> {min(pids)}") == [(2,)])
    command.send(signal.SIGTERM)
    assert command.wait().status == 0
    manager.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            states.append(manager.recv(4096))
    alive = [state for state in states if state == b"WATCHDOG=1"]
    assert [state for state in states if state != b"WATCHDOG=1"] == [b"READY=1", b"STOPPING=1"]
    assert bool(alive) is bool(watchdog)


def test_a_process_that_is_killed_before_all_are_ready_is_named(commands: Commands, store: Store) -> None:
    command = commands.start(store.home, "start", "--port=0", "--processes=2")
    until(lambda: store.query(EXECUTORS) == [(1,)])
    [(pid,)] = store.query("SELECT pid FROM executors")
    os.kill(pid, signal.SIGKILL)
    done = command.wait()
    assert done.status == 137
    record = rf"a server process cannot start, and the server ends \[\S+\] exit_code=137 pid={pid}\n"
    assert re.search(record, done.err), done.err


@pytest.mark.parametrize(("count", "ends"), [(1, 2), (2, 10)])
def test_processes_are_replaced_after_the_database_was_away(
    commands: Commands, store: Store, count: int, ends: int
) -> None:
    with Proxy(store.section["port"]) as front:
        write(store, port=front.port)
        server = start_server(commands, store.home, "--processes=2")
        until(lambda: len(pids_at(server.port)) == 2)
        pids = pids_at(server.port)
        killed = set(sorted(pids)[:count])
        with front.closed():
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            # More often than a process that cannot start for another reason.
            until(lambda: server.command.err.count("another one replaces it") > ends)
            assert server.command.is_alive
            if killed < pids:
                assert ask(server.port, "GET", "/readyz").status == 503
        until(lambda: len(pids_at(server.port) - killed) == 2)
        assert pids - killed <= pids_at(server.port)
        assert run_once(server.port) == "SUCCESS"
        command = server.command
        command.send(signal.SIGTERM)
        done = command.wait()
    assert done.status == 0, done.err
