"""The MCP server at `/mcp`: workflows as tools, in both eras of the protocol and on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from inline_snapshot import snapshot
from mcp import MCPError
from mcp_types import CallToolResult, ElicitResult
from starlette.types import ASGIApp

from compozy.server.entry import new_entries
from compozy.server.gate import GuardSettings
from compozy.server.http import make_http
from compozy.server.mcp.questions import AskedState
from compozy.server.service import Service, StartRequest
from tests.harness.mcpclient import ACCEPT, HANDSHAKE, Era, RawClient, connect, text_of
from tests.harness.projects import write_project
from tests.harness.stores import open_store
from tests.integration.server.conftest import API, DRIVERS, LOOPBACK, count_runs, make_client
from tests.integration.server.mcp_projects import (
    FORM,
    NAME,
    NESTED,
    OFFERED,
    RESPONSES,
    ask,
    call,
    leave,
    resume,
    run_of,
    serving,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[tuple[Service, ASGIApp]]:
    """One server for all tests of a database."""
    folder = tmp_path_factory.mktemp("served")
    with open_store(request.param, folder) as store:
        write_project(folder, OFFERED, responses=RESPONSES, database=store.section)
        async with serving(folder) as found:
            yield found


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_workflow_is_a_tool(served: tuple[Service, ASGIApp], era: Era) -> None:
    async with connect(served[1], era=era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await call(client, "say_hello", {"name": "Ada"})

    assert list(tools) == [
        *("fails", "say_hello", "nested", "patient", "refund", "slow"),
        *("get_run", "wait_run", "answer_run", "cancel_run"),
    ]
    assert (tools["say_hello"].title, tools["say_hello"].description) == ("Greeting", "Greets a person.")
    assert tools["say_hello"].input_schema == NAME
    assert tools["refund"].description == "Refunds an order."
    assert tools["fails"].input_schema == {"type": "object"}
    assert (result.is_error, result.structured_content) == (False, {"text": "Hello, Ada!"})
    assert text_of(result) == '{"text": "Hello, Ada!"}'


async def test_errors_that_a_model_can_correct_are_results(served: tuple[Service, ASGIApp]) -> None:
    service, app = served
    hidden, _ = await service.start(StartRequest(workflow_id="hidden", body={}))
    async with connect(app) as client:
        invalid = await call(client, "say_hello", {"n": "three"})
        failed = await call(client, "fails", {})
        unknown = await call(client, "get_run", {"run_id": "nothing"})
        foreign = await call(client, "get_run", {"run_id": hidden["execution_id"]})
        misused = await call(client, "wait_run", {"timeout_s": -1})
        with pytest.raises(MCPError, match="Unknown tool: hidden"):
            await call(client, "hidden", {})

    assert all(result.is_error for result in (invalid, failed, unknown, foreign, misused))
    assert text_of(invalid) == snapshot("""\
the input does not match the schema of workflow 'greet':
  n: expected a whole number, got 'three'\
""")
    assert text_of(failed).splitlines()[0] == snapshot(
        "Workflow 'fails' ended as FAILED: provider 's' answered with its scripted error: boom"
    )
    assert text_of(unknown) == "execution 'nothing' not found in this database"
    assert text_of(foreign) == f"execution {hidden['execution_id']!r} not found in this database"
    assert text_of(misused) == snapshot("""\
the arguments do not match the schema of tool 'wait_run':
  arguments: missing key 'run_id'
  timeout_s: expected at least 0, got -1\
