"""Metrics of a server and of a worker: every metric on the page changes, on both databases."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from compozy.app import App, open_app
from compozy.clock import now_ms
from compozy.config.retention import RetentionSettings
from compozy.database.schedules import get_schedule
from compozy.errors import DatabaseError
from compozy.project.load import load_project
from compozy.scheduler.loop import Scheduler
from compozy.scheduler.retention import retaining
from compozy.server.entry import new_entries
from compozy.server.gate import GuardSettings
from compozy.server.http import make_http
from compozy.server.metrics import Metrics, monitoring
from compozy.server.probes import make_probes
from compozy.server.service import Service
from compozy.storage import close_storage, open_storage
from compozy.task.report import Silence
from compozy.telemetry.metrics import METRICS
from tests.harness.chatserver import chat_reply, error_reply, serve_chat
from tests.harness.projects import write_project
from tests.harness.stores import open_store
from tests.integration.server.conftest import API, DRIVERS, RUNS, start

PAGE = Path(__file__).parents[3] / "docs/content/docs/guides/monitor.mdx"
KEY = "correct-horse-battery-staple"
HEADERS = {"authorization": f"Bearer {KEY}"}
GUARD = GuardSettings(host="127.0.0.1", api_key=KEY, metrics_path="/metrics")
SECRET = "a-long-random-secret-of-both-sides"
HOOK: dict[str, Any] = {
    "slug": "orders",
    "verify": {"strategy": "token", "secret": SECRET},
    "events": [{"name": "order", "filter": "has(payload.id)"}],
}
AGENT = {"llm": "openai", "model": "gpt-5-mini"}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "echo": {"tasks": [{"id": "pass", "with": {"all": "{{ .input }}"}}]},
    "ask": {"tasks": [{"id": "ask", "prompt": "hello", "agent": AGENT}]},
    "again": {
        "tasks": [
            {
                "id": "ask",
                "prompt": "hello",
                "agent": AGENT,
                "retries": 1,
                "config": {"retry_policy": {"initial_interval": "1ms"}},
            }
        ]
    },
    "wait": {"tasks": [{"id": "hold", "type": "wait", "wait_for": "go"}]},
    "hooked": {
        "tasks": [{"id": "pass", "with": {"all": "{{ .input }}"}}],
        "triggers": [{"type": "webhook", "webhook": HOOK}],
    },
    "often": {
        "schedule": {"cron": "0 0 1 1 *", "overlap_policy": "skip"},
        "tasks": [{"id": "hold", "type": "wait", "wait_for": "go"}],
    },
}
# Metrics of unfinished features. Each is removed from this set with its feature.
LATER: frozenset[str] = frozenset()


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextlib.asynccontextmanager
async def monitored(driver: str, folder: Path, base_url: str) -> AsyncGenerator[tuple[App, Metrics]]:
    """Execute the runs of a monitored project in this process."""
    provider = {"id": "openai", "type": "openai", "base_url": base_url, "api_key": "k", "max_attempts": 1}
    with open_store(driver, folder) as store:
        write_project(
            folder,
            WORKFLOWS,
            database=store.section,
            llm={"providers": [provider]},
            monitoring={"enabled": True},
        )
        project = load_project(None, cwd=folder, environ={})
        with monitoring(project) as metrics:
            assert metrics is not None
            database = open_storage(project, wait_for_lock_s=0.0)
            try:
                async with open_app(project, database, role="server", report=Silence()) as app:
                    yield app, metrics
            finally:
                close_storage(database)


def asking(application: Any) -> httpx.AsyncClient:
    """Return a client with the key."""
    transport = httpx.ASGITransport(app=application)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=60, headers=HEADERS)


async def scrape(client: httpx.AsyncClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample of one scrape."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return read(answer.text)


async def send_deliveries(client: httpx.AsyncClient) -> None:
    """Send one request to a webhook with each outcome."""
    for secret, body, status in (
        (SECRET, {"id": 1}, 202),
        (SECRET, {"id": 1}, 200),
        (SECRET, {}, 200),
        ("wrong", {"id": 1}, 401),
    ):
        headers = {"authorization": f"Bearer {secret}", "idempotency-key": "d-1"}
        answer = await client.post(f"{API}/hooks/orders", json=body, headers=headers)
        assert answer.status_code == status, answer.text


async def fire_schedule(app: App) -> None:
    """Let the next two times of a schedule pass: the first starts a run, which still runs at the second."""
    for _ in range(2):
        row = await app.database.read_async(partial(get_schedule, schedule_id="often"))
        assert row is not None
        assert row.next_ms is not None
        late_ms = row.next_ms + 3000

        def clock(_: sa.Connection, late_ms: int = late_ms) -> int:
            return late_ms

        await Scheduler(project=app.project, database=app.database, wake=app.runtime.wake, clock=clock).round()


async def delete_old_runs(app: App) -> None:
    """Delete the runs that have ended, as if a month had passed."""

    def clock(_: sa.Connection) -> int:
        return now_ms() + 30 * 86_400_000

    async with retaining(RetentionSettings.model_validate({"succeeded": "1d"}), app.database, clock=clock):
        # Starts the first round, which the end of the block waits for.
        await asyncio.sleep(0)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_every_metric_changes(driver: str, tmp_path: Path, clean_environ: None) -> None:
    with serve_chat() as chat:
        answer = chat_reply("hi", model=AGENT["model"])
        chat.replies += [answer, error_reply(400, "no"), answer]
        async with monitored(driver, tmp_path, chat.url) as (app, metrics):
            service = Service(app=app)
            application = make_http(service, GUARD, new_entries(service), metrics=metrics)
            async with asking(application) as client:
                wrong = {"authorization": "Bearer wrong"}
                assert (await client.get(f"{API}/project", headers=wrong)).status_code == 401
                await send_deliveries(client)
                await fire_schedule(app)
                assert (await start(client, "ask"))["status"] == "SUCCESS"
                assert (await start(client, "again"))["status"] == "SUCCESS"
                await delete_old_runs(app)
                waiting = (await client.post(f"{API}/workflows/wait/executions", json={})).json()["execution_id"]
                following = asyncio.create_task(client.get(f"{RUNS}/{waiting}/stream", timeout=60))
                while not service.hub.has_streams:  # noqa: ASYNC110 - the hub has no event for it
                    await asyncio.sleep(0.01)
                with app.run_database.read():
                    samples = await scrape(client)
                await client.post(f"{RUNS}/{waiting}/signals", json={"name": "go"})
                await following
            await service.hub.aclose()
    moved = {name for (name, _), value in samples.items() if value > 0}
    moved |= {name.removesuffix("_count") for name in moved}
    # Its value is the age of a run that waits for a slot, which no run does here.
    expected = set(METRICS) - LATER - {"compozy_oldest_pending_seconds"}
    assert expected - moved == set()
    assert samples["compozy_oldest_pending_seconds", ()] >= 0
    orders = ("webhook", "orders")
    assert samples["compozy_webhook_received_total", (orders,)] == 4
    assert samples["compozy_webhook_verified_total", (orders,)] == 3
    assert samples["compozy_webhook_failed_total", (("reason", "authentication"), orders)] == 1
    assert samples["compozy_webhook_dispatched_total", (("event", "order"), orders)] == 1
    assert samples["compozy_schedule_fired_total", (("schedule", "often"),)] == 1
    assert samples["compozy_schedule_skipped_total", (("reason", "overlap"), ("schedule", "often"))] == 1
    assert samples["compozy_schedule_lag_seconds_sum", ()] == 3
    assert samples["compozy_sse_clients", ()] == 1
    assert samples["compozy_auth_failures_total", ()] == 2
    assert samples["compozy_task_retries_total", ()] == 1
    asked = (("model", "gpt-5-mini"), ("outcome", "ok"), ("provider", "openai"))
    assert samples["compozy_llm_requests_total", asked] == 2
    tokens = (("kind", "input"), ("model", "gpt-5-mini"), ("provider", "openai"))
    assert samples["compozy_llm_tokens_total", tokens] == 14
    assert samples["compozy_executions_started_total", (("trigger", "api"), ("workflow", "ask"))] == 1
    assert samples["compozy_executions_ended_total", (("status", "SUCCESS"), ("workflow", "again"))] == 1
    ended = (("method", "POST"), ("path", "/api/v0/workflows/{workflow_id}/executions/sync"), ("status", "200"))
    assert samples["compozy_http_requests_total", ended] == 2
    assert samples["compozy_database_query_duration_seconds_count", (("driver", driver),)] > 10
    assert not [labels for _, labels in samples if waiting in str(labels)]


@pytest.fixture
async def opened(tmp_path: Path, clean_environ: None) -> AsyncGenerator[tuple[App, Metrics]]:
    """Return a monitored project on SQLite."""
    async with monitored("sqlite", tmp_path, "http://127.0.0.1:1/v1") as found:
        yield found


async def test_runs_and_unknown_paths_do_not_become_series(opened: tuple[App, Metrics]) -> None:
    app, metrics = opened
    async with asking(make_http(Service(app=app), GUARD, metrics=metrics)) as client:
        before = len(await scrape(client))
        for number in range(20):
            assert (await client.get(f"{RUNS}/no-such-{number}")).status_code == 404
            assert (await client.get(f"/no/such/{number}")).status_code == 404
            assert (await client.request(f"ODD{number}", "/healthz")).status_code == 405
        after = await scrape(client)
    assert not [labels for _, labels in after if "such" in str(labels) or "ODD1" in str(labels)]
    # Three templates with two metrics, of which one has a series for each bucket.
    assert len(after) - before < 80


async def test_metrics_need_the_key_of_the_server(opened: tuple[App, Metrics]) -> None:
    app, metrics = opened
    async with asking(make_http(Service(app=app), GUARD, metrics=metrics)) as client:
        assert (await client.get("/metrics", headers={"authorization": ""})).status_code == 401


async def test_a_server_without_metrics_has_no_such_path(opened: tuple[App, Metrics]) -> None:
    app, _ = opened
    async with asking(make_http(Service(app=app), GUARD)) as client:
        assert (await client.get("/metrics")).status_code == 404


async def test_a_scrape_without_the_database_has_the_other_metrics(
    opened: tuple[App, Metrics], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, metrics = opened

    async def fail(*_: object) -> None:
        raise DatabaseError("the disk is gone")

    monkeypatch.setattr(type(app.database), "read_async", fail)
    async with asking(make_http(Service(app=app), GUARD, metrics=metrics)) as client:
        samples = await scrape(client)
    assert samples["compozy_uptime_seconds", ()] > 0
    assert not [name for name, _ in samples if name == "compozy_executions_open"]
    alive = samples["compozy_executors_alive", ()]
    assert alive != alive


async def test_a_worker_answers_probes_and_scrapes(opened: tuple[App, Metrics]) -> None:
    app, metrics = opened
    stopping = asyncio.Event()
    async with asking(make_probes(app, stopping, GUARD, metrics)) as client:
        assert (await client.get("/healthz", headers={"authorization": ""})).json() == {"status": "ok"}
        assert (await client.get("/readyz", headers={"authorization": ""})).json() == {"status": "ready"}
        samples = await scrape(client)
        assert samples["compozy_executors_alive", ()] == 1
        refused = await client.get("/api/v0/project")
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert (await client.get("/metrics", headers={"authorization": ""})).status_code == 401
        stopping.set()
        assert (await client.get("/readyz")).status_code == 503


def test_the_page_lists_every_metric_with_its_labels() -> None:
    rows = re.findall(
        r"^\| `(compozy_[a-z_]+)` \| ([a-z]+) \| ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = {name: (kind, tuple(re.findall(r"`([a-z]+)`", labels))) for name, kind, labels in rows}
    assert listed == {name: (metric.kind, metric.labels) for name, metric in METRICS.items()}
