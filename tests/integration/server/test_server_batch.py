"""Operations on many executions over HTTP, on both drivers."""

from __future__ import annotations

import sqlite3
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from compozy.server.service import Service
from compozy.workflow import batch
from tests.integration.server.conftest import API, RUNS, check_problem, count_runs, start, until_ended

_PATH = f"{RUNS}/batch"


async def _do(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """Start a batch and return its output."""
    answer = await client.post(_PATH, json=body)
    assert answer.status_code == 202, answer.text
    run = await until_ended(client, answer.headers["location"])
    assert (run["status"], run["workflow_id"]) == ("SUCCESS", f"batch/{body['action']}")
    return run["output"]


def _outcomes(output: dict[str, Any]) -> dict[str, str]:
    return {item["execution_id"]: item["outcome"] for item in output["items"]}


async def test_executions_are_canceled_by_filter(client: httpx.AsyncClient) -> None:
    ended = (await start(client, "echo"))["execution_id"]
    waiting = [(await client.post(f"{API}/workflows/slow/executions")).json() for _ in range(3)]
    ids = {run["execution_id"] for run in waiting}
    plan = (
        await client.post(_PATH, json={"action": "cancel", "filter": {"workflow_id": "slow"}, "dry_run": True})
    ).json()
    assert (plan["matched"], plan["done"], set(_outcomes(plan))) == (3, 3, ids)
    output = await _do(client, action="cancel", filter={"workflow_id": "slow"}, reason="no longer wanted")
    assert (output["done"], output["refused"]) == (3, 0)
    for run_id in ids:
        run = await until_ended(client, f"{RUNS}/{run_id}")
        assert (run["status"], run["error"]["message"]) == ("CANCELED", "no longer wanted")
    again = await _do(client, action="cancel", ids=[*ids, ended, "none"])
    assert _outcomes(again) == dict.fromkeys([*ids, ended, "none"], "refused")
    assert {item["message"] for item in again["items"] if item["execution_id"] == "none"} == {
        "execution 'none' not found in this database"
    }


async def test_a_paused_execution_is_resumed(client: httpx.AsyncClient) -> None:
    run = (await client.post(f"{API}/workflows/slow/executions")).json()
    ids = [run["execution_id"]]
    assert (await _do(client, action="resume", ids=ids))["refused"] == 1
    assert (await client.post(f"{RUNS}/{ids[0]}/pause")).json()["requested"] in {None, "PAUSED"}
    plan = (await client.post(_PATH, json={"action": "rerun", "ids": ids, "dry_run": True})).json()
    assert plan["refused"] == 1
    assert (await _do(client, action="cancel", ids=ids))["done"] == 1


async def test_executions_are_run_again_once_and_deleted(client: httpx.AsyncClient, service: Service) -> None:
    first = await start(client, "echo", input={"n": 1}, labels={"team": "ops"})
    second = await start(client, "bad", labels={"team": "ops"})
    body = {"action": "rerun", "filter": {"label": ["team"]}, "execution_id": "mine"}
    output = await _do(client, **body)
    new = {item["execution_id"]: item["new_execution_id"] for item in output["items"]}
    assert set(new) == {first["execution_id"], second["execution_id"]}
    again = await until_ended(client, f"{RUNS}/{new[first['execution_id']]}")
    assert (again["status"], again["input"], again["labels"]) == ("SUCCESS", {"n": 1}, {"team": "ops"})
    assert again["trigger"] == {"type": "batch", "id": "mine", "by": again["trigger"]["by"]}
    assert again["rerun_of"] == first["execution_id"]
    await until_ended(client, f"{RUNS}/{new[second['execution_id']]}")
    before = count_runs(service)
    assert await _do(client, **body) == output
    assert count_runs(service) == before
    started = (await client.get(RUNS, params={"parent": "mine"})).json()["executions"]
    assert {run["execution_id"] for run in started} == set(new.values())
    deleted = await _do(client, action="delete", ids=list(new))
    assert deleted["done"] == 2
    for run_id in new:
        check_problem(await client.get(f"{RUNS}/{run_id}"), 404)
    assert (await client.get(f"{RUNS}/{new[first['execution_id']]}")).status_code == 200
    check_problem(await client.post(f"{RUNS}/mine/rerun"), 409)


async def test_many_executions_take_several_steps(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_AT_ONCE", 2)
    ids = [(await start(client, "echo"))["execution_id"] for _ in range(5)]
    output = await _do(client, action="delete", ids=[*ids, ids[0]])
    assert (output["matched"], output["done"]) == (5, 5)


async def test_an_interrupted_batch_repeats_nothing(
    client: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = batch.Batches.apply
    groups: list[list[str]] = []

    def fail_once(self: batch.Batches, connection: sa.Connection, work: batch.Work) -> list[dict[str, Any]]:
        groups.append(list(work.ids))
        done = apply(self, connection, work)
        if len(groups) == 2:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("disk I/O error"))
        return done

    monkeypatch.setattr(batch, "_AT_ONCE", 2)
    monkeypatch.setattr(batch.Batches, "apply", fail_once)
    ids = sorted([(await start(client, "echo"))["execution_id"] for _ in range(5)])
    before = count_runs(service)
    output = await _do(client, action="rerun", ids=ids)
    assert groups == [ids[:2], ids[2:4], ids[2:4], ids[4:]]
    assert (output["done"], len({item["new_execution_id"] for item in output["items"]})) == (5, 5)
    assert count_runs(service) == before + 1 + 5
    for item in output["items"]:
        await until_ended(client, f"{RUNS}/{item['new_execution_id']}")


async def test_invalid_batches_store_nothing(
    client: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = (await start(client, "echo"))["execution_id"]
    await start(client, "echo")
    before = count_runs(service)
    wrong: list[dict[str, Any]] = [
        {"action": "cancel"},
        {"action": "cancel", "ids": [run_id], "filter": {}},
        {"action": "erase", "ids": [run_id]},
        {"action": "cancel", "ids": ["../x"]},
        {"action": "cancel", "filter": {"unknown": 1}},
        {"action": "cancel", "ids": [run_id], "execution_id": ""},
    ]
    for body in wrong:
        check_problem(await client.post(_PATH, json=body), 400, 422)
    monkeypatch.setattr(batch, "MAX_ITEMS", 1)
    refused = await client.post(_PATH, json={"action": "delete", "filter": {}})
    assert (refused.status_code, refused.json()["detail"]) == (400, "a batch has at most 1 executions")
    check_problem(await client.post(_PATH, json={"action": "cancel", "ids": ["none"], "execution_id": run_id}), 409)
    assert count_runs(service) == before
