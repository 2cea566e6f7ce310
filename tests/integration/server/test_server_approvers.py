"""The user who answered a waiting task is recorded, and `approver: not_starter` refuses the user who started it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from compozy.auth.accounts import bootstrap, create_user
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import ForbiddenError
from compozy.server.service import Service, StartRequest
from compozy.workflow.operate import approve
from tests.integration.server.conftest import (
    API,
    DRIVERS,
    LOOPBACK,
    RUNS,
    check_problem,
    make_client,
    open_service,
    until_ended,
)
from tests.integration.server.keys import ADMIN, SETTINGS, bearer, new_key

FORM = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
REVIEW: dict[str, Any] = {"id": "review", "type": "wait", "wait_for": "review", "form": FORM}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "anyone": {"tasks": [REVIEW]},
    # Its output hides the signal.
    "second": {"tasks": [{**REVIEW, "approver": "not_starter", "outputs": {"ok": "{{ .signal.payload.ok }}"}}]},
    "late": {
        "tasks": [
            {"id": "first", "type": "wait", "wait_for": "first", "on_success": {"next": "review"}},
            {**REVIEW, "approver": "not_starter", "final": True},
        ]
    },
    "asks": {"tasks": [{"id": "tell", "type": "signal", "signal": {"id": "asked"}}]},
    "asked": {
        "triggers": [{"type": "signal", "name": "asked"}],
        "tasks": [{**REVIEW, "approver": "not_starter"}],
    },
}


@pytest.fixture(params=DRIVERS)
async def service(request: pytest.FixtureRequest, tmp_path: Path, clean_environ: None) -> AsyncGenerator[Service]:
    async with open_service(request.param, tmp_path, WORKFLOWS) as opened:
        yield opened


@pytest.fixture
async def team(service: Service) -> dict[str, str]:
    """Keys of two users; `ada-2` is a second key of the first."""
    database = service.app.database
    await database.write_async(partial(bootstrap, email=ADMIN))
    for name in ("ada", "bob"):
        await database.write_async(partial(create_user, email=f"{name}@example.com", role="user"))
    names = ("ada", "ada-2", "bob")
    return {name: await new_key(service, f"{name[:3]}@example.com", name=name) for name in names}


@pytest.fixture
async def client(service: Service) -> AsyncGenerator[httpx.AsyncClient]:
    async with make_client(service, SETTINGS) as made:
        yield made


async def _begin(client: httpx.AsyncClient, workflow: str, key: str) -> str:
    answer = await client.post(f"{API}/workflows/{workflow}/executions", headers=bearer(key))
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


async def _until_waiting(client: httpx.AsyncClient, path: str, key: str, task: str = "review") -> dict[str, Any]:
    run: dict[str, Any] = {}
    for _ in range(3000):
        run = (await client.get(path, headers=bearer(key))).json()
        if any(each["path"] == task and each["waits_for"] for each in run["tasks"]):
            return run
        await asyncio.sleep(0.02)
    raise AssertionError(f"{task} does not wait: {run}")


async def _approve(client: httpx.AsyncClient, path: str, key: str) -> httpx.Response:
    return await client.post(f"{path}/approve", json={"input": {"ok": True}}, headers=bearer(key))


async def test_the_run_records_who_answered(client: httpx.AsyncClient, team: dict[str, str]) -> None:
    path = await _begin(client, "anyone", team["ada"])
    await _until_waiting(client, path, team["ada"])
    sent = await _approve(client, path, team["ada"])
    assert (sent.status_code, sent.json()["by"]) == (202, "ada@example.com")
    client.headers.update(bearer(team["bob"]))
    run = await until_ended(client, path)
    (task,) = run["tasks"]
    assert (task["answered_by"], task["output"]["signal"]["metadata"]["by"]) == ("ada@example.com", "ada@example.com")
    events = (await client.get(f"{path}/events")).json()["events"]
    assert {event["data"]["by"] for event in events if event["kind"] == "signal"} == {"ada@example.com"}


async def test_the_starter_may_not_answer(client: httpx.AsyncClient, team: dict[str, str]) -> None:
    path = await _begin(client, "second", team["ada"])
    await _until_waiting(client, path, team["ada"])
    for key in (team["ada"], team["ada-2"]):
        refused = await _approve(client, path, key)
        check_problem(refused, 403)
        assert "ada@example.com started the execution" in refused.json()["detail"]
        body = {"name": "review", "payload": {"ok": True}}
        check_problem(await client.post(f"{path}/signals", json=body, headers=bearer(key)), 403)
    assert (await _approve(client, path, team["bob"])).status_code == 202
    client.headers.update(bearer(team["bob"]))
    run = await until_ended(client, path)
    assert run["status"] == "SUCCESS"
    assert run["tasks"][0]["answered_by"] == "bob@example.com"


async def test_a_signal_of_the_starter_before_the_wait_is_dropped(
    client: httpx.AsyncClient, team: dict[str, str]
) -> None:
    path = await _begin(client, "late", team["ada"])
    await _until_waiting(client, path, team["ada"], "first")
    early = {"name": "review", "payload": {"ok": True}}
    assert (await client.post(f"{path}/signals", json=early, headers=bearer(team["ada"]))).status_code == 202
    assert (
        await client.post(f"{path}/signals", json={"name": "first"}, headers=bearer(team["ada"]))
    ).status_code == 202
    output: dict[str, Any] = {}
    for _ in range(3000):
        run = await _until_waiting(client, path, team["ada"])
        output = next(task["output"] for task in run["tasks"] if task["path"] == "review")
        if output.get("refused"):
            break
        await asyncio.sleep(0.02)
    (refused,) = output["refused"]
    assert "ada@example.com started the execution" in refused["problems"][0]["message"]
    assert (await _approve(client, path, team["bob"])).status_code == 202
    client.headers.update(bearer(team["bob"]))
    assert (await until_ended(client, path))["status"] == "SUCCESS"


async def test_the_starter_of_an_event_counts(client: httpx.AsyncClient, team: dict[str, str]) -> None:
    """A task of ada's run starts another run with an event: ada started that one, too."""
    await _begin(client, "asks", team["ada"])
    found: list[dict[str, Any]] = []
    while not found:
        listed = await client.get(RUNS, params={"workflow_id": "asked"}, headers=bearer(team["ada"]))
        found = listed.json()["executions"]
    path = f"{RUNS}/{found[0]['execution_id']}"
    await _until_waiting(client, path, team["ada"])
    check_problem(await _approve(client, path, team["ada"]), 403)
    assert (await _approve(client, path, team["bob"])).status_code == 202


