"""The application in this process, without a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from compozy.app import SERVER, open_app
from compozy.database.executions import count_by_status
from compozy.project.load import load_project
from compozy.server.guard import GuardSettings
from compozy.server.http import make_http
from compozy.server.service import Service
from compozy.storage import close_storage, open_storage
from compozy.task.report import Silence
from tests.harness.projects import WORKFLOWS, write_project
from tests.harness.stores import open_store

API = "/api/v0"
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
"""Workflows whose schema costs a second for a text such as `aaaa...!`."""


@pytest.fixture(params=["sqlite", "postgres"])
async def service(request: pytest.FixtureRequest, tmp_path: Path, clean_environ: None) -> AsyncGenerator[Service, None]:
    """The verbs on a fresh project."""
    with open_store(request.param, tmp_path) as store:
        write_project(tmp_path, {**WORKFLOWS, "typed": TYPED, **COSTLY}, database=store.section)
        project = load_project(None, cwd=tmp_path, environ={})
        database = open_storage(project, wait_for_lock_s=0.0)
        try:
            async with open_app(project, database, role=SERVER, report=Silence()) as app:
                yield Service(app=app)
        finally:
            close_storage(database)


@pytest.fixture
async def client(service: Service) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Asks the application on loopback without a key."""
    async with make_client(service, GuardSettings(host="127.0.0.1", api_key=None)) as made:
        yield made


def make_client(service: Service, guard: GuardSettings) -> httpx.AsyncClient:
    """Return what asks an application that is guarded so."""
    transport = httpx.ASGITransport(app=make_http(service, guard))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=60)


def count_runs(service: Service) -> int:
    """Return how many runs were accepted."""
    with service.app.database.read() as connection:
        return sum(count_by_status(connection).values())
