"""The application in this process, without a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from compozy.app import SERVER, close_storage, open_app, open_storage
from compozy.project.load import load_project
from compozy.server.guard import GuardSettings
from compozy.server.http import make_http
from compozy.server.service import Service
from compozy.workflow.report import Silence
from tests.harness.projects import WORKFLOWS, write_project

API = "/api/v0"
TYPED = {
    "config": {"input": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
    "tasks": [{"id": "pass", "with": {"all": "{{ .input }}"}}],
}


@pytest.fixture
async def service(tmp_path: Path, clean_environ: None) -> AsyncGenerator[Service, None]:
    """The verbs on a fresh project."""
    write_project(tmp_path, {**WORKFLOWS, "typed": TYPED})
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
