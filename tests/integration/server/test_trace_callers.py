"""A run stays in the trace of its caller, however the caller starts it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from tests.harness.embeddings import serve_embeddings
from tests.harness.knowledge import write_knowledge_project
from tests.harness.mcpclient import RawClient
from tests.harness.otlp import receiving_traces
from tests.integration.server.conftest import API, RUNS, until_ended
from tests.integration.server.mcp_projects import serving

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = {"traceparent": CALLER}
TRACE = CALLER.split("-")[1]
SECRET = "a-secret-of-the-shop"
WEBHOOK = {
    "slug": "orders",
    "verify": {"strategy": "token", "header": "X-Token", "secret": SECRET},
    "events": [{"name": "any"}],
}
WORKFLOW: dict[str, Any] = {
    "triggers": [
        {"type": "mcp", "name": "book"},
        {"type": "webhook", "webhook": WEBHOOK},
        {"type": "signal", "name": "order.created"},
    ],
    "schedule": {"cron": "0 9 1 1 *", "timezone": "UTC"},
    "tasks": [{"id": "pass", "with": {"a": 1}}],
}
Starter = Callable[[httpx.AsyncClient, ASGIApp], Awaitable[None]]


async def _rerun(client: httpx.AsyncClient, app: ASGIApp) -> None:
    del app
    first = await client.post(f"{API}/workflows/order/executions/sync", json={"execution_id": "first"})
    assert first.status_code == 200, first.text
    again = await client.post(f"{RUNS}/first/rerun", headers=HEADERS)
    assert again.status_code == 202, again.text


async def _webhook(client: httpx.AsyncClient, app: ASGIApp) -> None:
    del app
    answer = await client.post(f"{API}/hooks/orders", json={}, headers={**HEADERS, "X-Token": SECRET})
    assert answer.status_code == 202, answer.text


async def _event(client: httpx.AsyncClient, app: ASGIApp) -> None:
    del app
    answer = await client.post(f"{API}/events", json={"name": "order.created"}, headers=HEADERS)
    assert answer.status_code == 202, answer.text


async def _schedule(client: httpx.AsyncClient, app: ASGIApp) -> None:
    del app
    answer = await client.post(f"{API}/schedules/order/trigger", headers=HEADERS)
    assert answer.status_code == 202, answer.text


async def _backfill(client: httpx.AsyncClient, app: ASGIApp) -> None:
    del app
    period = {"start": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00Z"}
    answer = await client.post(f"{API}/schedules/order/backfill", json=period, headers=HEADERS)
    assert answer.status_code == 202, answer.text
    assert len(answer.json()["started"]) == 1


async def _ingestion(client: httpx.AsyncClient, app: ASGIApp) -> None:
    del app
    answer = await client.post(f"{API}/knowledge-bases/main/ingest", json={"path": "knowledge"}, headers=HEADERS)
    assert answer.status_code == 202, answer.text


async def _mcp(client: httpx.AsyncClient, app: ASGIApp) -> None:
    del client
    raw = RawClient(app=app, headers=HEADERS)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    await raw.ask("initialize", hello)
    assert not (await raw.call("book", {})).get("isError")


STARTERS: Mapping[str, tuple[str, str, Starter]] = {
    "rerun": ("rerun", "order", _rerun),
    "webhook": ("webhook", "order", _webhook),
    "event": ("event", "order", _event),
    "mcp": ("mcp", "order", _mcp),
    "schedule": ("schedule", "order", _schedule),
    "backfill": ("schedule", "order", _backfill),
    "ingestion": ("api", "knowledge/main", _ingestion),
}
"""Trigger of the run, its workflow, and what starts it."""


async def _run(folder: Path, starter: Starter) -> list[tuple[str, str | None]]:
    """Start a run, and return trigger and stored trace of each run of the project."""
    with serve_embeddings() as (url, _):
        write_knowledge_project(folder, url, workflows={"order": WORKFLOW})
        return await _start(folder, starter)


async def _start(folder: Path, starter: Starter) -> list[tuple[str, str | None]]:
    async with serving(folder) as (service, app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=60) as client:
            await starter(client, app)
            runs = (await client.get(RUNS)).json()["executions"]
            for run in runs:
                await until_ended(client, f"{RUNS}/{run['execution_id']}")
        with service.app.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT trigger_type, traceparent FROM workflow_states").all()
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("kind", STARTERS)
async def test_a_run_is_in_the_trace_of_its_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environ: None, kind: str
) -> None:
    level = logging.getLogger("opentelemetry").level
    with receiving_traces() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        trigger, workflow, starter = STARTERS[kind]
        stored = dict(await _run(tmp_path, starter))
    logging.getLogger("opentelemetry").setLevel(level)
    roots = [root for root in receiver.named(f"invoke_workflow {workflow}") if root.trace_id == TRACE]
    assert len(roots) == 1
    requests = [span for span in receiver.spans if span.kind == 2 and span.trace_id == TRACE]
    assert roots[0].parent_id in {request.span_id for request in requests}
    assert stored[trigger] == f"00-{TRACE}-{roots[0].parent_id}-01"


@pytest.mark.parametrize("kind", STARTERS)
async def test_a_server_without_traces_passes_the_caller_on(tmp_path: Path, clean_environ: None, kind: str) -> None:
    """A worker that exports traces continues the trace."""
    trigger, _, starter = STARTERS[kind]
    assert dict(await _run(tmp_path, starter))[trigger] == CALLER
