"""Notifications of failed runs: one durable delivery run each, signed, repeated until the receiver accepts it."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from compozy.clock import now_ms
from compozy.database.executions import get_execution
from compozy.database.lists import ExecutionFilter, list_ids
from compozy.database.status import Status
from compozy.durable.records import end_early, finish_run
from compozy.server.service import Service, StartRequest
from compozy.trigger.kinds.webhook import WebhookVerification
from compozy.trigger.signatures import Received, scheme_of
from compozy.workflow import notify
from tests.harness.websites import Site, run_site
from tests.integration.server.conftest import DRIVERS, open_service

SECRET = "whsec_" + base64.b64encode(b"a secret of both sides").decode()
OLD = "whsec_" + base64.b64encode(b"the secret of last year").decode()
FAILS: dict[str, Any] = {"tasks": [{"id": "read", "with": {"a": "{{ .input.missing }}"}}]}
WAITS: dict[str, Any] = {"tasks": [{"id": "wait", "type": "wait", "wait_for": "go"}]}
WORKFLOWS = {"fails": FAILS, "waits": WAITS, "works": {"tasks": [{"id": "pass", "with": {"a": "b"}}]}}
LOCAL = {"native_tools": {"private_hosts": ["127.0.0.1"]}}


@pytest.fixture
def site() -> Generator[Site]:
    with run_site() as running:
        yield running


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, clean_environ: None) -> str:
    return request.param


def _on_failure(site: Site, **more: Any) -> dict[str, Any]:
    return {"webhook": site.url("/alerts", "127.0.0.1"), "secret": SECRET, **more}


async def _start(service: Service, workflow: str, timeout_s: float | None = None) -> str:
    run, _ = await service.start(StartRequest(workflow_id=workflow, body={}), timeout_s=timeout_s)
    return run["execution_id"]


def _notifications(service: Service) -> list[str]:
    with service.app.database.read() as connection:
        ids = list_ids(connection, ExecutionFilter(), limit=100)
    return [run_id for run_id in ids if run_id.startswith("notify-")]


async def _delivered(service: Service) -> dict[str, Any]:
    """Return the one notification, at its end."""
    (run_id,) = _notifications(service)
    return await service.wait(run_id, timeout_s=120)


async def test_a_failed_run_is_notified_once_and_until_it_is_accepted(
    driver: str, tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "DELAYS_S", (0.0, 0.0, 3600.0))
    site.respond_in_turn("/alerts", 503, 204)
    section = _on_failure(site, secret=[SECRET, OLD])
    async with open_service(driver, tmp_path, WORKFLOWS, on_failure=section, runtime=LOCAL) as service:
        failed = await service.wait(await _start(service, "fails"), timeout_s=60)
        run = await _delivered(service)
    assert (failed["status"], run["status"], run["output"]["status"]) == ("FAILED", "SUCCESS", 204)
    assert run["trigger"] == {"type": "run", "id": failed["execution_id"], "by": None}
    assert run["output"]["attempts"] == len(site.seen) == 2
    assert {seen.headers["webhook-id"] for seen in site.seen} == {run["execution_id"]}
    for seen in site.seen:
        received = Received(headers=seen.headers, body=seen.body, now_ms=now_ms())
        for secret in (SECRET, OLD):
            verification = WebhookVerification(strategy="standard", secret=secret)
            scheme_of(verification).verify(verification, [secret], received)
    body = json.loads(site.seen[-1].body)
    assert body == run["input"]
    assert (body["type"], body["data"]["error"]) == ("execution.failed", failed["error"])
    assert (body["data"]["execution_id"], body["data"]["workflow_id"]) == (failed["execution_id"], "fails")


async def test_only_failures_are_notified(driver: str, tmp_path: Path, site: Site) -> None:
    section = _on_failure(site)
    async with open_service(driver, tmp_path, WORKFLOWS, on_failure=section, runtime=LOCAL) as service:
        await service.wait(await _start(service, "works"), timeout_s=60)
        canceled = await _start(service, "waits")
        await service.cancel(canceled, reason="enough")
        assert _notifications(service) == []
        late = await _start(service, "waits", timeout_s=0.05)
        assert (await service.wait(late, timeout_s=60))["status"] == "TIMED_OUT"
        assert (await _delivered(service))["status"] == "SUCCESS"
        with service.app.database.write() as connection:
            # A run that has ended does not end again.
            assert not finish_run(connection, late, Status.FAILED)
            assert not end_early(connection, late, Status.TIMED_OUT, None)
        assert len(_notifications(service)) == 1
    assert [json.loads(seen.body)["type"] for seen in site.seen] == ["execution.timed_out"]


async def test_the_receiver_of_a_workflow(driver: str, tmp_path: Path, site: Site) -> None:
    """Runs keep neither the address nor the secret; a failed delivery is not notified."""
    workflows = {"fails": {**FAILS, "on_failure": _on_failure(site)}, "other": FAILS}
    async with open_service(driver, tmp_path, workflows) as service:
        await service.wait(await _start(service, "other"), timeout_s=60)
        failed = await service.wait(await _start(service, "fails"), timeout_s=60)
        run = await _delivered(service)
        with service.app.database.read() as connection:
            stored = [get_execution(connection, run_id) for run_id in (failed["execution_id"], run["execution_id"])]
        assert len(_notifications(service)) == 1
    assert (run["status"], run["output"]["attempts"]) == ("FAILED", 1)
    assert "runtime.native_tools.private_hosts" in run["error"]["message"]
    assert site.seen == []
    assert "/alerts" not in json.dumps(run)
    assert not any(text in repr(execution) for execution in stored for text in (SECRET, "/alerts"))
