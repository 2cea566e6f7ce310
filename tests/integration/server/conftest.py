"""The application in this process, without a socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from compozy.app import SERVER, open_app
from compozy.auth.accounts import bootstrap, create_user
from compozy.database.executions import count_by_status
from compozy.database.live_text import follow_runs
from compozy.project.load import load_project
from compozy.server.gate import GuardSettings
from compozy.server.http import make_http
from compozy.server.service import Service
from compozy.storage import close_storage, open_storage
from compozy.task.report import Silence
from tests.harness.projects import RESPONSES, WORKFLOWS, write_project
from tests.harness.stores import open_store
from tests.integration.server.keys import ADMIN, SETTINGS, Keys, new_key

API = "/api/v0"
RUNS = f"{API}/executions/workflows"
JSON = {"content-type": "application/json"}
TYPED = {
    "config": {"input": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
    "tasks": [{"id": "pass", "with": {"all": "{{ .input }}"}}],
}

COSTLY_TEXT = {"type": "string", "pattern": "^(a|a)+$"}
COSTLY_SCHEMA = {"type": "object", "properties": {"text": COSTLY_TEXT}}
COSTLY = {
    "costly-input": {"tasks": [{"id": "pass", "with": {"text": "{{ .input.text }}"}, "input": COSTLY_SCHEMA}]},
    "costly-output": {"tasks": [{"id": "pass", "with": {"text": "{{ .input.text }}"}, "output": COSTLY_SCHEMA}]},
    "costly-start": {"config": {"input": COSTLY_SCHEMA}, "tasks": [{"id": "pass", "with": {"text": "x"}}]},
}
"""Workflows whose schema takes a second for a text such as `aaaa...!`."""


DRIVERS = ("sqlite", "postgres")
LOOPBACK = GuardSettings(host="127.0.0.1", api_key=None)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which a service manager receives reports."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(120)
        yield sock


@pytest.fixture(autouse=True)
def no_list_is_followed() -> None:
    """An earlier test of this process may follow a list of runs; models then stream their text for some seconds."""
    follow_runs(seconds=0)


@pytest.fixture(params=DRIVERS)
async def service(request: pytest.FixtureRequest, tmp_path: Path, clean_environ: None) -> AsyncGenerator[Service]:
    """The service on a new project."""
    async with open_service(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(service: Service) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without a key that calls the application on loopback."""
    async with make_client(service, LOOPBACK) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def shared_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Service]:
    """The service on one project, for modules whose tests share an event loop and do not affect each other."""
    async with open_service(request.param, tmp_path_factory.mktemp("shared")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_client(shared_service: Service) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without a key that calls the shared application on loopback."""
    async with make_client(shared_service, LOOPBACK) as made:
        yield made


@contextlib.asynccontextmanager
async def open_service(
    driver: str,
    folder: Path,
    workflows: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    responses: Any = RESPONSES,
    **sections: Any,
) -> AsyncGenerator[Service]:
    """Open the service on a new project in `folder`, with these sections of compozy.yaml."""
    with open_store(driver, folder) as store:
        workflows = workflows or {**WORKFLOWS, "typed": TYPED, **COSTLY}
        write_project(folder, workflows, responses=responses, database=store.section, **sections)
        project = load_project(None, cwd=folder, environ={})
        database = open_storage(project, wait_for_lock_s=0.0)
        try:
            async with open_app(project, database, role=SERVER, report=Silence()) as app:
                service = Service(app=app)
                yield service
                await service.hub.aclose()
        finally:
            close_storage(database)


def make_client(service: Service, guard: GuardSettings) -> httpx.AsyncClient:
    """Return a client of an application with this guard."""
    transport = httpx.ASGITransport(app=make_http(service, guard))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=60)


def count_runs(service: Service) -> int:
    """Return the number of accepted runs."""
    with service.app.database.read() as connection:
        return sum(count_by_status(connection).values())


def check_problem(answer: httpx.Response, *statuses: int) -> None:
    """Check that this is a problem with one of these states, and with our message."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["detail"]
    assert document["code"]
    assert "Traceback" not in answer.text


async def start(client: httpx.AsyncClient, workflow: str = "two", **body: Any) -> dict[str, Any]:
    """Run a workflow to its end and return the execution."""
    answer = await client.post(f"{API}/workflows/{workflow}/executions/sync", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until_ended(client: httpx.AsyncClient, location: str) -> dict[str, Any]:
    """Poll an execution until it has ended."""
    pause_s = 0.02
    for _ in range(600):
        run: dict[str, Any] = (await client.get(location)).json()
        if run["finished_at"] is not None:
            return run
        await asyncio.sleep(pause_s)
        # Each request costs 10 ms of processor time, which the run needs, too.
        pause_s = min(pause_s * 1.3, 0.2)
    raise AssertionError(f"{location} did not end")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keys(shared_service: Service) -> Keys:
    """Create a user and a key of each role on the shared service."""
    database = shared_service.app.database
    first = await database.write_async(partial(bootstrap, email=ADMIN))
    made: dict[str, str] = {}
    for role in ("user", "viewer"):
        await database.write_async(partial(create_user, email=f"{role}@example.com", role=role))
        made[role] = await new_key(shared_service, f"{role}@example.com")
    limited = await new_key(shared_service, "user@example.com", name="limited", workflows=["two"])
    return Keys(admin=first["key"]["api_key"], limited=limited, **made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asks(shared_service: Service, keys: Keys) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a server that requires a key."""
    async with make_client(shared_service, SETTINGS) as made:
        yield made
