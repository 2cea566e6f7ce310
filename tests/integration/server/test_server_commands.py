"""Commands that use a server: its discovery, their output, and the modules that they import."""

from __future__ import annotations

import http.server
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Commands, Conditions
from tests.harness.projects import query, states, write_project
from tests.harness.servers import free_port, start_server

pytestmark = pytest.mark.usefixtures("port_of_file")

KEY = "correct-horse-battery-staple"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose server would use a free port."""
    return write_project(tmp_path / "project", server={"port": free_port()})


def with_environ(**values: str) -> Conditions:
    return Conditions(environ=values)


def test_commands_use_the_server(commands: Commands, project: Path) -> None:
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
    # The server executed them: no other process ever signed on.
    assert query(project, "SELECT DISTINCT role FROM executors") == [("server",)]


def test_output_is_the_same_with_and_without_a_server(commands: Commands, tmp_path: Path) -> None:
    """The same commands, once in process and once through a server, print the same."""
    asked = [
        ["workflow", "run", "two", "--id", "one", "--input", '{"name": "Ada"}'],
        ["workflow", "run", "bad", "--id", "two"],
        ["workflow", "run", "two", "--id", "one", "--input", '{"name": "Bob"}'],
        ["workflow", "run", "bad", "--id", "one"],
        ["workflow", "run", "tow"],
        ["workflow", "run", "two", "--input", "[]"],
        ["workflow", "run", "two", "--id", "no id"],
        ["workflow", "run", "slow", "--id", "three", "--timeout", "6s"],
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
    pattern = r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b\d+\.\ds"
    return done.status, re.sub(pattern, "TIME", done.out), re.sub(pattern, "TIME", done.err)


def test_changed_files_are_reported(commands: Commands, project: Path) -> None:
    start_server(commands, project)
    file = project / "workflows/two.yaml"
    file.write_text(file.read_text().replace("hello", "good morning"))
    done = commands.run(project, "workflow", "run", "two")
    assert done.status == 0
    assert "the project's files changed since the server" in done.err
    assert commands.run(project, "workflow", "run", "two", "--quiet").err == ""


def test_errors_in_changed_files_are_reported(commands: Commands, project: Path) -> None:
    server = start_server(commands, project)
    (project / "workflows/two.yaml").write_text("id: two\ntasks: 1\n")
    done = commands.run(project, "workflow", "run", "two")
    url = f"http://127.0.0.1:{server.port}"
    assert done.status == 0
    note = f"note: the server at {url} uses the last valid version of the project's files, which have errors:"
    assert note in done.err
    assert "workflows/two.yaml:2:8: " in done.err
    assert "restart" not in done.err
    named = commands.run(project, "workflow", "run", "two", "--server", url)
    assert "it uses the changes after a restart (`compozy dev` restarts it)" in named.err


def test_no_large_library_is_imported(commands: Commands, project: Path) -> None:
    """A command that finds a server imports neither engine nor models."""
    server = start_server(commands, project)
    heavy = [
        "dbos",
        "pydantic_ai",
        "sqlalchemy",
        "alembic",
        "fastapi",
        "uvicorn",
        "jsonschema",
        "openai",
        "httpx",
        "pydantic",
    ]
    for arguments in (
        ["workflow", "run", "two"],
        ["workflow", "run", "two", "-fjson"],
        ["workflow", "list"],
        ["health"],
    ):
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


def test_an_address_without_a_compozy_server(commands: Commands, project: Path) -> None:
    silent = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=silent.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{silent.server_port}"
        done = commands.run(project, "workflow", "list", "--server", url)
        assert (done.status, done.out) == (4, "")
        assert f"{url} is not a Compozy server" in done.err
    finally:
        silent.shutdown()
        silent.server_close()
    gone = commands.run(project, "workflow", "list", "--server", url)
    assert gone.status == 4
    assert f"cannot connect to a server at {url}: connection refused" in gone.err


@pytest.mark.parametrize(
    "url", ["8080", "ftp://x", "http://", "http://h:x", "http://h:0", "http://u:secret@h", "http://h/path", "x y"]
)
def test_invalid_addresses(commands: Commands, project: Path, url: str) -> None:
    done = commands.run(project, "workflow", "list", "--server", url)
    assert done.status == 2
    assert "is not a server URL" in done.err
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
    assert (worker.status, "memory" in worker.err) == (2, True)


def test_health(commands: Commands, project: Path) -> None:
    nobody = commands.run(project, "health")
    assert (nobody.status, "no server of this project runs" in nobody.err) == (4, True)
    server = start_server(commands, project)
    told = commands.run(project, "health")
    assert (told.status, told.out) == (0, f"The server at {server.url} is ready: project 'demo'\n")
    document = json.loads(commands.run(project, "health", "--format", "json").out)
    assert (document["status"], document["url"], document["project"]["name"]) == ("ready", server.url, "demo")
