"""Events start workflows, once for each event ID, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from compozy.server.service import Service
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

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDER = {"type": "object", "properties": {"id": {"type": "integer"}, "gift": {"default": False}}, "required": ["id"]}
ECHO = [{"id": "pass", "with": {"all": "{{ .input }}"}}]
WORKFLOWS: dict[str, dict[str, Any]] = {
    "ship": {"triggers": [{"type": "signal", "name": "order.created", "schema": ORDER}], "tasks": ECHO},
    "bill": {"triggers": [{"type": "signal", "name": "order.created"}], "tasks": ECHO},
    "other": {"triggers": [{"type": "signal", "name": "order.paid"}], "tasks": ECHO},
    "hold": {"tasks": [{"id": "wait", "type": "wait", "wait_for": "order.paid"}]},
    "tell": {
        "tasks": [{"id": "say", "type": "signal", "signal": {"id": "order.created", "payload": {"id": 7}}}],
        "output": {"started": "{{ .tasks.say.output.started }}"},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Service]:
    """One service for all tests; each sends its own events."""
    async with open_service(request.param, tmp_path_factory.mktemp("events"), WORKFLOWS) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: Service) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without a key that calls the application on loopback."""
    async with make_client(service, LOOPBACK) as made:
        yield made


async def send(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"{API}/events", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_an_event_starts_every_workflow_that_waits_for_it(client: httpx.AsyncClient) -> None:
    sent = await send(client, name="order.created", payload={"id": 1}, id="one")
    assert {run["workflow_id"]: run["is_new"] for run in sent["started"]} == {"ship": True, "bill": True}
    inputs: dict[str, Any] = {}
    for run in sent["started"]:
        ended = await until_ended(client, f"{RUNS}/{run['execution_id']}")
        assert ended["status"] == "SUCCESS"
        assert ended["trigger"] == {"type": "event", "id": "order.created", "by": None}
        inputs[run["workflow_id"]] = ended["input"]
    assert inputs == {"ship": {"id": 1, "gift": False}, "bill": {"id": 1}}


async def test_an_event_is_accepted_once(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(send(client, name="order.created", payload={"id": 2}, id="two") for _ in range(8)))
    runs = [(run["execution_id"], run["is_new"]) for answer in answers for run in answer["started"]]
    assert len({run_id for run_id, _ in runs}) == 2
    assert sum(is_new for _, is_new in runs) == 2
    # Without an ID, each is another event.
    first, second = [await send(client, name="order.paid") for _ in range(2)]
    assert first["started"][0]["execution_id"] != second["started"][0]["execution_id"]


async def test_an_invalid_payload_starts_nothing(client: httpx.AsyncClient) -> None:
    before = (await client.get(RUNS, params={"limit": 1000})).json()["executions"]
    refused = await client.post(f"{API}/events", json={"name": "order.created", "payload": {"id": "x"}})
    check_problem(refused, 422)
    assert (
        "the payload does not match the schema of event 'order.created' in workflow 'ship'" in refused.json()["detail"]
    )
    check_problem(await client.post(f"{API}/events", json={"name": "order.paid", "payload": [1]}), 400, 422)
    after = (await client.get(RUNS, params={"limit": 1000})).json()["executions"]
    assert len(after) == len(before)


async def test_an_event_without_a_waiting_workflow(client: httpx.AsyncClient) -> None:
    sent = await send(client, name="order.lost", wake=True)
    assert (sent["started"], sent["woken"]) == ([], [])


async def test_waiting_runs_are_woken_when_asked(client: httpx.AsyncClient) -> None:
    started = (await client.post(f"{API}/workflows/hold/executions")).json()["execution_id"]
    for _ in range(3000):
        if (await client.get(f"{RUNS}/{started}")).json()["status"] == "WAITING":
            break
        await asyncio.sleep(0.02)
    quiet = await send(client, name="order.paid", payload={"sum": 3}, id="paid")
    assert quiet["woken"] == []
    # The same event again: it starts nothing twice.
    woken = await send(client, name="order.paid", payload={"sum": 3}, id="paid", wake=True)
    assert woken["woken"] == [started]
    assert [run["is_new"] for run in woken["started"]] == [False]
    ended = await until_ended(client, f"{RUNS}/{started}")
    assert ended["status"] == "SUCCESS"


async def test_a_task_starts_workflows(client: httpx.AsyncClient) -> None:
    run = (await client.post(f"{API}/workflows/tell/executions/sync")).json()
    assert run["status"] == "SUCCESS", run
    started = run["output"]["started"]
    assert sorted(run_id.split("-")[1] for run_id in started) == ["bill", "ship"]
    ended = await until_ended(client, f"{RUNS}/{started[0]}")
    assert (ended["status"], ended["input"]["id"]) == ("SUCCESS", 7)
    assert ended["trigger"] == {"type": "event", "id": "order.created", "by": run["execution_id"]}


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "x" * 257}, {"name": "x", "id": ""}, {"name": "x", "more": 1}]
)
async def test_invalid_events_are_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    check_problem(await client.post(f"{API}/events", json=body), 400, 422)
