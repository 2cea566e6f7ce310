"""Many connections, slow readers, few descriptors, and the duration of one response."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import statistics
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from compozy.server import connections
from compozy.server.connections import ACCEPTED_AT_ONCE, connection_limit
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import query, write_project
from tests.harness.servers import API, start_server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project."""
    return write_project(tmp_path / "project")


@pytest.mark.parametrize("descriptors", [20, 64, 256, 1024, 65_536])
def test_descriptors_are_reserved_for_the_database(descriptors: int) -> None:
    limit = connection_limit(descriptors)
    assert 1 <= limit <= 4096
    assert descriptors < 64 or descriptors - limit - ACCEPTED_AT_ONCE >= min(256, descriptors // 2)


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def test_idle_connections_do_not_block_others(commands: Commands, project: Path) -> None:
    """They used every descriptor: probes got no response, runs failed, and the log grew by megabytes."""
    server = start_server(commands, project, conditions=Conditions(before=few_descriptors))
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
        assert server.ask("GET", "/healthz").status == 200
        run = server.ask("POST", f"{API}/workflows/two/executions/sync", {})
        assert (run.status, run.document["status"]) == (200, "SUCCESS")
        assert len(server.command.err) < 5000
        server.command.send(signal.SIGTERM)
        assert server.command.wait().status == 0
    assert query(project, "SELECT status FROM workflow_states") == [("SUCCESS",)]


def test_uploads_that_never_end_do_not_block_others(commands: Commands, project: Path) -> None:
    """They held every connection for 30 s, and other clients got 503."""
    server = start_server(commands, project, conditions=Conditions(before=few_descriptors))
    head = f"POST {API}/workflows/two/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with ExitStack() as stack:
        for _ in range(150):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n".encode())
        assert server.ask("GET", "/healthz").status == 200
        run = server.ask("POST", f"{API}/workflows/two/executions/sync", {})
        assert (run.status, run.document["status"]) == (200, "SUCCESS")
    assert query(project, "SELECT status FROM workflow_states") == [("SUCCESS",)]


def read_quickly() -> None:
    connections.READ_S = 4.0


def test_a_client_that_does_not_read_loses_its_connection(commands: Commands, project: Path) -> None:
    server = start_server(commands, project, conditions=Conditions(before=read_quickly))
    before = sockets_of(server.command.pid)
    text = "x" * 6_000_000
    run = server.ask("POST", f"{API}/workflows/echo/executions/sync", {"execution_id": "big", "input": {"text": text}})
    assert run.status == 200
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        server.command.until(lambda: sockets_of(server.command.pid) == before)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(f"GET {API}/executions/workflows/big HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        server.command.until(lambda: sockets_of(server.command.pid) > before)
        server.command.until(lambda: sockets_of(server.command.pid) == before)
        received = 0
        with suppress(ConnectionResetError):
            while part := sock.recv(65_536):
                received += len(part)
        assert received < 6_000_000
    assert len(server.ask("GET", f"{API}/executions/workflows/big").content) > 6_000_000


def test_answers_do_not_wait_for_acknowledgements(commands: Commands, project: Path) -> None:
    """Head and body were two packets, and the second waited 40 ms for the acknowledgement of the first."""
    server = start_server(commands, project)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    times: list[float] = []
    for _ in range(30):
        began = time.perf_counter()
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok"}'
        times.append(time.perf_counter() - began)
    connection.close()
    assert min(times) < 0.02, statistics.median(times)


def test_an_answer_is_sent_immediately(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        first = sock.recv(65_536)
        assert first.startswith(b"HTTP/1.1 200")
        assert first.endswith(b'{"status":"ok"}')


def memory_of(pid: int) -> int:
    """Return the memory of a process in bytes."""
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * resource.getpagesize()


def bound_little() -> None:
    connections.READ_S = 2.0
    connections.MAX_UNSENT = 32 * 1024 * 1024


def ask_and_read_nothing(stack: ExitStack, port: int, request: bytes) -> socket.socket:
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(("127.0.0.1", port))
    sock.sendall(request)
    return sock


def test_thirty_clients_that_read_nothing_use_no_memory(commands: Commands, project: Path) -> None:
    """Each answer has 12 MB, also those of /sync. The waiting part is limited, and memory is returned to the system."""
    server = start_server(commands, project, conditions=Conditions(before=bound_little))
    text = "x" * 3_000_000
    run = server.ask("POST", f"{API}/workflows/echo/executions/sync", {"execution_id": "big", "input": {"text": text}})
    assert run.status == 200
    body = json.dumps({"input": {"text": text}}).encode()
    head = (
        f"POST {API}/workflows/echo/executions/sync HTTP/1.1\r\nHost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    )
    sync = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    get = f"GET {API}/executions/workflows/big HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    peaks: list[int] = []
    before, before_bytes = sockets_of(server.command.pid), memory_of(server.command.pid)
    for _ in range(2):
        with ExitStack() as stack:
            for request in [get] * 24 + [sync] * 6:
                ask_and_read_nothing(stack, server.port, request)
            # Until the server has closed all of them.
            peaks.append(0)
            has_come = False
            while not has_come or sockets_of(server.command.pid) > before:
                has_come = has_come or sockets_of(server.command.pid) >= before + 6
                peaks[-1] = max(peaks[-1], memory_of(server.command.pid))
                time.sleep(0.05)
            assert server.ask("GET", "/healthz").status == 200
    assert peaks[1] < peaks[0] * 1.25, peaks
    # Not only the last block, most of which glibc would keep.
    allowed = before_bytes + (peaks[1] - before_bytes) // 3
    server.command.until(lambda: memory_of(server.command.pid) < allowed)


def sockets_of(pid: int) -> int:
    """Return the number of open sockets of a process."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # Some are closed meanwhile.
        with suppress(FileNotFoundError):
            count += os.readlink(link).startswith("socket:")
    return count