""")


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_key_names_one_run(served: tuple[Service, ASGIApp], era: Era) -> None:
    service, app = served
    key = {"compozy/idempotencyKey": f"order-{era}"}
    before = count_runs(service)
    async with connect(app, era=era) as client:
        results = [await call(client, "say_hello", {"name": "Ada"}, **key) for _ in range(2)]
        results += await asyncio.gather(*(call(client, "say_hello", {"name": "Ada"}, **key) for _ in range(5)))
        other = await call(client, "say_hello", {"name": "Bob"}, **key)
        with pytest.raises(MCPError, match="must be a text of 1 to 255"):
            await call(client, "say_hello", {}, **{"compozy/idempotencyKey": ""})

    assert {run_of(result) for result in results} == {run_of(results[0])}
    assert other.is_error
    assert f"the idempotency key 'order-{era}' was used for a call with other arguments" in text_of(other)
    assert count_runs(service) - before == 1


async def test_a_run_that_takes_longer_is_followed_and_canceled(served: tuple[Service, ASGIApp]) -> None:
    async with connect(served[1]) as client:
        started = await call(client, "slow", {})
        late = await call(client, "patient", {})
        found = await call(client, "get_run", {"run_id": run_of(started)})
        waited = await call(client, "wait_run", {"run_id": run_of(late), "timeout_s": 0.2})
        ends = [await call(client, "cancel_run", {"run_id": run_of(each)}) for each in (started, late)]
        again = await call(client, "cancel_run", {"run_id": run_of(late), "reason": "not needed"})

    for open_run in (started, late, found, waited):
        assert not open_run.is_error
        assert "is still running. Call `wait_run` with this `run_id`" in text_of(open_run)
        assert open_run.structured_content["output"] is None
    assert [end.structured_content["status"] for end in (*ends, again)] == ["CANCELED"] * 3
    assert ends[0].structured_content["error"]["message"] == "canceled by an MCP client"


async def test_a_question_is_sent_to_the_person(served: tuple[Service, ASGIApp]) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def answer(message: str, fields: dict[str, Any]) -> ElicitResult:
        asked.append((message, fields))
        return ElicitResult(
            action="accept", content={"approve": len(asked) > 1, "note": "ok"} if len(asked) > 1 else {}
        )

    async with connect(served[1], answer=answer) as client:
        result = await call(client, "refund", {})

    assert not result.is_error
    assert result.structured_content == {"approved": True}
    # The first answer lacked a required field.
    assert asked[0] == (
        "Refund 12 EUR?",
        snapshot(
            {
                "properties": {"approve": {"type": "boolean"}, "note": {"type": "string"}},
                "required": ["approve"],
                "type": "object",
            }
        ),
    )
    assert asked[1][0] == snapshot("""\
the answer does not match the form of task 'approve':
  answer: missing key 'approve'
Refund 12 EUR?\
""")


async def test_a_person_who_declines_leaves_the_run_waiting(served: tuple[Service, ASGIApp]) -> None:
    async with connect(served[1], answer=decline) as client:
        declined = await call(client, "refund", {})
        run_id = run_of(declined)
        wrong = await call(client, "answer_run", {"run_id": run_id, "answer": {"approve": "maybe"}})
        await call(client, "answer_run", {"run_id": run_id, "answer": {"approve": False}, "task": "approve"})
        ended = await call(client, "wait_run", {"run_id": run_id})
        twice = await call(client, "answer_run", {"run_id": run_id, "answer": {"approve": True}})

    assert not declined.is_error
    assert text_of(declined).startswith("The person did not answer.\nRun ")
    assert (wrong.is_error, text_of(wrong)) == (
        True,
        snapshot("""\
the answer does not match the form of task 'approve':
  approve: expected true or false, got 'maybe'\
