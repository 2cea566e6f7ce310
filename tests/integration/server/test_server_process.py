"""A real server and real commands beside it: start, thin commands, drain, resume."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Commands, Conditions
from tests.harness.projects import WORKFLOWS, check_consistent, query, states, write_project
from tests.harness.servers import API, ask, free_port, start_server

KEY = "correct-horse-battery-staple"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose server would be at a port that nobody has."""
    return write_project(tmp_path / "project", server={"port": free_port()})


def with_environ(**values: str) -> Conditions:
    return Conditions(environ=values)


def test_start_tells_three_lines(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    assert server.command.out == (
        "Starting Compozy server...\n"
        "Database initialized: driver=sqlite path=./data/compozy.db\n"
        f"Server listening on :{server.port} (http://127.0.0.1:{server.port})\n"
    )
    assert server.ask("GET", "/readyz").document == {"status": "ready"}
    assert server.command.err == ""
    server.command.send(signal.SIGTERM)
    ended = server.command.wait()
    assert (ended.status, ended.err) == (0, "stopped\n")


def test_commands_go_through_the_server(commands: Commands, project: Path) -> None:
    start_server(commands, project)
    beside = commands.run(project, "workflow", "run", "two", "--id", "beside", "--format", "json")
    assert beside.status == 0, beside.err
    got = commands.run(project, "workflow", "get", "beside", "--format", "json")
    listed = commands.run(project, "workflow", "list", "--format", "json")
    text = commands.run(project, "workflow", "run", "two")
    failed = commands.run(project, "workflow", "run", "bad", "--id", "failed")
    shown = commands.run(project, "workflow", "get", "failed")
    assert json.loads(got.out) == json.loads(beside.out)
    assert [run["execution_id"] for run in json.loads(listed.out)["executions"]] == ["beside"]
    assert text.out == 'Workflow \'two\' completed successfully\nResult: {"last": "second"}\n'
    assert (failed.status, failed.out) == (1, "")
    assert shown.status == 1
    # Who executed them: no process but the server ever signed on.
    assert query(project, "SELECT DISTINCT role FROM executors") == [("server",)]


def test_words_are_those_without_a_server(commands: Commands, tmp_path: Path) -> None:
    """The same commands, once in process and once through a server, print the same."""
    asked = [
        ["workflow", "run", "two", "--id", "one", "--input", '{"name": "Ada"}'],
        ["workflow", "run", "bad", "--id", "two"],
        ["workflow", "run", "two", "--id", "one", "--input", '{"name": "Bob"}'],
        ["workflow", "run", "bad", "--id", "one"],
        ["workflow", "run", "tow"],
        ["workflow", "run", "two", "--input", "[]"],
        ["workflow", "run", "two", "--id", "no id"],
        ["workflow", "run", "slow", "--id", "three", "--timeout", "500ms"],
        ["workflow", "get", "two"],
        ["workflow", "get", "none"],
        ["workflow", "list"],
        ["workflow", "run", "two", "--id", "four", "--format", "json"],
        ["workflow", "run", "tow", "--format", "json"],
        ["workflow", "get", "three", "--format", "json"],
    ]
    folders = [write_project(tmp_path / name, server={"port": free_port()}) for name in ("alone", "served")]
    start_server(commands, folders[1])
    for arguments in asked:
        alone, served = (_without_times(commands.run(folder, *arguments)) for folder in folders)
        assert served == alone, arguments


def _without_times(done: Any) -> tuple[int, str, str]:
    import re

    pattern = r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b\d+\.\ds"
    return done.status, re.sub(pattern, "TIME", done.out), re.sub(pattern, "TIME", done.err)


def test_files_that_changed_are_told(commands: Commands, project: Path) -> None:
    start_server(commands, project)
    file = project / "workflows/two.yaml"
    file.write_text(file.read_text().replace("hello", "good morning"))
    done = commands.run(project, "workflow", "run", "two")
    assert done.status == 0
    assert "the project's files changed since the server" in done.err
    assert commands.run(project, "workflow", "run", "two", "--quiet").err == ""


def test_nothing_heavy_is_loaded(commands: Commands, project: Path) -> None:
    """A command that finds a server loads neither engine nor models."""
    import subprocess

    server = start_server(commands, project)
    heavy = ["dbos", "pydantic_ai", "sqlalchemy", "alembic", "fastapi", "uvicorn", "jsonschema", "openai", "httpx"]
    for arguments in (["workflow", "run", "two"], ["workflow", "list"], ["health"]):
        script = (
            "import sys\n"
            "from compozy.cli.main import run\n"
            f"status = run({arguments!r})\n"
            f"print([name for name in {heavy!r} if name in sys.modules], status, file=sys.stderr)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr.splitlines()[-1] == "[] 0", done.stderr
    assert server.command.is_alive


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
    assert "execution mine goes on on the server" in ended.err
    assert states(project)[0][0] == "RUNNING"


def test_a_server_drains_and_the_next_one_goes_on(commands: Commands, tmp_path: Path) -> None:
    """What can end in time does, the rest is resumed; nobody who waits is told anything wrong."""
    responses = {
        "one": {"text": "first"},
        "two": {"text": "second", "delay_ms": 1500},
        "late": {"text": "x", "delay_ms": 8000},
    }
    workflows = {
        "two": WORKFLOWS["two"],
        "late": {"tasks": [{"id": "one", "prompt": "a"}, {"id": "late", "prompt": "b"}]},
    }
    folder = write_project(tmp_path / "project", workflows, responses=responses, server={"port": free_port()})
    server = start_server(commands, folder)
    for name in ("two", "late"):
        server.ask("POST", f"{API}/workflows/{name}/executions", {"execution_id": name})
    waiting = commands.start(folder, "workflow", "get", "late", "--wait")
    server.command.until(lambda: query(folder, "SELECT count(*) FROM task_states WHERE status = 'RUNNING'") == [(2,)])
    time.sleep(0.3)
    server.command.send(signal.SIGTERM)
    ended = server.command.wait()
    assert ended.status == 0
    assert ended.err == (
        "stopping: 2 run(s) have 5 s to end (once more leaves at once)\n"
        "stopped; 1 unfinished run(s) go on with the next start\n"
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


def test_a_killed_server_is_not_asked(commands: Commands, project: Path) -> None:
    """What it wrote beside its database stays; the command sees that it is dead, and goes on with its runs."""
    server = start_server(commands, project)
    server.ask("POST", f"{API}/workflows/slow/executions", {"execution_id": "mine", "timeout": 3})
    server.command.send(signal.SIGKILL)
    server.command.wait()
    assert server.url in (project / "data/compozy.db.owner").read_text()
    done = commands.run(project, "workflow", "run", "two")
    assert done.status == 0, done.err
    assert "unfinished run(s)" in done.err


def test_a_port_in_use_names_its_holder(commands: Commands, project: Path) -> None:
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


def test_commands_and_a_server_begun_together(commands: Commands, project: Path) -> None:
    """Whoever gets the file executes; the others wait for it, or hand their run to it."""
    started = [commands.start(project, "workflow", "run", "two", "--id", f"r{number}") for number in range(2)]
    server = commands.start(project, "start", "--port=0")
    started += [commands.start(project, "workflow", "run", "two", "--id", f"s{number}") for number in range(2)]
    for command in started:
        done = command.wait()
        assert (done.status, done.out.splitlines()[-1]) == (0, 'Result: {"last": "second"}'), done.err
    server.until(lambda: "listening" in server.out)
    server.send(signal.SIGTERM)
    assert server.wait().status == 0
    assert states(project) == [("SUCCESS", None)] * 4
    check_consistent(project)


def test_a_request_twice_at_once(commands: Commands, project: Path) -> None:
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


def test_a_key_between_server_and_commands(commands: Commands, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", server={"port": free_port(), "api_key": "${SERVER_API_KEY}"})
    (folder / ".env").write_text(f"SERVER_API_KEY={KEY}\n")
    server = start_server(commands, folder)
    assert commands.run(folder, "workflow", "run", "two").status == 0
    away = tmp_path / "away"
    away.mkdir()
    refused = commands.run(away, "workflow", "list", "--server", server.url)
    assert refused.status == 3
    assert "COMPOZY_API_KEY" in refused.err
    given = commands.run(away, "workflow", "list", "--server", server.url, conditions=with_environ(COMPOZY_API_KEY=KEY))
    assert given.status == 0, given.err
    server.command.send(signal.SIGTERM)
    server.command.wait()
    assert KEY not in server.command.out + server.command.err + refused.err


def test_a_server_of_another_project(commands: Commands, tmp_path: Path) -> None:
    port = free_port()
    theirs = write_project(tmp_path / "theirs", name="theirs", server={"port": port})
    ours = write_project(tmp_path / "ours", server={"port": port})
    server = start_server(commands, theirs, port=port)
    done = commands.run(ours, "workflow", "run", "two")
    assert done.status == 0
    assert done.err == (
        f"note: the server at {server.url} runs the project 'theirs'; this command opens ./data/compozy.db itself\n"
    )
    assert (ours / "data/compozy.db").exists()
    named = commands.run(ours, "workflow", "run", "two", "--server", server.url)
    assert named.status == 2
    assert "runs the project 'theirs', and this is 'demo'" in named.err
    assert states(theirs) == []


def test_the_same_project_on_another_database(commands: Commands, project: Path) -> None:
    port = json.loads((project / "compozy.yaml").read_text())["server"]["port"]
    start_server(commands, project, port=port)
    done = commands.run(project, "workflow", "run", "two", "--db-path", "other.db")
    assert done.status == 0
    assert "on another database" in done.err
    assert (project / "other.db").exists()
    assert states(project) == []


def test_without_a_project(commands: Commands, project: Path, tmp_path: Path) -> None:
    """The seeds' benchmark script runs workflows in a folder without a compozy.yaml."""
    away = tmp_path / "away"
    away.mkdir()
    port = free_port()
    there = with_environ(SERVER_PORT=str(port))
    nobody = commands.run(away, "workflow", "run", "two", conditions=there)
    assert nobody.status == 2
    assert f"no compozy.yaml in {away} and no server at http://127.0.0.1:{port}" in nobody.err
    server = start_server(commands, project, port=port)
    done = commands.run(away, "workflow", "run", "two", conditions=there)
    assert (done.status, done.err) == (0, f"note: using the server at {server.url} (project 'demo')\n")
    unknown = commands.run(away, "workflow", "run", "three", conditions=there)
    assert unknown.status == 2
    assert "and the server at" in unknown.err
    assert "no workflow 'three' in project 'demo'" in unknown.err


def test_no_compozy_at_an_address(commands: Commands, project: Path) -> None:
    import http.server

    silent = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=silent.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{silent.server_port}"
        done = commands.run(project, "workflow", "list", "--server", url)
        assert (done.status, done.out) == (4, "")
        assert f"what answers at {url} is no Compozy server" in done.err
    finally:
        silent.shutdown()
        silent.server_close()
    gone = commands.run(project, "workflow", "list", "--server", url)
    assert gone.status == 4
    assert f"no server at {url}: connection refused" in gone.err


@pytest.mark.parametrize(
    "url", ["8080", "ftp://x", "http://", "http://h:x", "http://u:secret@h", "http://h/path", "x y"]
)
def test_addresses_that_are_none(commands: Commands, project: Path, url: str) -> None:
    done = commands.run(project, "workflow", "list", "--server", url)
    assert done.status == 2
    assert "no address of a server" in done.err
    assert "secret" not in done.err


def test_memory_is_shared_through_its_server(commands: Commands, tmp_path: Path) -> None:
    port = free_port()
    database = {"driver": "sqlite", "path": ":memory:"}
    folder = write_project(tmp_path / "project", database=database, server={"port": port})
    alone = commands.run(folder, "workflow", "run", "two")
    assert alone.status == 0, alone.err
    server = start_server(commands, folder, port=port)
    assert "path=:memory:\n" in server.command.out
    first = commands.run(folder, "workflow", "run", "two", "--id", "first")
    assert (first.status, first.err) == (0, "")
    listed = json.loads(commands.run(folder, "workflow", "list", "--format", "json").out)
    assert [run["execution_id"] for run in listed["executions"]] == ["first"]
    worker = commands.run(folder, "worker")
    assert (worker.status, "in memory" in worker.err) == (2, True)


def test_health(commands: Commands, project: Path) -> None:
    nobody = commands.run(project, "health")
    assert (nobody.status, "no server of this project runs" in nobody.err) == (4, True)
    server = start_server(commands, project)
    told = commands.run(project, "health")
    assert (told.status, told.out) == (0, f"The server at {server.url} is ready: project 'demo'\n")
    document = json.loads(commands.run(project, "health", "--format", "json").out)
    assert (document["status"], document["url"], document["project"]["name"]) == ("ready", server.url, "demo")


def test_a_worker_goes_on_with_what_was_left(commands: Commands, tmp_path: Path) -> None:
    folder = write_project(
        tmp_path / "project",
        {"two": WORKFLOWS["two"]},
        responses={"one": {"text": "first"}, "two": {"text": "second", "delay_ms": 1000}},
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
    assert "this worker owns ./data/compozy.db now" in done.err
    check_consistent(folder)


def test_twice_leaves_at_once(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    server.ask("POST", f"{API}/workflows/slow/executions", {"execution_id": "mine"})
    server.command.send(signal.SIGINT)
    server.command.until(lambda: "stopping: 1 run(s)" in server.command.err)
    server.command.send(signal.SIGINT)
    assert server.command.wait().status == 130
    assert states(project)[0][0] == "RUNNING"


def test_half_a_request_does_not_hold_the_server(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(
            b"POST /api/v0/workflows/two/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n{"
        )
        assert server.ask("GET", "/readyz").status == 200
        server.command.send(signal.SIGTERM)
        assert server.command.wait().status == 0


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
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
            sock.sendall(text)
            answer = sock.recv(4096)
            assert answer == b"" or answer.split(b" ")[1].startswith(b"4"), (text[:80], answer)
    assert ask(server.port, "GET", "/readyz").status == 200


def test_large_bodies_are_refused_before_they_are_read(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    head = b"POST /api/v0/workflows/two/executions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(head + b"Content-Length: 10000000000\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 413 ")
