"""The API v0: what each path answers, and what it answers to requests that are wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from compozy.database.executions import insert_execution
from compozy.server.service import Service
from tests.harness.databases import new_run
from tests.integration.server.conftest import API, count_runs

RUNS = f"{API}/executions/workflows"
JSON = {"content-type": "application/json"}


async def start(client: httpx.AsyncClient, workflow: str = "two", **body: Any) -> dict[str, Any]:
    """Run a workflow to its end and return the execution."""
    answer = await client.post(f"{API}/workflows/{workflow}/executions/sync", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until_ended(client: httpx.AsyncClient, location: str) -> dict[str, Any]:
    """Look at an execution until it has ended."""
    for _ in range(1500):
        run: dict[str, Any] = (await client.get(location)).json()
        if run["finished_at"] is not None:
            return run
        await asyncio.sleep(0.02)
    raise AssertionError(f"{location} did not end")


async def test_project_tells_no_location(client: httpx.AsyncClient, service: Service) -> None:
    answer = await client.get(f"{API}/project")
    document = answer.json()
    assert document["name"] == "demo"
    assert document["database"]["driver"] == service.app.project.database.driver
    assert str(service.app.project.root) not in answer.text
    assert service.app.database.location not in answer.text


async def test_workflows(client: httpx.AsyncClient) -> None:
    listed = (await client.get(f"{API}/workflows")).json()["workflows"]
    names = [workflow["id"] for workflow in listed if not workflow["id"].startswith("costly-")]
    assert names == ["bad", "echo", "slow", "two", "typed"]
    two = (await client.get(f"{API}/workflows/two")).json()
    known = {"id": "two", "name": None, "description": None, "file": two["file"], "tasks": ["one", "two"]}
    assert two == {**known, "input_schema": None}
    assert known in listed
    typed = (await client.get(f"{API}/workflows/typed")).json()
    assert typed["input_schema"]["type"] == "object"


async def test_input_keys_that_the_schema_does_not_list_are_named(client: httpx.AsyncClient) -> None:
    schema = (await client.get(f"{API}/workflows/typed")).json()["input_schema"]
    key = next(iter(schema["properties"]))
    run = await start(client, "typed", input={key: 1, f"{key}x": 2})
    assert run["warnings"] == [f"the input schema of workflow 'typed' does not list '{key}x' (did you mean '{key}'?)"]


async def test_an_unknown_workflow(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{API}/workflows/tow")).json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no workflow 'tow' in project 'demo'",
        "code": "not_found",
        "hint": "did you mean 'two'?",
    }


async def test_the_drawing_of_a_workflow(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{API}/workflows/two/graph")
    document = answer.json()
    assert document["text"] == "two\n├─ one  → two\n└─ two  → end\n"
    assert document["mermaid"].startswith("flowchart TD\n")
    chart = await client.get(f"{API}/workflows/two/graph", headers={"accept": "text/vnd.mermaid"})
    assert chart.headers["content-type"] == "text/vnd.mermaid; charset=utf-8"
    assert chart.text == document["mermaid"]
    assert (await client.get(f"{API}/workflows/tow/graph")).status_code == 404


async def test_a_run_is_accepted_and_ends(client: httpx.AsyncClient) -> None:
    accepted = await client.post(f"{API}/workflows/two/executions", json={"input": {"name": "Ada"}})
    assert accepted.status_code == 202
    document = accepted.json()
    assert accepted.headers["location"] == f"{RUNS}/{document['execution_id']}"
    run = await until_ended(client, accepted.headers["location"])
    assert (run["status"], run["output"]) == ("SUCCESS", {"last": "second"})
    assert [task["task_id"] for task in run["tasks"]] == ["one", "two"]
    assert run["input"] == {"name": "Ada"}


async def test_a_run_without_a_body(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/workflows/two/executions/sync")
    assert (answer.status_code, answer.json()["output"]) == (200, {"last": "second"})


async def test_a_run_that_failed_is_an_answer_and_no_problem(client: httpx.AsyncClient) -> None:
    run = await start(client, "bad")
    assert (run["status"], run["error"]["details"]["task"]) == ("FAILED", "bad")


async def test_sync_waits_no_longer_than_it_is_told(client: httpx.AsyncClient) -> None:
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


async def test_lists_go_on_where_the_page_before_ended(client: httpx.AsyncClient) -> None:
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
        # What begins meanwhile is newer than every page that follows.
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


@pytest.mark.parametrize("key", ["", "a" * 256, "\x01", "\t"])
async def test_keys_that_are_none(client: httpx.AsyncClient, key: str) -> None:
    check_problem(await client.post(f"{API}/workflows/echo/executions", headers={"idempotency-key": key}), 422)


async def test_input_that_does_not_fit(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/workflows/typed/executions", json={"input": {"n": "many"}})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "schema_mismatch")
    assert problem["details"]["problems"][0]["path"] == "n"


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\U0001f600", "\u202e", "'; DROP TABLE workflow_states; --"])
async def test_texts_come_back_as_they_went(client: httpx.AsyncClient, text: str) -> None:
    body = json.dumps({"input": {"text": text}}).encode()
    answer = await client.post(f"{API}/workflows/echo/executions/sync", content=body, headers=JSON)
    assert answer.status_code == 200
    assert json.loads(answer.content)["input"] == {"text": text}


WRONG_BODIES: dict[str, bytes] = {
    "empty object text": b"{",
    "no json": b"name=Ada",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "NaN": b'{"input": {"a": NaN}}',
    "infinity": b'{"input": {"a": 1e999}}',
    "no utf-8": b'{"input": {"a": "\xff"}}',
    "utf-16": '{"input": {}}'.encode("utf-16"),
    "deep": b'{"input": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a little too deep": b'{"input": ' + b"[" * 100 + b"]" * 100 + b"}",
    "unknown key": b'{"inputs": {}}',
    "input is a list": b'{"input": []}',
    "id is a number": b'{"execution_id": 1}',
    "id is empty": b'{"execution_id": ""}',
    "id is a path": b'{"execution_id": "../x"}',
    "id is long": b'{"execution_id": "' + b"a" * 129 + b'"}',
    "id is no ascii": '{"execution_id": "é"}'.encode(),
    "timeout is negative": b'{"timeout": -1}',
    "timeout is nothing": b'{"timeout": 0}',
    "timeout is endless": b'{"timeout": 1e300}',
    "timeout is a text": b'{"timeout": "soon"}',
    "definition from outside": b'{"definition": {"workflow": {}}}',
}


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES.keys())
@pytest.mark.parametrize("path", ["executions", "executions/sync"])
async def test_wrong_bodies(client: httpx.AsyncClient, service: Service, path: str, body: bytes) -> None:
    answer = await client.post(f"{API}/workflows/echo/{path}", content=body, headers=JSON)
    check_problem(answer, 400, 422)
    assert count_runs(service) == 0


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_bodies_are_json_only(client: httpx.AsyncClient, media_type: str) -> None:
    headers = {"content-type": media_type} if media_type else {}
    check_problem(await client.post(f"{API}/workflows/echo/executions", content=b"{}", headers=headers), 415)


async def test_bodies_are_limited(client: httpx.AsyncClient) -> None:
    large = b'{"input": {"a": "' + b"x" * (10 * 1024 * 1024) + b'"}}'
    check_problem(await client.post(f"{API}/workflows/echo/executions", content=large, headers=JSON), 413)

    async def stream() -> AsyncGenerator[bytes, None]:
        for _ in range(11):
            yield b" " * (1024 * 1024)

    check_problem(await client.post(f"{API}/workflows/echo/executions", content=stream(), headers=JSON), 413)


WRONG_PATHS = {
    "/": 200,
    "/nothing": 404,
    "/api/v1/workflows": 404,
    f"{API}": 404,
    f"{API}/workflows/": 404,
    f"{API}/workflows/..%2F..%2Fetc%2Fpasswd": 404,
    f"{API}/workflows/%00": 404,
    f"{API}/workflows/{'a' * 300}": 404,
    f"{RUNS}/none": 404,
    f"{RUNS}/%00": 404,
    f"{RUNS}/..%2Fx": 404,
    f"{RUNS}/a%20b": 404,
    f"{RUNS}/{'a' * 200}": 404,
    f"{RUNS}?limit=0": 422,
    f"{RUNS}?limit=1001": 422,
    f"{RUNS}?limit=ten": 422,
    f"{RUNS}?status=GONE": 422,
    f"{RUNS}?cursor=x": 422,
    f"{RUNS}?cursor=1": 422,
    f"{RUNS}?cursor=99999999999999999999.a": 422,
    f"{RUNS}?cursor=1.%27": 422,
    "/docs/..%2F..%2Fserve.py": 404,
}


@pytest.mark.parametrize(("path", "status"), WRONG_PATHS.items())
async def test_wrong_paths(client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path)
    if status == 200:
        assert answer.status_code == 200
    else:
        check_problem(answer, status)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_wrong_methods(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, f"{API}/workflows")
    check_problem(answer, 405)
    assert answer.headers["allow"] == "GET"
    assert "access-control-allow-origin" not in answer.headers
    both = await client.request(method, f"{API}/workflows/x/executions")
    assert both.headers["allow"] == "GET, POST"


async def test_a_defect_tells_its_kind_only(client: httpx.AsyncClient, service: Service) -> None:
    def broken() -> Any:
        raise RuntimeError("the secret is 42")

    service.workflows = broken
    with capture_logs() as logged:
        answer = await client.get(f"{API}/workflows")
    assert [entry["event"] for entry in logged] == ["a request broke", "request"]
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
    await asyncio.sleep(0.3)
    service.stopping.set()
    answer = await waiting
    check_problem(answer, 503)
    assert answer.json()["details"]["execution_id"]


async def test_the_page_needs_nobody_else(client: httpx.AsyncClient) -> None:
    for path, kind in (("/docs", "text/html"), ("/docs/docs.js", "text/javascript"), ("/docs/docs.css", "text/css")):
        answer = await client.get(path)
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "//" not in answer.text.replace("// ", "")


async def test_openapi_describes_every_path(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert sorted(document["paths"]) == sorted(
        [
            f"{API}/knowledge-bases",
            *(
                f"{API}/knowledge-bases/{{base_id}}{rest}"
                for rest in ("", "/check", "/documents", "/ingest", "/query", "/repair", "/retry")
            ),
            f"{API}/knowledge-bases/{{base_id}}/ingestions/{{execution_id}}",
            f"{API}/project",
            f"{API}/workflows",
            f"{API}/workflows/{{workflow_id}}",
            f"{API}/workflows/{{workflow_id}}/executions",
            f"{API}/workflows/{{workflow_id}}/graph",
            f"{API}/workflows/{{workflow_id}}/executions/sync",
            RUNS,
            f"{RUNS}/{{execution_id}}",
            *(
                f"{RUNS}/{{execution_id}}/{verb}"
                for verb in ("approve", "cancel", "pause", "requests", "rerun", "resume", "signals")
            ),
            "/healthz",
            "/readyz",
        ]
    )
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in json.dumps(document)


def check_problem(answer: httpx.Response, *statuses: int) -> None:
    """Fail unless this is a problem of one of these states, in words of ours."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["detail"]
    assert document["code"]
    assert "Traceback" not in answer.text


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
        for _ in range(200):
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


async def test_hints_are_for_http_clients_and_commands_have_their_own(client: httpx.AsyncClient) -> None:
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


async def test_requests_are_logged_as_fields_and_polling_is_not_news(client: httpx.AsyncClient) -> None:
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
