"""The processes of a database and its unfinished runs over HTTP, on both drivers."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from compozy.server.service import Service
from tests.integration.server.conftest import API, DRIVERS, LOOPBACK, make_client, open_service

WAITS = {"tasks": [{"id": "wait", "type": "wait", "wait_for": "never"}]}


@pytest.fixture(params=DRIVERS)
async def service(request: pytest.FixtureRequest, tmp_path: Path, clean_environ: None) -> AsyncGenerator[Service]:
    """The service on a project with a workflow that waits."""
    async with open_service(request.param, tmp_path, {"waits": WAITS}) as opened:
        yield opened


@pytest.fixture
async def client(service: Service) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without a key that calls the application on loopback."""
    async with make_client(service, LOOPBACK) as made:
        yield made


async def test_the_server_is_one_of_the_workers(client: httpx.AsyncClient, service: Service) -> None:
    before = (await client.get(f"{API}/workers")).json()
    [worker] = before["workers"]
    assert worker["worker_id"] == service.app.runtime.executor_id
    assert (worker["pid"], worker["runs"], worker["is_this"]) == (os.getpid(), 0, True)
    assert before["executions"] == {"PENDING": 0, "RUNNING": 0, "WAITING": 0, "PAUSED": 0}
    assert before["max_concurrent_workflows"] == service.app.project.concurrency
    assert (await client.post(f"{API}/workflows/waits/executions")).status_code == 202
    after = (await client.get(f"{API}/workers")).json()
    assert sum(after["executions"].values()) == 1


async def test_a_project_without_webhooks(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{API}/hooks")).json() == {"webhooks": []}
