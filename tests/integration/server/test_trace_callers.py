"""A run stays in the trace of its caller, however the caller starts it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from tests.harness.mcpclient import RawClient
from tests.harness.otlp import receiving_traces
from tests.harness.projects import write_project
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


async def _mcp(client: httpx.AsyncClient, app: ASGIApp) -> None:
    del client
    raw = RawClient(app=app, headers=HEADERS)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    await raw.ask("initialize", hello)
    assert not (await raw.call("book", {})).get("isError")


STARTERS: Mapping[str, Starter] = {"rerun": _rerun, "webhook": _webhook, "event": _event, "mcp": _mcp}


async def _run(folder: Path, starter: Starter) -> list[tuple[str, str | None]]:
    """Start a run, and return trigger and stored trace of each run of the project."""
    write_project(folder, {"order": WORKFLOW})
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
        stored = dict(await _run(tmp_path, STARTERS[kind]))
    logging.getLogger("opentelemetry").setLevel(level)
    roots = [root for root in receiver.named("invoke_workflow order") if root.trace_id == TRACE]
    assert len(roots) == 1
    requests = [span for span in receiver.spans if span.kind == 2 and span.trace_id == TRACE]
    assert roots[0].parent_id in {request.span_id for request in requests}
    assert stored[kind] == f"00-{TRACE}-{roots[0].parent_id}-01"


@pytest.mark.parametrize("kind", STARTERS)
async def test_a_server_without_traces_passes_the_caller_on(tmp_path: Path, clean_environ: None, kind: str) -> None:
    """A worker that exports traces continues the trace."""
    assert dict(await _run(tmp_path, STARTERS[kind]))[kind] == CALLER
