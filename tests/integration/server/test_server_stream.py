"""Server-sent events of executions, without a socket on both drivers."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from compozy.database.changes import note_change
from compozy.database.postgres_texts import payloads_of
from compozy.server.service import Service
from compozy.server.watch import Watch
from tests.integration.server.conftest import API, RUNS, check_problem, start


@dataclass(frozen=True)
class Sent:
    """One event as it was received."""

    name: str
    id: str | None
    data: Any


def parse(text: str) -> list[Sent]:
    """Read a whole stream."""
    found: list[Sent] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append(Sent(fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


async def log_of(client: httpx.AsyncClient, run_id: str) -> list[dict[str, Any]]:
    """Return the event log."""
    return (await client.get(f"{RUNS}/{run_id}/events")).json()["events"]


async def test_a_stream_is_the_log_and_then_the_end(client: httpx.AsyncClient) -> None:
    run_id = (await start(client, "two"))["execution_id"]
    log = await log_of(client, run_id)
    answer = await client.get(f"{RUNS}/{run_id}/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")
    *sent, end = parse(answer.text)
    assert [event.data for event in sent] == [{"execution_id": run_id, **event} for event in log]
    assert [(event.name, event.id) for event in sent] == [(event["kind"], str(event["seq"])) for event in log]
    assert end == Sent("complete", None, {"execution_id": run_id, "status": "SUCCESS"})
    for known in range(len(log) + 1):
        rest = parse((await client.get(f"{RUNS}/{run_id}/stream", headers={"Last-Event-ID": str(known)})).text)
        assert rest == [*sent[known:], end]
    assert parse((await client.get(f"{RUNS}/{run_id}/stream?after=2")).text) == [*sent[2:], end]
    only = parse((await client.get(f"{RUNS}/{run_id}/stream?events=workflow_status")).text)
    assert only == [*[event for event in sent if event.name == "workflow_status"], end]


async def test_a_failed_run_ends_with_an_error(client: httpx.AsyncClient) -> None:
    run_id = (await start(client, "bad"))["execution_id"]
    end = parse((await client.get(f"{RUNS}/{run_id}/stream")).text)[-1]
    assert (end.name, end.data["status"]) == ("error", "FAILED")
    assert end.data["error"]["message"]


async def test_invalid_requests_are_a_problem(client: httpx.AsyncClient) -> None:
    run_id = (await start(client, "two"))["execution_id"]
    check_problem(await client.get(f"{RUNS}/nowhere/stream"), 404)
    check_problem(await client.get(f"{RUNS}/{run_id}/stream?events=nothing"), 400, 422)
    check_problem(await client.get(f"{RUNS}/{run_id}/stream", headers={"Last-Event-ID": "x"}), 422)
    check_problem(await client.get(f"{API}/stream"), 422)
    check_problem(await client.get(f"{API}/stream?execution=nowhere&execution=neither"), 404)
    check_problem(await client.get(f"{API}/stream?execution={run_id}&execution=%00"), 404)
    wrong = await client.get(f"{API}/stream?execution={run_id}", headers={"Last-Event-ID": "x"})
    check_problem(wrong, 400, 422)


async def test_a_deleted_execution_does_not_end_the_stream_of_others(client: httpx.AsyncClient) -> None:
    run_id = (await start(client, "two"))["execution_id"]
    sent = parse((await client.get(f"{API}/stream?execution=deleted&execution={run_id}")).text)
    [gone] = [event for event in sent if event.data["execution_id"] == "deleted"]
    assert (gone.name, gone.data["status"], gone.data["error"]["code"]) == ("error", None, "not_found")
    assert [event.name for event in sent if event.data["execution_id"] == run_id][-1] == "complete"


async def test_several_executions_share_a_stream(client: httpx.AsyncClient) -> None:
    ids = [(await start(client, workflow))["execution_id"] for workflow in ("two", "bad")]
    logs = {run_id: await log_of(client, run_id) for run_id in ids}
    path = f"{API}/stream?execution={ids[0]}&execution={ids[1]}"
    sent = parse((await client.get(path)).text)
    for run_id in ids:
        mine = [event for event in sent if event.data["execution_id"] == run_id]
        assert [event.data for event in mine[:-1]] == [{"execution_id": run_id, **event} for event in logs[run_id]]
        assert mine[-1].name in {"complete", "error"}
    # A client that reconnects with any of the IDs gets the rest.
    for number, known in enumerate(sent):
        if known.id is not None:
            rest = parse((await client.get(path, headers={"Last-Event-ID": known.id})).text)
            stored = [event for event in sent[number + 1 :] if event.id is not None]
            assert [event.data for event in rest if event.id is not None] == [event.data for event in stored]


async def test_a_stream_follows_a_run_to_its_end(client: httpx.AsyncClient) -> None:
    location = (await client.post(f"{API}/workflows/two/executions")).headers["location"]
    async with asyncio.timeout(60):
        sent = parse((await client.get(f"{location}/stream?poll_ms=60000")).text)
    run_id = location.rpartition("/")[2]
    stored = [event.data["seq"] for event in sent if event.id is not None]
    assert stored == [event["seq"] for event in await log_of(client, run_id)]
    assert sent[-1].name == "complete"


async def test_a_closed_hub_does_not_use_the_database(service: Service) -> None:
    before = set(threading.enumerate())
    with service.hub.watching({"nowhere": 0}):
        [feed] = [thread for thread in set(threading.enumerate()) - before if thread.name == "compozy-feed"]
    await service.hub.aclose()
    assert not feed.is_alive()


async def test_an_idle_stream_sends_comments(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compozy.server.stream._PING_S", 0.05)
    location = (await client.post(f"{API}/workflows/slow/executions")).headers["location"]
    text = (await client.get(f"{location}/stream?poll_ms=60000")).text
    assert ": ping\n\n" in text
    assert parse(text)[-1].name == "complete"


async def test_streams_end_when_the_server_stops(client: httpx.AsyncClient, service: Service) -> None:
    location = (await client.post(f"{API}/workflows/slow/executions")).headers["location"]
    streaming = asyncio.create_task(client.get(f"{location}/stream?poll_ms=60000"))
    while not service.hub.has_streams:  # noqa: ASYNC110 - the server sets no event for its tests
        await asyncio.sleep(0.01)
    service.stopping.set()
    async with asyncio.timeout(30):
        sent = parse((await streaming).text)
    assert {event.name for event in sent} <= {"workflow_status", "task_status", "llm_chunk"}
    assert not service.hub.has_streams
    check_problem(await client.get(f"{location}/stream"), 503)


@pytest.mark.parametrize("count", [1, 3, 300])
def test_notifications_name_every_run_within_their_size_limit(count: int) -> None:
    runs = [f"{number:0128}" for number in range(count)]
    payloads = list(payloads_of(runs))
    assert [run for payload in payloads for run in payload.split("\n")] == runs
    assert max(map(len, payloads)) < 8000


def test_a_watch_gets_only_events_of_its_runs() -> None:
    watch = Watch(positions={"b": 0, "a": 0})
    assert (watch.take_changed(1), watch.take_changed(5)) == (["b"], ["a"]), "all runs, at first"
    watch.note({"c"})
    assert not watch.woken.is_set()
    watch.note({"a", "c"})
    assert (watch.woken.is_set(), watch.take_changed(5)) == (True, ["a"])
    assert not watch.woken.is_set()
    watch.note_text("a")
    assert not watch.woken.is_set(), "a stream without text"
    watch.reads_text = True
    watch.note_text("c")
    watch.note_text("b")
    assert (watch.take_changed(5), watch.take_written()) == ([], ["b"])
    watch.note({"a"})
    watch.end("a")
    watch.note({"a"})
    watch.note_text("a")
    assert not watch.woken.is_set(), "its end was sent"
    note_change("nobody listens")
