"""Limits and priority of workflows over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.server.conftest import API, DRIVERS, LOOPBACK, RUNS, check_problem, make_client, open_service

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAIT = [{"id": "gate", "type": "wait", "wait_for": "go"}]
PASS = [{"id": "pass", "with": {"x": 1}}]
KEYED: dict[str, Any] = {"concurrency": {"limit": 1, "key": "{{ .input.customer }}"}, "tasks": WAIT}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "one": {"concurrency": {"limit": 1}, "priority": 3, "tasks": WAIT},
    "keyed": KEYED,
    "slow": {"rate": {"limit": 2, "period": "1h"}, "tasks": PASS},
    "plain": {"tasks": PASS},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def limited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a server whose workflows have limits."""
    folder = tmp_path_factory.mktemp("limits")
    async with open_service(request.param, folder, WORKFLOWS) as opened, make_client(opened, LOOPBACK) as client:
        yield client


async def _start(client: httpx.AsyncClient, workflow: str, run_id: str, **given: Any) -> dict[str, Any]:
    body = {"execution_id": run_id, "input": given}
    answer = await client.post(f"{API}/workflows/{workflow}/executions", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def _get(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    return (await client.get(f"{RUNS}/{run_id}")).json()


async def _list(client: httpx.AsyncClient, workflow: str, fields: str) -> dict[str, str | None]:
    """Return since when the runs of a workflow wait for a place."""
    listed = await client.get(RUNS, params={"workflow_id": workflow, "fields": fields})
    return {run["execution_id"]: run["waiting_since"] for run in listed.json()["executions"]}


async def _until(client: httpx.AsyncClient, run_id: str, *statuses: str) -> dict[str, Any]:
    while (run := await _get(client, run_id))["status"] not in statuses:
        pass
    return run


async def test_a_run_that_waits_names_the_one_it_waits_for(limited: httpx.AsyncClient) -> None:
    await _start(limited, "one", "one-1")
    started = await _start(limited, "one", "one-2")
    assert (started["status"], started["started_at"], started["priority"]) == ("PENDING", None, 3)
    limits = started["limits"]
    assert (limits["key"], limits["concurrency"], limits["rate"]) == (None, 1, None)
    assert limits["holders"] == ["one-1"]
    assert limits["waiting_since"] == started["created_at"]
    for fields in ("summary", "full"):
        assert await _list(limited, "one", fields) == {"one-1": None, "one-2": limits["waiting_since"]}
    # Another workflow is not affected.
    await _start(limited, "plain", "plain-1")
    await _until(limited, "plain-1", "SUCCESS")
    await _until(limited, "one-1", "WAITING")
    await limited.post(f"{RUNS}/one-1/signals", json={"name": "go"})
    run = await _until(limited, "one-2", "RUNNING", "WAITING")
    assert (run["limits"]["waiting_since"], run["limits"]["holders"]) == (None, [])
    await limited.post(f"{RUNS}/one-2/signals", json={"name": "go"})
    await _until(limited, "one-2", "SUCCESS")
    assert await _list(limited, "one", "summary") == {"one-1": None, "one-2": None}


async def test_runs_with_another_key_do_not_wait(limited: httpx.AsyncClient) -> None:
    await _start(limited, "keyed", "key-1", customer="ada")
    assert (await _start(limited, "keyed", "key-2", customer="ada"))["limits"]["holders"] == ["key-1"]
    other = await _start(limited, "keyed", "key-3", customer={"id": 7})
    assert (other["limits"]["key"], other["limits"]["waiting_since"]) == ('{"id":7}', None)
    canceled = await limited.post(f"{RUNS}/key-1/cancel")
    assert canceled.status_code == 200, canceled.text
    await _until(limited, "key-2", "WAITING")
    long = "x" * 500
    assert len((await _start(limited, "keyed", "key-4", customer=long))["limits"]["key"]) == 200
    assert (await _start(limited, "keyed", "key-5", customer=f"{long}y"))["limits"]["holders"] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "customer"),
        ({"customer": ""}, "concurrency.key of workflow 'keyed' is empty for this input"),
        ({"customer": None}, "concurrency.key of workflow 'keyed' is empty for this input"),
        ({"customer": "a\0b"}, "cannot be stored"),
    ],
)
async def test_a_key_that_cannot_be_rendered_is_an_error(
    limited: httpx.AsyncClient, given: dict[str, Any], words: str
) -> None:
    answer = await limited.post(f"{API}/workflows/keyed/executions", json={"input": given})
    check_problem(answer, 422, 400)
    assert words in answer.json()["detail"]


async def test_a_rate_holds_back_the_third_run(limited: httpx.AsyncClient) -> None:
    for number in range(2):
        await _start(limited, "slow", f"slow-{number}")
        await _until(limited, f"slow-{number}", "SUCCESS")
    third = await _start(limited, "slow", "slow-2")
    assert third["status"] == "PENDING"
    assert third["limits"]["rate"] == {"limit": 2, "period_s": 3600.0}
    assert third["limits"]["waiting_since"] is not None
