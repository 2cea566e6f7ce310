"""Deliveries of webhooks are stored with their outcome, in the transaction of the run, and can be replayed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.tables import webhook_deliveries
from compozy.database.webhook_deliveries import delete_deliveries
from compozy.errors import DatabaseError
from compozy.server.gate import GuardSettings
from compozy.server.hooks.deliveries import prune_old, prune_until
from compozy.server.hooks.hook import hooks_of
from tests.integration.server.conftest import API, DRIVERS, check_problem, count_runs
from tests.integration.server.hook_projects import GITHUB, ORDERS, PAID, PAYMENTS, SECRET, Sender, hooked, open_sender

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = "a-key-of-the-server"
HEADERS = {"authorization": f"Bearer {KEY}"}
TOKEN: dict[str, Any] = {
    "slug": "token",
    "verify": {"strategy": "token", "secret": SECRET},
    "events": [{"name": "any", "filter": 'query["kind"] == "order"'}],
}
NONE: dict[str, Any] = {**ORDERS, "slug": "forgets", "keep_deliveries": "0s"}
SHORT: dict[str, Any] = {**ORDERS, "slug": "short", "keep_deliveries": "1h"}
PLAIN: dict[str, Any] = {
    "slug": "plain",
    "verify": {"strategy": "hmac", "secret": SECRET, "header": "X-Signature"},
    "events": [
        {"name": "any", "input": {"n": "{{ .payload.n }}"}, "schema": {"properties": {"n": {"type": "integer"}}}}
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def sender(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Sender]:
    """Serve one project, with an API key, for all tests of this module."""
    workflows = {
        "triage": hooked(GITHUB),
        "order": hooked(ORDERS),
        "payment": {**hooked(PAYMENTS), **PAID},
        "secret": hooked(TOKEN),
        "forgets": hooked(NONE),
        "short": hooked(SHORT),
        "plain": hooked(PLAIN),
    }
    guard = GuardSettings(host="127.0.0.1", api_key=KEY)
    async with open_sender(request.param, tmp_path_factory.mktemp("hooks"), workflows, guard=guard) as opened:
        yield opened


async def deliveries(sender: Sender, slug: str, **query: Any) -> list[dict[str, Any]]:
    """Return the newest deliveries of a webhook."""
    answer = await sender.client.get(f"{API}/hooks/{slug}/deliveries", headers=HEADERS, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["deliveries"]


async def shown(sender: Sender, slug: str, delivery_id: str) -> dict[str, Any]:
    """Return one delivery."""
    answer = await sender.client.get(f"{API}/hooks/{slug}/deliveries/{delivery_id}", headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def replay(sender: Sender, slug: str, delivery_id: str, **body: Any) -> Any:
    """Replay a delivery and return the answer."""
    path = f"{API}/hooks/{slug}/deliveries/{delivery_id}/replay"
    return await sender.client.post(path, headers=HEADERS, json=body)


async def until_waiting(sender: Sender, run_id: str) -> None:
    """Wait until a run waits for a signal."""
    for _ in range(3000):
        if (await sender.service.get(run_id))["status"] == "WAITING":
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{run_id} does not wait")


async def test_every_verified_request_is_listed_with_its_outcome(sender: Sender) -> None:
    before = count_runs(sender.service)
    first = await sender.post("orders", {"id": "L-1"})
    await sender.post("orders", {"id": "L-1"})
    await sender.post("orders", {"none": 1})
    refused = await sender.post("orders", b'{"id": ')
    assert [first.status_code, refused.status_code] == [202, 400]
    found = await deliveries(sender, "orders", limit=4)
    assert [each["outcome"] for each in found] == ["refused", "no_matching_event", "duplicate", "accepted"]
    assert [each["status"] for each in found] == [400, 200, 200, 202]
    run_id = first.json()["execution_id"]
    assert [each["execution_id"] for each in found] == [None, None, run_id, run_id]
    assert found[0]["reason"].startswith("the body is not valid")
    assert "body" not in found[0]
    assert await deliveries(sender, "orders", outcome="refused") == [found[0]]
    assert count_runs(sender.service) == before + 1


async def test_pages_of_deliveries(sender: Sender) -> None:
    for number in range(5):
        await sender.post("orders", {"id": f"P-{number}"})
    path = f"{API}/hooks/orders/deliveries"
    first = (await sender.client.get(path, headers=HEADERS, params={"limit": 3})).json()
    rest = (await sender.client.get(path, headers=HEADERS, params={"cursor": first["next_cursor"], "limit": 2})).json()
    listed = [each["delivery_id"] for each in (*first["deliveries"], *rest["deliveries"])]
    assert listed == sorted(listed, reverse=True)
    assert len(set(listed)) == 5


async def test_a_request_whose_sender_is_not_verified_is_not_stored(sender: Sender) -> None:
    before = await deliveries(sender, "orders", limit=1000)
    check_problem(await sender.send("orders", b'{"id": "X"}', {"X-Signature": "AAAA"}), 401)
    assert await deliveries(sender, "orders", limit=1000) == before


async def test_secrets_of_requests_are_masked(sender: Sender) -> None:
    body = json.dumps({"n": 1}).encode()
    headers = {
        "authorization": f"Bearer {SECRET}",
        "content-type": "application/json",
        "cookie": "session=1",
        "x-other": "a-key-of-the-sender",
        "x-request-id": f"request of {SECRET}",
    }
    answer = await sender.client.post(f"{API}/hooks/token?kind=order&token={SECRET}", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    delivery = await shown(sender, "token", (await deliveries(sender, "token"))[0]["delivery_id"])
    assert delivery["headers"]["x-other"] == "********"
    assert delivery["headers"]["x-request-id"] == "request of ********"
    assert delivery["headers"]["content-type"] == "application/json"
    assert not {"authorization", "cookie"} & delivery["headers"].keys()
    assert delivery["query"] == {"kind": "order", "token": "********"}
    assert delivery["body"] == body.decode()
    with sender.service.app.database.read() as connection:
        rows = connection.execute(sa.select(webhook_deliveries)).mappings().all()
    assert SECRET not in str(rows)
    assert "a-key-of-the-sender" not in str(rows)


async def test_a_replay_of_a_refused_delivery_starts_its_run_once(sender: Sender) -> None:
    answer = await sender.post("plain", {"n": "many"})
    check_problem(answer, 422)
    refused = (await deliveries(sender, "plain"))[0]
    check_problem(await replay(sender, "plain", refused["delivery_id"]), 422)
    # The sender repeats it later with what the webhook accepts: here, the stored body is mended instead.
    body = "eyJuIjogN30="
    change = sa.update(webhook_deliveries).where(webhook_deliveries.c.delivery_id == refused["delivery_id"])
    with sender.service.app.database.write() as connection:
        connection.execute(change.values(body=body))
    before = count_runs(sender.service)
    answers = await asyncio.gather(*(replay(sender, "plain", refused["delivery_id"]) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [200] * 4 + [202]
    run_ids = {each.json()["execution_id"] for each in answers}
    assert len(run_ids) == 1
    assert count_runs(sender.service) == before + 1
    assert await sender.output(run_ids.pop()) == {"all": {"n": 7}}
    found = await deliveries(sender, "plain", outcome="accepted")
    assert found[0]["replay_of"] == refused["delivery_id"]
    run = await sender.service.get(found[0]["execution_id"])
    assert run["trigger"] == {"type": "webhook", "id": "plain", "by": "server.api_key"}


async def test_a_delivery_that_started_a_run_needs_a_new_one(sender: Sender) -> None:
    first = (await sender.post("repository", {"ref": "main"}, X_GitHub_Event="push")).json()["execution_id"]
    delivery_id = (await deliveries(sender, "repository"))[0]["delivery_id"]
    refused = await replay(sender, "repository", delivery_id)
    check_problem(refused, 409)
    assert first in refused.json()["detail"]
    again = await replay(sender, "repository", delivery_id, new_run=True)
    assert again.status_code == 202, again.text
    assert again.json()["execution_id"] != first
    assert await sender.output(again.json()["execution_id"]) == {"all": {"ref": "main"}}


async def test_signals_are_deliveries_too(sender: Sender) -> None:
    early = await sender.post("payments", {"type": "paid", "of": "7", "amount": 5, "id": "evt_1"})
    check_problem(early, 409)
    refused = (await deliveries(sender, "payments"))[0]
    assert (refused["outcome"], refused["execution_id"]) == ("refused", None)
    created = await sender.post("payments", {"type": "created", "of": "7", "id": "evt_0"})
    run_id = created.json()["execution_id"]
    await until_waiting(sender, run_id)
    answer = await replay(sender, "payments", refused["delivery_id"])
    assert (answer.status_code, answer.json()["status"]) == (202, "signaled")
    assert await sender.output(run_id) == {"amount": 5}


async def test_a_delivery_is_stored_with_its_run_or_not_at_all(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("the disk is full")

    before = count_runs(sender.service), len(await deliveries(sender, "orders", limit=1000))
    with monkeypatch.context() as patch:
        patch.setattr("compozy.server.hooks.deliveries.insert_delivery", fail)
        check_problem(await sender.post("orders", {"id": "T-1"}), 503)
    assert (count_runs(sender.service), len(await deliveries(sender, "orders", limit=1000))) == before
    assert (await sender.post("orders", {"id": "T-1"})).status_code == 202


async def test_a_webhook_that_keeps_no_deliveries(sender: Sender) -> None:
    assert (await sender.post("forgets", {"id": "F-1"})).status_code == 202
    assert (await sender.post("forgets", {"id": "F-1"})).status_code == 200
    assert await deliveries(sender, "forgets") == []


async def test_old_deliveries_are_deleted(sender: Sender) -> None:
    database = sender.service.app.database
    for slug in ("short", "orders"):
        await sender.post(slug, {"id": "old"})
        await sender.post(slug, {"id": "new"})
        oldest = (await deliveries(sender, slug))[1]["delivery_id"]
        aged = sa.update(webhook_deliveries).where(webhook_deliveries.c.delivery_id == oldest)
        with database.write() as connection:
            connection.execute(aged.values(created_ms=now_ms() - 2 * 3_600_000))
    kept = len(await deliveries(sender, "orders", limit=1000))
    assert await prune_old(database, hooks_of(sender.service.app.project)) == 1
    assert len(await deliveries(sender, "short")) == 1
    assert len(await deliveries(sender, "orders", limit=1000)) == kept
    # A webhook that is not in the project any more keeps its deliveries for the default time.
    assert await prune_old(database, {}) == 0
    stopping = asyncio.Event()
    stopping.set()
    await prune_until(stopping, database, {})
    with database.write() as connection:
        assert delete_deliveries(connection, now_ms() + 1, slug="short", limit=200) == 1


async def test_deliveries_need_a_key_and_an_existing_webhook(sender: Sender) -> None:
    path = f"{API}/hooks/orders/deliveries"
    check_problem(await sender.client.get(path), 401)
    check_problem(await sender.client.get(f"{API}/hooks/order/deliveries", headers=HEADERS), 404)
    await sender.post("orders", {"id": "K-1"})
    delivery_id = (await deliveries(sender, "orders"))[0]["delivery_id"]
    check_problem(await sender.client.post(f"{path}/{delivery_id}/replay", json={}), 401)
    # A delivery belongs to its webhook.
    check_problem(await sender.client.get(f"{API}/hooks/plain/deliveries/{delivery_id}", headers=HEADERS), 404)
    check_problem(await replay(sender, "plain", delivery_id), 404)
    missing = await replay(sender, "orders", "abc")
    check_problem(missing, 404)
    problem = missing.json()
    assert problem["detail"] == "delivery 'abc' of webhook 'orders' not found"
    assert problem["command_hint"].startswith("`compozy webhook deliveries orders` lists them")
    assert "compozy" not in problem["hint"]
    check_problem(await replay(sender, "orders", "%00"), 400)


async def test_the_webhooks_of_the_project_are_listed(sender: Sender) -> None:
    listed = (await sender.client.get(f"{API}/hooks", headers=HEADERS)).json()["webhooks"]
    assert {hook["slug"]: hook["workflow_id"] for hook in listed}.items() >= {
        "repository": "triage",
        "orders": "order",
    }.items()
    assert SECRET not in str(listed)