async def test_someone_unknown_may_not_answer(
    service: Service, client: httpx.AsyncClient, team: dict[str, str]
) -> None:
    path = await _begin(client, "second", team["ada"])
    await _until_waiting(client, path, team["ada"])
    async with make_client(service, LOOPBACK) as local:
        refused = await local.post(f"{path}/approve", json={"input": {"ok": True}})
    check_problem(refused, 403)
    assert "the approver is not known" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("trigger", "is_refused"),
    [
        (Trigger(type=TriggerType.CLI), True),
        (Trigger(type=TriggerType.SCHEDULE, id="nightly"), False),
        (Trigger(type=TriggerType.SCHEDULE, id="nightly", by="bob@example.com"), True),
        (Trigger(type=TriggerType.WEBHOOK, id="orders"), False),
    ],
)
async def test_runs_without_a_known_starter(service: Service, trigger: Trigger, is_refused: bool) -> None:
    run, _ = await service.start(StartRequest(workflow_id="second", body={}, trigger=trigger))
    run_id = run["execution_id"]
    async with make_client(service, LOOPBACK) as local:
        path = f"{RUNS}/{run_id}"
        await _until_waiting(local, path, "none")
    answer = approve(service.app.database, run_id, {"ok": True}, by="bob@example.com")
    if not is_refused:
        assert (await answer).by == "bob@example.com"
        return
    with pytest.raises(ForbiddenError, match="accepts no answer of the user who started the run"):
        await answer
