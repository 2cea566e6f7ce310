"""The life of a real server: start, signals, drain, resume, kills, garbage on its port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from compozy.client import Client
from compozy.server import connections, shutdown
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import WORKFLOWS, check_consistent, query, states, write_project
from tests.harness.servers import API, ask, free_port, start_server

KEY = "correct-horse-battery-staple"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose server would use a free port."""
    return write_project(tmp_path / "project", server={"port": free_port()})


def test_start_prints_four_lines(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    assert server.command.out == (
        "Starting Compozy server...\n"
        "Database initialized: driver=sqlite path=./data/compozy.db\n"
        f"Server listening on :{server.port} (http://127.0.0.1:{server.port})\n"
        f"Web page: http://127.0.0.1:{server.port}/ui/\n"
    )
    assert server.ask("GET", "/readyz").document == {"status": "ready"}
    assert server.command.err == ""
    server.command.send(signal.SIGTERM)
    ended = server.command.wait()
    assert (ended.status, ended.err) == (0, "stopped\n")


def test_ctrl_c_cancels_on_the_server(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    command = commands.start(project, "workflow", "run", "slow", "--id", "mine")
    command.until(lambda: ("RUNNING",) in query(project, "SELECT status FROM workflow_states"))
    command.send(signal.SIGINT)
    ended = command.wait()
    assert ended.status == 130
    assert "workflow 'slow' was canceled" in ended.err
    assert "canceled with Ctrl-C" in ended.err
    assert states(project) == [("CANCELED", None)]
    assert server.command.is_alive


def test_sigterm_leaves_the_run_to_the_server(commands: Commands, project: Path) -> None:
    start_server(commands, project)
    command = commands.start(project, "workflow", "run", "slow", "--id", "mine")
    command.until(lambda: ("RUNNING",) in query(project, "SELECT status FROM workflow_states"))
    command.send(signal.SIGTERM)
    ended = command.wait()
    assert ended.status == 143
    assert "Execution mine is still running on " in ended.err
    assert states(project)[0][0] == "RUNNING"


def drain_longer() -> None:
    shutdown.DRAIN_S = 8.0


def print_answers() -> None:
    def get(self: Client, *path: str, **query: Any) -> Any:
        answer = asked(self, *path, **query)
        print("answered", file=sys.stderr, flush=True)
        return answer

    asked, Client.get = Client.get, get


def test_a_server_drains_and_the_next_one_resumes(commands: Commands, tmp_path: Path) -> None:
    """Runs that can end in time do so, the others are resumed, and no waiting client gets a wrong message."""
    responses = {
        "one": {"text": "first"},
        "two": {"text": "second", "delay_ms": 4000},
        "late": {"text": "x", "delay_ms": 14_000},
    }
    workflows = {
        "two": WORKFLOWS["two"],
        "late": {
            "tasks": [
                {"id": "one", "prompt": "a"},
                {"id": "held", "type": "wait", "wait_for": "begin"},
                {"id": "late", "prompt": "b"},
            ]
        },
    }
    folder = write_project(tmp_path / "project", workflows, responses=responses, server={"port": free_port()})
    server = start_server(commands, folder, conditions=Conditions(before=drain_longer))
    server.ask("POST", f"{API}/workflows/late/executions", {"execution_id": "late"})
    waiting = commands.start(folder, "workflow", "get", "late", "--wait", conditions=Conditions(before=print_answers))
    # A stopping server accepts no new connection, so the command must have connected before.
    waiting.until(lambda: waiting.err.count("answered") >= 2)
    server.ask("POST", f"{API}/executions/workflows/late/signals", {"name": "begin"})
    server.ask("POST", f"{API}/workflows/two/executions", {"execution_id": "two"})
    server.command.until(lambda: query(folder, "SELECT count(*) FROM task_states WHERE status = 'RUNNING'") == [(2,)])
    server.command.send(signal.SIGTERM)
    ended = server.command.wait()
    assert ended.status == 0
    assert ended.err == (
        "stopping: waiting up to 8 s for 2 runs (signal again to exit immediately)\n"
        "stopped; 1 unfinished run will continue at the next start\n"
    )
    assert dict(query(folder, "SELECT workflow_exec_id, status FROM workflow_states")) == {
        "two": "SUCCESS",
        "late": "RUNNING",
    }
    again = start_server(commands, folder, port=server.port)
    done = waiting.wait()
    assert (done.status, "SUCCESS" in done.out) == (0, True), done.err
    assert query(folder, "SELECT count(*) FROM task_states WHERE task_id = 'one' AND attempts > 1") == [(0,)]
    again.command.send(signal.SIGINT)
    assert again.command.wait().status == 0
    check_consistent(folder)


def test_a_killed_server_is_not_used(commands: Commands, project: Path) -> None:
    """Its file next to the database remains. The command notices that the server is dead, and resumes its runs."""
    server = start_server(commands, project)
    server.ask("POST", f"{API}/workflows/slow/executions", {"execution_id": "mine", "timeout": 3})
    server.command.send(signal.SIGKILL)
    server.command.wait()
    assert server.url in (project / "data/compozy.db.owner").read_text()
    done = commands.run(project, "workflow", "run", "two")
    assert done.status == 0, done.err
    assert "unfinished run" in done.err


def test_a_second_server_on_a_hard_link_is_refused(commands: Commands, project: Path, tmp_path: Path) -> None:
    """Nor does one start on the same path when the owner file of the first was removed."""
    server = start_server(commands, project)
    database = project / "data/compozy.db"
    link = tmp_path / "link.db"
    link.hardlink_to(database)
    (project / "data/compozy.db.owner").unlink()
    for path in (link, database):
        done = commands.run(project, "start", "--port=0", f"--db-path={path}")
        assert done.status == 4
        assert f"process {server.command.pid} (compozy start --" in done.err
        assert f"the server at {server.url}, executes runs on" in done.err
    assert server.ask("GET", "/healthz").status == 200


def test_a_used_port_names_its_holder(commands: Commands, project: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = commands.run(project, "start", f"--port={port}")
    assert done.status == 2
    assert f"port {port} is in use by process {os.getpid()} (" in done.err
    assert "--port" in done.err
    assert not (project / "data").exists()


def test_two_servers_on_one_file(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    second = commands.run(project, "start", "--port=0")
    assert second.status == 4
    assert f"process {server.command.pid} (compozy start --port=0), the server at {server.url}," in second.err
    worker = commands.run(project, "worker")
    assert (worker.status, server.url in worker.err) == (4, True)


def test_the_same_request_twice_concurrently(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    answers: list[Any] = []

    def post() -> None:
        path = f"{API}/workflows/two/executions/sync"
        answers.append(server.ask("POST", path, {"input": {"name": "Ada"}}, Idempotency_Key="one"))

    threads = [threading.Thread(target=post) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {200}
    assert len({answer.document["execution_id"] for answer in answers}) == 1
    assert states(project) == [("SUCCESS", None)]


def test_a_worker_resumes_remaining_runs(commands: Commands, tmp_path: Path) -> None:
    folder = write_project(
        tmp_path / "project",
        {"two": WORKFLOWS["two"]},
        responses={"one": {"text": "first"}, "two": {"text": "second", "delay_ms": 4000}},
        server={"port": free_port()},
    )
    server = start_server(commands, folder)
    server.ask("POST", f"{API}/workflows/two/executions", {"execution_id": "mine"})
    server.command.until(lambda: ("two", "RUNNING") in query(folder, "SELECT task_id, status FROM task_states"))
    server.command.send(signal.SIGKILL)
    server.command.wait()
    worker = commands.start(folder, "worker")
    worker.until(lambda: states(folder) == [("SUCCESS", None)])
    worker.send(signal.SIGTERM)
    done = worker.wait()
    assert done.status == 0
    assert done.out == (
        "Starting Compozy worker...\nDatabase initialized: driver=sqlite path=./data/compozy.db\nWorker ready\n"
    )
    assert "this worker owns ./data/compozy.db;" in done.err
    check_consistent(folder)


def drain_for_long() -> None:
    shutdown.DRAIN_S = 600.0


def test_a_second_signal_exits_immediately(commands: Commands, project: Path) -> None:
    server = start_server(commands, project, conditions=Conditions(before=drain_for_long))
    server.ask("POST", f"{API}/workflows/slow/executions", {"execution_id": "mine"})
    server.command.send(signal.SIGINT)
    server.command.until(lambda: " for 1 run (signal again" in server.command.err)
    server.command.send(signal.SIGINT)
    assert server.command.wait().status == 130
    assert states(project)[0][0] == "RUNNING"


def test_an_incomplete_request_does_not_block_the_server(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(
            b"POST /api/v0/workflows/two/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n{"
        )
        assert server.ask("GET", "/readyz").status == 200
        server.command.send(signal.SIGTERM)
        assert server.command.wait().status == 0


def be_impatient() -> None:
    connections.HEAD_S = 3.0


def test_a_silent_client_is_not_waited_for(commands: Commands, project: Path) -> None:
    server = start_server(commands, project, conditions=Conditions(before=be_impatient))
    for text in (b"", b"GET /rea", b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
            sock.sendall(text)
            assert sock.recv(4096) == b""
    # A run that takes longer than the time limit of a request is waited for.
    path = f"{API}/workflows/slow/executions/sync"
    assert server.ask("POST", path, {"timeout": 4.0, "execution_id": "mine"}).status == 408


def test_runs_that_arrive_while_models_are_imported(project: Path) -> None:
    """A separate process, since the others have imported everything: two threads must not import concurrently."""
    port = free_port()
    command = [sys.executable, "-c", "from compozy.cli.entry import main; main()", "start", f"--port={port}"]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        while "listening" not in process.stdout.readline():
            assert process.poll() is None
        answers: list[int] = []
        for _ in range(3):
            path = f"{API}/workflows/two/executions"
            answers.append(ask(port, "POST", path, {}).status)
            time.sleep(0.1)
        assert answers == [202] * 3
        while {status for status, _ in states(project)} & {"PENDING", "RUNNING"}:
            time.sleep(0.05)
        assert states(project) == [("SUCCESS", None)] * 3
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    # The tables may contain the end of a run before the journal does, and then the server waits for that.
    lines = [line for line in err.splitlines() if not line.startswith("stopping: ")]
    assert (process.returncode, lines) == (0, ["stopped"])


def test_garbage_is_refused(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    host = b"Host: 127.0.0.1\r\n"
    for text in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET /api/v0/project HTTP/1.1\r\n\r\n",
        b"GET /api/v0/project HTTP/1.1\r\n" + host + b"Host: example.com\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + host + b"\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
            sock.sendall(text)
            answer = sock.recv(4096)
            assert answer == b"" or answer.split(b" ")[1].startswith(b"4"), (text[:80], answer)
    assert ask(server.port, "GET", "/readyz").status == 200


def test_large_bodies_are_refused_before_they_are_read(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    head = b"POST /api/v0/workflows/two/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
        sock.sendall(head + b"Content-Length: 10000000000\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_the_log_has_runs_and_requests_as_fields(commands: Commands, project: Path) -> None:
    port = free_port()
    command = commands.start(project, "--log-level=info", "--log-format=json", "start", f"--port={port}")
    command.until(lambda: "Server listening" in command.out)
    run = ask(port, "POST", f"{API}/workflows/two/executions/sync", {"execution_id": "mine"})
    assert run.status == 200
    assert ask(port, "GET", f"{API}/executions/workflows/mine").status == 200
    assert ask(port, "GET", "/healthz").status == 200
    ask(port, "POST", f"{API}/workflows/slow/executions", {"execution_id": "timed", "timeout": 0.1})
    command.until(lambda: query(project, "SELECT count(*) FROM workflow_states WHERE status = 'TIMED_OUT'") == [(1,)])
    command.send(signal.SIGTERM)
    ended = command.wait()
    lines: list[dict[str, Any]] = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    runs = [
        (line["event"], line["workflow"], line["execution_id"], line.get("status"), line["logger"])
        for line in lines
        if line["event"] in {"run accepted", "run ended"}
    ]
    assert runs == [
        ("run accepted", "two", "mine", None, "compozy.durable.ends"),
        ("run ended", "two", "mine", "SUCCESS", "compozy.durable.ends"),
        ("run accepted", "slow", "timed", None, "compozy.durable.ends"),
        ("run ended", "slow", "timed", "TIMED_OUT", "compozy.durable.ends"),
    ]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["path"], line["status"]) for line in requests] == [
        ("POST", f"{API}/workflows/two/executions/sync", 200),
        ("POST", f"{API}/workflows/slow/executions", 202),
    ]
    assert all(line["ms"] > 0 and line["logger"] == "compozy.server.access" for line in requests)
    assert {line["logger"] for line in lines if line["event"].startswith("task")} == {"compozy.server.shutdown"}
