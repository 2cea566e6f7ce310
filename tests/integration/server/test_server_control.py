"""Verbs on started runs over HTTP, on both drivers: approve, signal, pause, resume, cancel, rerun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from compozy.app import SERVER, open_app
from compozy.project.load import load_project
from compozy.server.gate import GuardSettings
from compozy.server.service import Service
from compozy.storage import close_storage, open_storage
from compozy.task.report import Silence
from compozy.workflow import operate
from tests.harness.projects import write_project
from tests.harness.stores import open_store
from tests.integration.server.conftest import API, make_client

FORM = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
FLOWS: dict[str, Any] = {
    "approval": {
        "tasks": [
            {"id": "draft", "prompt": "a"},
            {"id": "review", "type": "wait", "wait_for": "review", "form": FORM},
            {"id": "done", "with": {"ok": "{{ .tasks.review.output.payload.ok }}"}},
        ],
        "output": {"ok": "{{ .tasks.done.output.ok }}"},
    },
    "strict": {
        "tasks": [
            {"id": "review", "type": "wait", "wait_for": "r", "form": FORM, "condition": "signal.payload.ok == true"}
        ]
    },
    "two-waits": {
        "tasks": [
            {"id": "first", "type": "wait", "wait_for": "go", "condition": "signal.payload.n > 1"},
            {"id": "second", "type": "wait", "wait_for": "go"},
        ],
        "output": {"n": ["{{ .tasks.first.output.payload.n }}", "{{ .tasks.second.output.payload.n }}"]},
    },
    "slow": {"tasks": [{"id": "one", "prompt": "b"}, {"id": "two", "with": {"x": 1}}]},
    "fails": {
        "tasks": [
            {"id": "draft", "prompt": "a"},
            {
                "id": "both",
                "type": "parallel",
                "tasks": [{"id": "l", "with": {"v": 1}}, {"id": "r", "with": {"v": 2}}],
            },
            {"id": "last", "with": {"v": "{{ .tasks.both.children.r.output.v }}", "n": "{{ .input.n }}"}},
        ],
        "output": {"v": "{{ .tasks.last.output.v }}"},
    },
}
RESPONSES = {"draft": {"text": "a draft"}, "one": {"text": "slow", "delay_ms": 4000}}


@pytest.fixture(params=["sqlite", "postgres"])
async def service(
    request: pytest.FixtureRequest, tmp_path: Path, clean_environ: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Service, None]:
    """The service on a new project with runs that wait."""
    # A pause is answered when it has taken effect, even on a slow machine.
    monkeypatch.setattr(operate, "_PATIENCE_S", 120.0)
    with open_store(request.param, tmp_path) as store:
        write_project(tmp_path, FLOWS, responses=RESPONSES, database=store.section)
        project = load_project(None, cwd=tmp_path, environ={})
        database = open_storage(project, wait_for_lock_s=0.0)
        try:
            async with open_app(project, database, role=SERVER, report=Silence()) as app:
                yield Service(app=app)
        finally:
            close_storage(database)


@pytest.fixture
async def client(service: Service) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client without a key that calls the application on loopback."""
    async with make_client(service, GuardSettings(host="127.0.0.1", api_key=None)) as made:
        yield made


