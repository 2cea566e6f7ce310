"""Triggers and labels of executions over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from compozy.client import CLI_AGENT, MCP_AGENT
from compozy.database.trigger import Trigger
from compozy.server.service import Service, StartRequest
from tests.integration.server.conftest import API, RUNS, check_problem, start, until_ended

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _trigger(kind: str, given: str | None = None) -> dict[str, Any]:
    return {"type": kind, "id": given, "by": None}


@pytest.mark.parametrize(
    ("agent", "kind"), [("curl/8", "api"), (f"{CLI_AGENT}/0.1.0", "cli"), (f"{MCP_AGENT}/0.1.0", "mcp")]
)
async def test_the_client_is_recorded(shared_client: httpx.AsyncClient, agent: str, kind: str) -> None:
    answer = await shared_client.post(f"{API}/workflows/echo/executions", headers={"user-agent": agent})
    assert answer.json()["trigger"] == _trigger(kind)


async def test_other_triggers_are_recorded(shared_service: Service) -> None:
    trigger = Trigger(type="schedule", id="nightly", by="ada@example.com")
    run, _ = await shared_service.start(StartRequest(workflow_id="echo", body={}, trigger=trigger))
    assert run["trigger"] == {"type": "schedule", "id": "nightly", "by": "ada@example.com"}


async def test_labels_filter_lists(shared_client: httpx.AsyncClient) -> None:
    ops = await start(shared_client, "echo", labels={"team": "ops", "size": "größe=1"})
    dev = await start(shared_client, "echo", labels={"team": "dev"})
    assert ops["labels"] == {"size": "größe=1", "team": "ops"}

    async def found(*labels: str) -> set[str]:
        answer = await shared_client.get(RUNS, params={"label": list(labels)})
        return {run["execution_id"] for run in answer.json()["executions"]}

    both = {ops["execution_id"], dev["execution_id"]}
    assert await found("team") == both
    assert await found("team=ops") == await found("team", "size=größe=1") == {ops["execution_id"]}
    assert await found("team=ops", "team=dev") == await found("team=op") == set()
    of_one = await shared_client.get(f"{API}/workflows/echo/executions", params={"label": "team=dev"})
    assert [run["execution_id"] for run in of_one.json()["executions"]] == [dev["execution_id"]]


async def test_a_rerun_keeps_labels_unless_it_has_others(shared_client: httpx.AsyncClient) -> None:
    source = await start(shared_client, "echo", labels={"team": "keep"})
    path = f"{RUNS}/{source['execution_id']}/rerun"
    again = await shared_client.post(path)
    assert again.json()["labels"] == {"team": "keep"}
    assert again.json()["trigger"] == _trigger("rerun", source["execution_id"])
    other = await shared_client.post(path, json={"labels": {"try": "2"}})
    assert other.json()["labels"] == {"try": "2"}
    for answer in (again, other):
        await until_ended(shared_client, answer.headers["location"])


@pytest.mark.parametrize(
    "labels", [{"": "x"}, {"a b": "x"}, {"a": "x\n"}, {"a": 1}, {"a": None}, ["a"], {f"n{n}": "" for n in range(33)}]
)
async def test_invalid_labels_start_nothing(shared_client: httpx.AsyncClient, labels: Any) -> None:
    check_problem(await shared_client.post(f"{API}/workflows/echo/executions", json={"labels": labels}), 400, 422)


async def test_an_idempotency_key_requires_the_same_labels(shared_client: httpx.AsyncClient) -> None:
    headers = {"idempotency-key": "labeled"}
    path = f"{API}/workflows/echo/executions"
    first = await shared_client.post(path, json={"labels": {"a": "1"}}, headers=headers)
    again = await shared_client.post(path, json={"labels": {"a": "1"}}, headers=headers)
    assert first.json()["execution_id"] == again.json()["execution_id"]
    check_problem(await shared_client.post(path, json={"labels": {"a": "2"}}, headers=headers), 422)


@pytest.mark.parametrize("given", ["0.5", "1767225600", "soon", "x", "2027-13-01", "2027-01-01T25:00:00Z"])
async def test_times_of_filters_are_dates(shared_client: httpx.AsyncClient, given: str) -> None:
    expected = "expected a date and time, such as 2027-01-01T00:00:00Z"
    answer = await shared_client.get(f"{API}/executions/workflows", params={"created_after": given})
    check_problem(answer, 422)
    assert answer.json()["detail"] == f"query.created_after: {expected}"
    body = {"action": "cancel", "filter": {"created_before": given}}
    answer = await shared_client.post(f"{API}/executions/workflows/batch", json=body)
    check_problem(answer, 422)
    assert answer.json()["detail"] == f"body.filter.created_before: {expected}"