"""),
    )
    assert (ended.structured_content["status"], ended.structured_content["output"]) == ("SUCCESS", {"approved": False})
    assert twice.is_error
    assert "is not waiting for an answer: it ended as SUCCESS" in text_of(twice)


@pytest.mark.parametrize(("tool", "era"), [("refund", "legacy"), ("refund", "auto"), ("nested", "auto")])
async def test_a_client_that_cannot_ask_gets_the_run_and_the_tool(
    served: tuple[Service, ASGIApp], tool: str, era: Era
) -> None:
    """The same applies to a client whose person would have to fill in more than fields."""
    answer = leave if tool == "nested" else None
    async with connect(served[1], era=era, answer=answer) as client:
        waiting = await call(client, tool, {})
        run_id = run_of(waiting)
        given = {"approve": True} if tool == "refund" else {"lines": [1]}
        answered = await call(client, "answer_run", {"run_id": run_id, "answer": given})
        ended = await call(client, "wait_run", {"run_id": run_id})

    assert not waiting.is_error
    first, second, third = text_of(waiting).splitlines()
    assert first.startswith(f"Run {run_id} waits for a person. Ask the user, then call `answer_run` with this `run_id`")
    assert second in {"- task 'approve': Refund 12 EUR?", "- task 'fill': Task 'fill' waits for an answer."}
    assert json.loads(third.removeprefix("  form: ")) == (FORM if tool == "refund" else NESTED)
    (question,) = waiting.structured_content["questions"]
    assert question["form"] == (FORM if tool == "refund" else NESTED)
    assert not answered.is_error
    assert ended.structured_content["status"] == "SUCCESS"


async def test_a_state_belongs_to_its_call(served: tuple[Service, ASGIApp]) -> None:
    yes = {"approve": ElicitResult(action="accept", content={"approve": True})}
    async with connect(served[1], answer=leave) as client:
        asked = await ask(client, "refund", {})
        other = await ask(client, "refund", {})
        assert asked.request_state is not None
        for arguments, state in (({"x": 1}, asked.request_state), ({}, "eyJ2IjogMX0="), ({}, "%"), ({}, "a" * 20_000)):
            with pytest.raises(MCPError, match="Invalid requestState"):
                await resume(client, "refund", arguments, yes, state)
        with pytest.raises(MCPError, match="Invalid requestState"):
            await resume(client, "nested", {}, yes, asked.request_state)
        # Twice: a client repeats the call after its connection broke.
        results = [await resume(client, "refund", {}, yes, asked.request_state) for _ in range(2)]
        still = await call(client, "get_run", {"run_id": AskedState.decode(str(other.request_state)).execution_id})

    assert [result.structured_content for result in results if isinstance(result, CallToolResult)] == [
        {"approved": True},
        {"approved": True},
    ]
    assert still.structured_content["questions"][0]["task"] == "approve"


async def test_raw_messages_of_the_handshake_era(served: tuple[Service, ASGIApp]) -> None:
    raw = RawClient(app=served[1])
    hello = await raw.ask(
        "initialize",
        {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
    )
    listed = await raw.ask("tools/list")
    result = await raw.call("say_hello", {"name": "Ada"})
    unknown = await raw.call("nothing", {})

    assert hello["protocolVersion"] == HANDSHAKE
    assert hello["serverInfo"]["name"] == "demo"
    assert "wait_run" in hello["instructions"]
    assert len(listed["tools"]) == 10
    assert result["structuredContent"] == {"text": "Hello, Ada!"}
    assert unknown["message"] == "Unknown tool: nothing"
    for verb in ("GET", "DELETE"):
        refused = await raw.send(verb, b"", **ACCEPT)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_the_guard_is_that_of_the_api(served: tuple[Service, ASGIApp]) -> None:
    service, _ = served
    entries = new_entries(service)
    app = make_http(service, GuardSettings(host="127.0.0.1", api_key="secret"), entries)
    with_key = RawClient(app=app, headers={"authorization": "Bearer secret"})
    try:
        none = await RawClient(app=app).post("tools/list")
        wrong = await RawClient(app=app, headers={"authorization": "Bearer wrong"}).post("tools/list")
        origin = await with_key.post("tools/list", origin="http://evil.example")
        host = await with_key.post("tools/list", host="evil.example")
        text = await with_key.post("tools/list", content_type="text/plain")
        large = await with_key.post("tools/list", {"text": "x" * 11_000_000})
        right = await with_key.ask("tools/list")
        async with connect(app, api_key="secret") as client:
            modern = await client.list_tools()
            await call(client, "say_hello", {"name": "Eva"})
        async with make_client(service, LOOPBACK) as asks:
            newest = (await asks.get(f"{API}/executions/workflows?limit=1")).json()["executions"][0]
    finally:
        for entry in entries:
            await entry.aclose()

    assert [answer.status_code for answer in (none, wrong, origin, host, text, large)] == [401, 401, 403, 403, 415, 413]
    assert len(right["tools"]) == len(modern.tools) == 10
    assert newest["trigger"] == {"type": "mcp", "id": None, "by": "server.api_key"}


async def test_a_client_that_leaves_does_not_end_its_run(served: tuple[Service, ASGIApp]) -> None:
    service, app = served
    before = count_runs(service)
    async with connect(app) as client:
        leaving = asyncio.create_task(call(client, "refund", {}, **{"compozy/idempotencyKey": "left"}))
        for _ in range(3000):
            if count_runs(service) > before:
                break
            await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    async with connect(app) as client:
        found = await call(client, "refund", {}, **{"compozy/idempotencyKey": "left"})

    assert found.structured_content["status"] in {"RUNNING", "WAITING"}
    assert count_runs(service) == before + 1


def decline(_: str, __: dict[str, Any]) -> ElicitResult:
    """Answer like a person who declines."""
    return ElicitResult(action="decline")