async def begin(client: httpx.AsyncClient, workflow: str, **body: Any) -> str:
    answer = await client.post(f"{API}/workflows/{workflow}/executions", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["execution_id"]


async def post(client: httpx.AsyncClient, run_id: str, verb: str, body: Any = None) -> httpx.Response:
    return await client.post(f"{API}/executions/workflows/{run_id}/{verb}", json=body)


async def until(client: httpx.AsyncClient, run_id: str, *statuses: str, task: str | None = None) -> dict[str, Any]:
    """Return the run as soon as it, or its `task`, is in one of the states."""
    while True:
        run = (await client.get(f"{API}/executions/workflows/{run_id}")).json()
        found = [row["status"] for row in run["tasks"] if row["path"] == task] if task else [run["status"]]
        if found and found[0] in statuses:
            return run
        assert run["status"] not in {"SUCCESS", "FAILED", "CANCELED", "TIMED_OUT"}, run
        await asyncio.sleep(0.02)


async def test_an_approval(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "approval")
    early = await post(client, run_id, "approve", {"input": {"ok": True}, "task": "none"})
    assert early.status_code == 404
    run = await until(client, run_id, "WAITING", task="review")
    assert run["tasks"][1]["waits_for"] == "review"
    assert run["tasks"][1]["output"]["form"] == FORM
    wrong = await post(client, run_id, "approve", {"input": {"ok": "yes"}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "schema_mismatch")
    taken = await post(client, run_id, "approve", {"input": {"ok": True}})
    assert taken.status_code == 202
    again = await post(client, run_id, "approve", {"input": {"ok": False}})
    assert again.status_code in {404, 409}
    run = await until(client, run_id, "SUCCESS")
    assert run["output"] == {"ok": True}
    assert (await post(client, run_id, "approve", {"input": {"ok": True}})).status_code == 409


async def test_an_answer_that_the_condition_refuses_can_be_given_again(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "strict")
    await until(client, run_id, "WAITING", task="review")
    assert (await post(client, run_id, "approve", {"input": {"ok": False}})).status_code == 202
    while (again := await post(client, run_id, "approve", {"input": {"ok": True}})).status_code == 409:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert again.status_code == 202
    assert (await until(client, run_id, "SUCCESS"))["output"]["review"]["payload"] == {"ok": True}


async def test_a_waiting_run_releases_its_slot_and_is_woken(client: httpx.AsyncClient, service: Service) -> None:
    run_id = await begin(client, "approval")
    await until(client, run_id, "WAITING")
    while run_id in service.app.runtime.in_hand():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.05)
    assert (await post(client, run_id, "approve", {"input": {"ok": False}})).status_code == 202
    run = await until(client, run_id, "SUCCESS")
    assert run["output"] == {"ok": False}
    # The draft was written once.
    assert run["usage"][0]["requests"] == 1


async def test_signals_are_taken_once_and_in_order_even_if_they_come_before_the_wait(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "two-waits")
    for number in (1, 2, 3):
        sent = await post(client, run_id, "signals", {"name": "go", "payload": {"n": number}, "id": f"s-{number}"})
        assert (sent.status_code, sent.json()["is_new"]) == (202, True)
        twice = await post(client, run_id, "signals", {"name": "go", "payload": {"n": 99}, "id": f"s-{number}"})
        assert twice.status_code in {202, 409}
        assert twice.status_code == 409 or not twice.json()["is_new"]
    run = await until(client, run_id, "SUCCESS")
    # The condition refused the first one.
    assert run["output"] == {"n": [2, 3]}
    assert (await post(client, run_id, "signals", {"name": "go"})).status_code == 409


async def test_a_plain_signal_must_match_the_form(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "approval")
    await until(client, run_id, "WAITING", task="review")
    wrong = await post(client, run_id, "signals", {"name": "review", "payload": {"ok": "yes"}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "schema_mismatch")
    assert "the payload does not match the form of task 'review'" in wrong.json()["detail"]
    assert [problem["path"] for problem in wrong.json()["details"]["problems"]] == ["ok"]
    assert (await post(client, run_id, "signals", {"name": "review", "payload": {"ok": True}})).status_code == 202
    assert (await until(client, run_id, "SUCCESS"))["output"] == {"ok": True}


async def test_an_answer_to_a_paused_run_is_stored(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "approval")
    run = await until(client, run_id, "WAITING", task="review")
    assert not run["tasks"][1]["signal_arrived"]
    await post(client, run_id, "pause")
    await until(client, run_id, "PAUSED")
    assert (await post(client, run_id, "approve", {"input": {"ok": True}})).status_code == 202
    run = await until(client, run_id, "PAUSED")
    assert (run["tasks"][1]["waits_for"], run["tasks"][1]["signal_arrived"]) == ("review", True)
    assert (await post(client, run_id, "approve", {"input": {"ok": True}})).status_code == 409
    await post(client, run_id, "resume")
    assert not (await until(client, run_id, "SUCCESS"))["tasks"][1]["signal_arrived"]


async def test_a_signal_without_a_waiting_task(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "two-waits")
    answer = await post(client, run_id, "signals", {"name": "og"})
    assert (answer.status_code, answer.json()["hint"]) == (404, "did you mean 'go'?") or "go" in answer.json()["hint"]
    assert (await post(client, "none", "signals", {"name": "go"})).status_code == 404
    assert (await post(client, run_id, "signals", {"name": ""})).status_code == 422
    assert (await post(client, run_id, "cancel")).json()["status"] == "CANCELED"


async def test_pause_and_resume(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "slow")
    await until(client, run_id, "RUNNING", task="one")
    paused = (await post(client, run_id, "pause")).json()
    # The answer of the model in progress is kept.
    assert paused["status"] == "PAUSED"
    assert (await post(client, run_id, "pause")).json()["status"] == "PAUSED"
    resumed = await post(client, run_id, "resume")
    assert resumed.status_code == 200
    run = await until(client, run_id, "SUCCESS")
    assert run["usage"][0]["requests"] == 1
    assert (await post(client, run_id, "resume")).status_code == 409
    assert (await post(client, run_id, "pause")).status_code == 409


async def test_a_paused_run_that_waits_takes_its_signal_after_it_is_resumed(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "approval")
    await until(client, run_id, "WAITING", task="review")
    assert (await post(client, run_id, "pause")).json()["status"] == "PAUSED"
    assert (await post(client, run_id, "approve", {"input": {"ok": True}})).status_code == 202
    await asyncio.sleep(0.5)
    assert (await until(client, run_id, "PAUSED"))["status"] == "PAUSED"
    await post(client, run_id, "resume")
    assert (await until(client, run_id, "SUCCESS"))["output"] == {"ok": True}


async def test_cancel_stops_a_request_to_a_model(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "slow")
    await until(client, run_id, "RUNNING", task="one")
    canceled = (await post(client, run_id, "cancel", {"reason": "no more"})).json()
    assert (canceled["status"], canceled["error"]["message"]) == ("CANCELED", "no more")
    assert [task["status"] for task in canceled["tasks"]] == ["CANCELED"]


async def test_a_rerun_keeps_earlier_results(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "fails")
    failed = await until(client, run_id, "FAILED")
    assert failed["error"]["details"]["task"] == "last"
    answer = await post(client, run_id, "rerun", {"input": {"n": 5}, "from": "last", "execution_id": "again"})
    assert answer.status_code == 202, answer.text
    run = await until(client, "again", "SUCCESS")
    assert (run["output"], run["rerun_of"], run["input"]) == ({"v": 2}, run_id, {"n": 5})
    assert [(task["path"], task["attempts"]) for task in run["tasks"]] == [("draft", 0), ("both", 0), ("last", 1)]
    # No request was repeated.
    assert run["usage"] == []
    from_failed = await post(client, run_id, "rerun", {"execution_id": "same-input"})
    assert from_failed.status_code == 202
    assert (await until(client, "same-input", "FAILED"))["tasks"][0]["attempts"] == 0
    anew = await post(client, run_id, "rerun", {"input": {"n": 1}, "execution_id": "anew"})
    assert anew.status_code == 202
    run = await until(client, "anew", "SUCCESS")
    assert run["usage"][0]["requests"] == 1


async def test_an_invalid_rerun(client: httpx.AsyncClient) -> None:
    run_id = await begin(client, "approval")
    await until(client, run_id, "WAITING", task="review")
    assert (await post(client, run_id, "rerun")).status_code == 409
    await post(client, run_id, "cancel")
    unknown = await post(client, run_id, "rerun", {"from": "drafd"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (await post(client, "none", "rerun")).status_code == 404


@pytest.mark.parametrize("begin_with", ["both/r", "both/gone", "r"])
async def test_a_rerun_does_not_start_inside_of_a_container(client: httpx.AsyncClient, begin_with: str) -> None:
    run_id = await begin(client, "fails", input={})
    await until(client, run_id, "FAILED")
    refused = await post(client, run_id, "rerun", {"from": begin_with})
    assert refused.status_code == 404
    assert "it is inside of 'both', which is done again as a whole" in refused.json()["detail"]
    assert refused.json()["hint"] == 'begin with the container: `"from": "both"` in the body'
    assert refused.json()["command_hint"] == "begin with the container: --from both"
