"""The API v0: executions, and the state of the server, each on a new database."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from compozy.database.executions import insert_execution
from compozy.server.service import Service
from tests.harness.databases import new_run
from tests.integration.server.conftest import API, RUNS, check_problem, count_runs, start, until_ended


async def test_sync_waits_no_longer_than_requested(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/workflows/slow/executions/sync", json={"timeout": 0.1})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (408, "not_finished")
    execution_id = problem["details"]["execution_id"]
    assert (await client.get(f"{RUNS}/{execution_id}")).json()["status"] == "RUNNING"


async def test_timeout_ends_a_run(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/workflows/slow/executions", json={"timeout": 0.2})
    run = await until_ended(client, answer.headers["location"])
    assert run["status"] == "TIMED_OUT"


async def test_cancel(client: httpx.AsyncClient) -> None:
    location = (await client.post(f"{API}/workflows/slow/executions")).headers["location"]
    canceled = await client.post(f"{location}/cancel", json={"reason": "no longer wanted"})
    assert (canceled.status_code, canceled.json()["status"]) == (200, "CANCELED"), canceled.text
    assert canceled.json()["error"]["message"] == "no longer wanted"
    assert (await client.post(f"{location}/cancel")).json()["error"]["message"] == "no longer wanted"
    ended = await start(client)
    refused = await client.post(f"{RUNS}/{ended['execution_id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_a_page_starts_where_the_previous_one_ended(client: httpx.AsyncClient) -> None:
    ids = [(await start(client, "echo", input={"n": number}))["execution_id"] for number in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        query: dict[str, str | int] = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await client.get(RUNS, params=query)).json()
        seen += [run["execution_id"] for run in page["executions"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        # Runs that start meanwhile are newer than every following page.
        await start(client, "echo")
    assert seen == ids[::-1]


async def test_lists_are_filtered(client: httpx.AsyncClient) -> None:
    await start(client, "bad")
    await start(client, "echo")
    failed = (await client.get(RUNS, params={"status": "FAILED"})).json()["executions"]
    assert [run["workflow_id"] for run in failed] == ["bad"]
    both = (await client.get(RUNS, params=[("status", "FAILED"), ("status", "SUCCESS")])).json()["executions"]
    assert len(both) == 2
    assert len((await client.get(RUNS, params={"workflow_id": "echo"})).json()["executions"]) == 1
    assert len((await client.get(f"{API}/workflows/bad/executions")).json()["executions"]) == 1
    full = (await client.get(RUNS, params={"fields": "full", "status": "SUCCESS"})).json()["executions"]
    assert [(run["output"], run["usage"]) for run in full] == [(run["output"], []) for run in full]
    assert (await client.get(f"{API}/workflows/none/executions")).status_code == 404


async def test_an_execution_id_runs_once(client: httpx.AsyncClient, service: Service) -> None:
    first = await start(client, "echo", execution_id="mine", input={"a": 1})
    again = await client.post(f"{API}/workflows/echo/executions", json={"execution_id": "mine"})
    assert again.status_code == 202
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first
    for path, body in (("echo", {"input": {"a": 2}}), ("two", {})):
        refused = await client.post(f"{API}/workflows/{path}/executions", json={"execution_id": "mine", **body})
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert count_runs(service) == 1


async def test_an_idempotency_key_runs_once(client: httpx.AsyncClient, service: Service) -> None:
    path, headers = f"{API}/workflows/echo/executions", {"idempotency-key": "order 17"}
    answers = await asyncio.gather(*(client.post(path, json={"input": {"a": 1}}, headers=headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["execution_id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    other = await client.post(path, json={"input": {"a": 2}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key")
    elsewhere = await client.post(f"{API}/workflows/two/executions", headers=headers)
    assert elsewhere.json()["execution_id"] != answers[0].json()["execution_id"]
    assert count_runs(service) == 2


async def test_an_idempotency_key_with_an_execution_id(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        f"{API}/workflows/echo/executions", json={"execution_id": "x"}, headers={"idempotency-key": "k"}
    )
    check_problem(answer, 409)


async def test_an_internal_error_names_only_its_kind(client: httpx.AsyncClient, service: Service) -> None:
    def broken() -> Any:
        raise RuntimeError("the secret is 42")

    service.workflows = broken
    with capture_logs() as logged:
        answer = await client.get(f"{API}/workflows")
    assert [entry["event"] for entry in logged] == ["a request failed with an internal error", "request"]
    check_problem(answer, 500)
    assert "42" not in answer.text
    assert "Traceback" not in answer.text


async def test_health_and_readiness(client: httpx.AsyncClient, service: Service) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    service.stopping.set()
    assert (await client.get("/healthz")).status_code == 200
    check_problem(await client.get("/readyz"), 503)
    refused = await client.post(f"{API}/workflows/echo/executions")
    check_problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0


async def test_waiting_ends_when_the_server_stops(client: httpx.AsyncClient, service: Service) -> None:
    waiting = asyncio.create_task(client.post(f"{API}/workflows/slow/executions/sync"))
    while count_runs(service) == 0:  # noqa: ASYNC110 - a database sends no events
        await asyncio.sleep(0.02)
    service.stopping.set()
    answer = await waiting
    check_problem(answer, 503)
    assert answer.json()["details"]["execution_id"]


_REFUSE = {
    "sqlite": "CREATE TRIGGER refuse BEFORE UPDATE ON workflow_states BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END",
    "postgres": """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '53100'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON workflow_states FOR EACH STATEMENT EXECUTE FUNCTION refuse()""",
}
_ALLOW = {"sqlite": "DROP TRIGGER refuse", "postgres": "DROP TRIGGER refuse ON workflow_states"}


async def test_a_server_that_cannot_claim_runs_is_not_ready(
    service: Service, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compozy.server.health._STALLED_S", 2.0)
    database = service.app.database

    async def until_status(status: int) -> httpx.Response:
        for _ in range(1200):
            if (answer := await client.get("/readyz")).status_code == status:
                return answer
            await asyncio.sleep(0.1)
        raise AssertionError(f"/readyz never answered {status}")

    with database.write() as connection:
        connection.exec_driver_sql(_REFUSE[database.driver.name])
        insert_execution(connection, new_run("r"), owner=None)
    refused = await until_status(503)
    check_problem(refused, 503)
    assert "this server has not claimed waiting runs for" in refused.json()["detail"]
    with database.write() as connection:
        connection.exec_driver_sql(_ALLOW[database.driver.name])
    await until_status(200)


async def test_hints_for_http_clients_and_for_commands_differ(client: httpx.AsyncClient) -> None:
    await start(client, execution_id="mine")
    refused = [
        await client.get(f"{RUNS}/nothing"),
        await client.post(f"{API}/workflows/typed/executions", json={"input": {"n": "x"}}),
        await client.post(f"{API}/workflows/slow/executions", json={"execution_id": "mine"}),
        await client.post(f"{API}/workflows/two/executions", json={"execution_id": "mine", "input": {"other": 1}}),
        await client.post(f"{RUNS}/mine/resume"),
    ]
    hints = [(answer.json()["hint"], answer.json()["command_hint"]) for answer in refused]
    assert hints == [
        ("list executions: GET /api/v0/executions/workflows", "list executions with `compozy workflow list`"),
        ("send it as `input` in the body", "pass it with --input='{...}', --input=@file.json or --input=-"),
        ("choose another `execution_id`", "choose another --id"),
        (
            "leave out `input` to see that run, or choose another `execution_id`",
            "leave out --input to see that run, or choose another --id",
        ),
        ("run it again: POST /api/v0/executions/workflows/mine/rerun", "run it again with `compozy workflow rerun`"),
    ]


async def test_requests_are_logged_as_fields_and_polling_is_not_logged(client: httpx.AsyncClient) -> None:
    await start(client, execution_id="polled")
    with capture_logs() as logs:
        await client.get(f"{RUNS}/polled")
        await client.get(f"{API}/workflows/two/executions?limit=1")
        await client.get("/readyz")
        await client.get(f"{RUNS}/nothing")
        await client.get(f"{API}/workflows")
        await client.post(f"{RUNS}/polled/cancel")
    requests = [(line["log_level"], line["method"], line["path"], line["status"]) for line in logs if "ms" in line]
    assert requests == [
        ("debug", "GET", f"{RUNS}/polled", 200),
        ("debug", "GET", f"{API}/workflows/two/executions", 200),
        ("debug", "GET", "/readyz", 200),
        ("info", "GET", f"{RUNS}/nothing", 404),
        ("info", "GET", f"{API}/workflows", 200),
        ("info", "POST", f"{RUNS}/polled/cancel", 409),
    ]
