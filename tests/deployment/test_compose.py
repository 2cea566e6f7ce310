"""The Compose file: checked by Docker Compose, and its services as processes with the same environments."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.conftest import ROOT, Programs
from tests.harness.postgres import new_database
from tests.harness.processes import Command, Commands, Conditions
from tests.harness.projects import write_project
from tests.harness.servers import API, ask, free_port

FILE = ROOT / "packaging/docker/compose.yaml"
KEY = "correct-horse-battery-staple"
SECRETS = f"DB_PASSWORD=secret\nSERVER_API_KEY={KEY}\nMODEL_KEY=from-env-file\n"
ASK = {"tasks": [{"id": "ask", "prompt": "{{ .input.n }}"}]}
Service = dict[str, Any]


def read_services(programs: Programs, folder: Path) -> dict[str, Service]:
    """Return the services as Docker Compose reads them from a folder with the file and its `.env`."""
    (folder / "compose.yaml").write_bytes(FILE.read_bytes())
    (folder / ".env").write_text(SECRETS, encoding="utf-8")
    done = config(programs, folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)["services"]


def config(programs: Programs, folder: Path) -> subprocess.CompletedProcess[str]:
    return programs.compose("--project-directory", folder, "config", "--format", "json", environ={"PWD": str(folder)})


def test_it_is_a_compose_file(programs: Programs, tmp_path: Path) -> None:
    services = read_services(programs, tmp_path)
    assert set(services) == {"postgres", "migrate", "server", "worker"}
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("server", "worker"):
        service = services[name]
        assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert service["read_only"] is True
        assert service["user"] == "10001:10001"
        assert service["cap_drop"] == ["ALL"]
    # Other machines do not reach the server, and nothing but it has a port.
    assert [port["host_ip"] for port in services["server"]["ports"]] == ["127.0.0.1"]
    assert not any("ports" in services[name] for name in ("postgres", "migrate", "worker"))


def test_missing_secrets_and_unknown_keys_are_refused(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(FILE.read_bytes())
    (tmp_path / ".env").write_text("DB_PASSWORD=secret\n", encoding="utf-8")
    assert "SERVER_API_KEY" in config(programs, tmp_path).stderr
    (tmp_path / ".env").write_text(SECRETS, encoding="utf-8")
    text = FILE.read_text(encoding="utf-8").replace("command: [migrate, up]", "comand: [migrate, up]")
    (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
    assert "comand" in config(programs, tmp_path).stderr


@pytest.mark.parametrize("workers", [2])
def test_its_services_run(programs: Programs, commands: Commands, tmp_path: Path, workers: int) -> None:
    services = read_services(programs, tmp_path)
    project = write_project(tmp_path / "project", {"ask": ASK}, responses=[{"text": "${MODEL_KEY}"}], database={})
    port = free_port()
    with new_database(migrated=False) as database:
        here = {
            "DB_HOST": str(database.host),
            "DB_PORT": str(database.port),
            "DB_NAME": str(database.dbname),
            "DB_USER": str(database.user),
            "SERVER_PORT": str(port),
            "HOME": str(tmp_path),
        }

        def start(name: str) -> Command:
            environ = services[name]["environment"]
            assert here.keys() <= environ.keys()
            return commands.start(project, *services[name]["command"], conditions=Conditions(environ=environ | here))

        migrate = start("migrate").wait()
        assert migrate.status == 0, migrate.err
        server = start("server")
        server.until(lambda: "Server listening" in server.out)
        started = [start("worker") for _ in range(workers)]
        for worker in started:
            worker.until(lambda worker=worker: "Worker ready" in worker.out)
        # The health check of the container, in its environment.
        check = services["server"]["healthcheck"]["test"][2:]
        environ = services["server"]["environment"] | here
        assert commands.run(project, *check, conditions=Conditions(environ=environ)).status == 0
        answer = ask(
            port,
            "POST",
            f"{API}/workflows/ask/executions/sync",
            {"input": {"n": 1}},
            {"Authorization": f"Bearer {KEY}"},
        )
        assert answer.document["output"]["ask"]["text"] == "from-env-file"
