"""The API v0: responses of each path, also to invalid requests, all from one server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator

import httpx
import pytest

from compozy.server.permissions import ROUTES
from compozy.server.service import Service
from tests.integration.server.conftest import API, JSON, RUNS, check_problem, count_runs, start, until_ended

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_project_contains_no_location(shared_client: httpx.AsyncClient, shared_service: Service) -> None:
    answer = await shared_client.get(f"{API}/project")
    document = answer.json()
    assert document["name"] == "demo"
    assert document["database"]["driver"] == shared_service.app.project.database.driver
    assert str(shared_service.app.project.root) not in answer.text
    assert shared_service.app.database.location not in answer.text


async def test_workflows(shared_client: httpx.AsyncClient) -> None:
    listed = (await shared_client.get(f"{API}/workflows")).json()["workflows"]
    names = [workflow["id"] for workflow in listed if not workflow["id"].startswith("costly-")]
    assert names == ["bad", "echo", "slow", "two", "typed"]
    two = (await shared_client.get(f"{API}/workflows/two")).json()
    known = {"id": "two", "name": None, "description": None, "file": two["file"], "tasks": ["one", "two"], "chat": None}
    assert two == {**known, "input_schema": None}
    assert known in listed
    typed = (await shared_client.get(f"{API}/workflows/typed")).json()
    assert typed["input_schema"]["type"] == "object"


async def test_input_keys_that_the_schema_does_not_list_are_named(shared_client: httpx.AsyncClient) -> None:
    schema = (await shared_client.get(f"{API}/workflows/typed")).json()["input_schema"]
    key = next(iter(schema["properties"]))
    run = await start(shared_client, "typed", input={key: 1, f"{key}x": 2})
    assert run["warnings"] == [f"the input schema of workflow 'typed' does not list '{key}x' (did you mean '{key}'?)"]


async def test_an_unknown_workflow(shared_client: httpx.AsyncClient) -> None:
    assert (await shared_client.get(f"{API}/workflows/tow")).json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no workflow 'tow' in project 'demo'",
        "code": "not_found",
        "hint": "did you mean 'two'?",
    }


async def test_the_drawing_of_a_workflow(shared_client: httpx.AsyncClient) -> None:
    answer = await shared_client.get(f"{API}/workflows/two/graph")
    document = answer.json()
    assert document["text"] == "two\n├─ one  → two\n└─ two  → end\n"
    assert document["mermaid"].startswith("flowchart TD\n")
    chart = await shared_client.get(f"{API}/workflows/two/graph", headers={"accept": "text/vnd.mermaid"})
    assert chart.headers["content-type"] == "text/vnd.mermaid; charset=utf-8"
    assert chart.text == document["mermaid"]
    assert (await shared_client.get(f"{API}/workflows/tow/graph")).status_code == 404


async def test_a_run_is_accepted_and_ends(shared_client: httpx.AsyncClient) -> None:
    accepted = await shared_client.post(f"{API}/workflows/two/executions", json={"input": {"name": "Ada"}})
    assert accepted.status_code == 202
    document = accepted.json()
    assert accepted.headers["location"] == f"{RUNS}/{document['execution_id']}"
    run = await until_ended(shared_client, accepted.headers["location"])
    assert (run["status"], run["output"]) == ("SUCCESS", {"last": "second"})
    assert [task["task_id"] for task in run["tasks"]] == ["one", "two"]
    assert run["input"] == {"name": "Ada"}


async def test_a_run_without_a_body(shared_client: httpx.AsyncClient) -> None:
    answer = await shared_client.post(f"{API}/workflows/two/executions/sync")
    assert (answer.status_code, answer.json()["output"]) == (200, {"last": "second"})


async def test_a_failed_run_is_an_answer_and_not_a_problem(shared_client: httpx.AsyncClient) -> None:
    run = await start(shared_client, "bad")
    assert (run["status"], run["error"]["details"]["task"]) == ("FAILED", "bad")


@pytest.mark.parametrize("key", ["", "a" * 256, "\x01", "\t"])
async def test_invalid_keys(shared_client: httpx.AsyncClient, key: str) -> None:
    check_problem(await shared_client.post(f"{API}/workflows/echo/executions", headers={"idempotency-key": key}), 422)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=1001", "query.limit: expected at most 1000"),
        ("limit=many", "query.limit: expected a whole number"),
        (f"q={'a' * 300}", "query.q: expected at most 200 characters"),
        ("cursor=A", "query.cursor: expected the `next_cursor` of a page"),
        ("&".join(f"label=a{number}" for number in range(40)), "query.label: expected at most 32 items"),
    ],
)
async def test_invalid_parameters_are_described_as_values_of_files_are(
    shared_client: httpx.AsyncClient, query: str, message: str
) -> None:
    assert (await shared_client.get(f"{RUNS}?{query}")).json()["detail"] == message


async def test_input_that_violates_the_schema(shared_client: httpx.AsyncClient) -> None:
    answer = await shared_client.post(f"{API}/workflows/typed/executions", json={"input": {"n": "many"}})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "schema_mismatch")
    assert problem["details"]["problems"][0]["path"] == "n"


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\U0001f600", "\u202e", "'; DROP TABLE workflow_states; --"])
async def test_texts_are_returned_unchanged(shared_client: httpx.AsyncClient, text: str) -> None:
    body = json.dumps({"input": {"text": text}}).encode()
    answer = await shared_client.post(f"{API}/workflows/echo/executions/sync", content=body, headers=JSON)
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
async def test_wrong_bodies(shared_client: httpx.AsyncClient, shared_service: Service, path: str, body: bytes) -> None:
    before = count_runs(shared_service)
    answer = await shared_client.post(f"{API}/workflows/echo/{path}", content=body, headers=JSON)
    check_problem(answer, 400, 422)
    assert count_runs(shared_service) == before


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_bodies_are_json_only(shared_client: httpx.AsyncClient, media_type: str) -> None:
    headers = {"content-type": media_type} if media_type else {}
    check_problem(await shared_client.post(f"{API}/workflows/echo/executions", content=b"{}", headers=headers), 415)


async def test_bodies_are_limited(shared_client: httpx.AsyncClient) -> None:
    large = b'{"input": {"a": "' + b"x" * (10 * 1024 * 1024) + b'"}}'
    check_problem(await shared_client.post(f"{API}/workflows/echo/executions", content=large, headers=JSON), 413)

    async def stream() -> AsyncGenerator[bytes, None]:
        for _ in range(11):
            yield b" " * (1024 * 1024)

    check_problem(await shared_client.post(f"{API}/workflows/echo/executions", content=stream(), headers=JSON), 413)


WRONG_PATHS = {
    "/ui/": 200,
    "/ui/assets/none.js": 404,
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
async def test_wrong_paths(shared_client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await shared_client.get(path)
    if status == 200:
        assert answer.status_code == 200
    else:
        check_problem(answer, status)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_wrong_methods(shared_client: httpx.AsyncClient, method: str) -> None:
    answer = await shared_client.request(method, f"{API}/workflows")
    check_problem(answer, 405)
    assert answer.headers["allow"] == "GET"
    assert "access-control-allow-origin" not in answer.headers
    both = await shared_client.request(method, f"{API}/workflows/x/executions")
    assert both.headers["allow"] == "GET, POST"


async def test_the_page_loads_nothing_from_elsewhere(shared_client: httpx.AsyncClient) -> None:
    for path, kind in (("/docs", "text/html"), ("/docs/docs.js", "text/javascript"), ("/docs/docs.css", "text/css")):
        answer = await shared_client.get(path)
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "//" not in answer.text.replace("// ", "")


async def test_openapi_describes_every_path(shared_client: httpx.AsyncClient) -> None:
    document = (await shared_client.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    known = {(method, path.replace(":path}", "}")) for method, path in ROUTES}
    own = ("/", "/ui", "/ui/{path}", "/docs", "/docs/docs.css", "/docs/docs.js", "/openapi.json")
    pages = {("GET", path) for path in own}
    entries = {("POST", "/mcp"), ("POST", f"{API}/hooks/{{slug}}")}
    assert described == known - pages - entries
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in json.dumps(document)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z_]{1,40}", name) for name in names)
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in document["tags"]}
    assert document["security"] == [{"bearer": []}, {}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert {"Location", "Idempotency-Replayed"} == set(
        document["paths"][f"{API}/workflows/{{workflow_id}}/executions"]["post"]["responses"]["202"]["headers"]
    )


async def test_an_unchanged_response_is_not_sent_again(shared_client: httpx.AsyncClient) -> None:
    run_id = (await start(shared_client, "two"))["execution_id"]
    for path in ("", "/definition", "/graph", "/messages", "/tasks/one"):
        first = await shared_client.get(f"{RUNS}/{run_id}{path}")
        tag = first.headers["etag"]
        for known in (tag, f'"x", W/{tag}'):
            again = await shared_client.get(f"{RUNS}/{run_id}{path}", headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        changed = await shared_client.get(f"{RUNS}/{run_id}{path}", headers={"if-none-match": '"x"'})
        assert (changed.status_code, changed.content) == (200, first.content)


async def test_head_answers_like_get_without_the_body(shared_client: httpx.AsyncClient) -> None:
    run_id = (await start(shared_client, "two"))["execution_id"]
    for path in (f"{RUNS}/{run_id}", f"{API}/workflows", "/healthz", f"{RUNS}/none"):
        got, head = await shared_client.get(path), await shared_client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-length"] == str(len(got.content))
        assert head.headers["content-type"] == got.headers["content-type"]
    assert (await shared_client.head(f"{RUNS}/{run_id}/stream")).status_code == 405


async def test_parts_of_an_execution(shared_client: httpx.AsyncClient) -> None:
    run = await start(shared_client, "two", input={"name": "Ada"})
    path = f"{RUNS}/{run['execution_id']}"
    assert (await shared_client.get(f"{path}/tasks/two")).json() == run["tasks"][1]
    check_problem(await shared_client.get(f"{path}/tasks/tow"), 404)
    check_problem(await shared_client.get(f"{path}/tasks/a/b%00"), 404)
    messages = (await shared_client.get(f"{path}/messages")).json()["messages"]
    assert [(message["path"], message["role"], message["content"]) for message in messages] == [
        ("one", "user", "hello Ada"),
        ("one", "assistant", "first"),
        ("two", "user", "after first"),
        ("two", "assistant", "second"),
    ]
    definition = (await shared_client.get(f"{path}/definition")).json()
    assert (definition["kind"], definition["file"]) == ("workflow", "workflows/two.yaml")
    assert [task["id"] for task in definition["workflow"]["tasks"]] == ["one", "two"]
    graph = (await shared_client.get(f"{path}/graph")).json()
    assert [(node["path"], node["status"]) for node in graph["nodes"]] == [("one", "SUCCESS"), ("two", "SUCCESS")]
    assert graph["edges"] == [{"source": "one", "target": "two", "label": "", "on_failure": False}]
    for part in ("tasks/one", "messages", "definition", "graph"):
        check_problem(await shared_client.get(f"{RUNS}/none/{part}"), 404)
        check_problem(await shared_client.get(f"{RUNS}/%00/{part}"), 404)
