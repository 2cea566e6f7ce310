"""The containers of the chart as processes: their arguments, environment and files, with PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import DatabaseSettings
from tests.deployment.conftest import Programs
from tests.harness.postgres import new_database
from tests.harness.processes import Commands, Conditions
from tests.harness.servers import API, ask, free_port

VALUES = Path(__file__).parent / "values/files.yaml"
KEY = "correct-horse-battery-staple"
Object = dict[str, Any]


@pytest.fixture
def database() -> Iterator[DatabaseSettings]:
    """An empty database."""
    with new_database(migrated=False) as settings:
        yield settings


def mount_files(objects: list[Object], pod: Object, folder: Path) -> None:
    """Create the files of the volume `project` as the kubelet does: links to a folder that an update replaces."""
    source = next(volume for volume in pod["volumes"] if volume["name"] == "project")["configMap"]
    data = next(
        one["data"] for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == source["name"]
    )
    version = folder / "..2026_11_29"
    for item in source["items"]:
        path = version / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data[item["key"]], encoding="utf-8")
    (folder / "..data").symlink_to(version.name)
    for name in {item["path"].partition("/")[0] for item in source["items"]}:
        (folder / name).symlink_to(f"..data/{name}")


def variables(pod: Object, database: DatabaseSettings, port: int, home: Path) -> dict[str, str]:
    """Return the environment of a container, with the secrets, the database and the folders of this test."""
    given = {one["name"]: one.get("value", KEY) for one in pod["containers"][0]["env"]}
    here = {
        "DB_HOST": str(database.host),
        "DB_PORT": str(database.port),
        "DB_NAME": str(database.dbname),
        "DB_USER": str(database.user),
        "DB_SSLMODE": "disable",
        "SERVER_PORT": str(port),
        "HOME": str(home),
        "SERVER_HOST": "127.0.0.1",
    }
    assert here.keys() <= given.keys()
    given.pop("DB_SSLROOTCERT")
    return {**given, **here}


def test_migration_server_and_worker(
    programs: Programs, commands: Commands, database: DatabaseSettings, tmp_path: Path
) -> None:
    objects = programs.render("--values", VALUES)
    started: dict[str, int] = {}
    for component in ("migration", "server", "worker"):
        kind = "Job" if component == "migration" else "Deployment"
        spec = next(one for one in objects if one["kind"] == kind and one["metadata"]["name"].endswith(component))
        pod = spec["spec"]["template"]["spec"]
        folder, port = tmp_path / component, free_port()
        folder.mkdir()
        mount_files(objects, pod, folder)
        environ = variables(pod, database, port, tmp_path)
        container = pod["containers"][0]
        arguments = [str(port) if word == "8080" else word for word in container["args"]]
        command = commands.start(folder, *arguments, conditions=Conditions(environ=environ))
        if component == "migration":
            assert command.wait().status == 0, command.err
            assert "applied 0001" in command.out
            continue
        ready = "Worker ready" if component == "worker" else "Server listening"
        command.until(lambda command=command, ready=ready: ready in command.out)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            # The kubelet names the address of the pod as the host.
            answer = ask(port, "GET", container[probe]["httpGet"]["path"], headers={"Host": "10.1.2.3:8080"})
            assert answer.status == 200, answer.content
        started[component] = port
    signed = {"Authorization": f"Bearer {KEY}"}
    path = f"{API}/workflows/hello/executions/sync"
    answer = ask(started["server"], "POST", path, {"input": {"name": "Ada"}}, signed)
    assert answer.document["output"] == {"text": "Hello Ada"}
    assert ask(started["server"], "POST", path, {"input": {}}).status == 401
    # The path of the monitors.
    for port in started.values():
        assert b"compozy_build_info" in ask(port, "GET", "/metrics", headers=signed).content
    assert os.listdir(tmp_path / "server") == os.listdir(tmp_path / "worker")
