"""Text of models in streams while it is written, without a socket, on both drivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from compozy.database.live_text import texts_of as texts_in
from compozy.server.service import Service
from tests.integration.server.conftest import API, DRIVERS, LOOPBACK, RUNS, make_client, open_service
from tests.integration.server.test_server_stream import Sent, log_of, parse

LONG = "Once upon a time,\n\n  a model wrote 🙂 word by word, and <b>nothing</b> was lost.\n"
# Each run starts with a signal, so that its stream is open before a model is asked.
GO = {"id": "go", "type": "wait", "wait_for": "go"}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "say": {
        "tasks": [
            GO,
            {
                "id": "both",
                "type": "parallel",
                "tasks": [{"id": "left", "prompt": "a"}, {"id": "right", "prompt": "b"}],
            },
            {"id": "typed", "prompt": "c", "output": {"type": "object", "required": ["n"]}},
            {"id": "repaired", "prompt": "d", "output": {"type": "object", "required": ["n"]}},
        ]
    },
    "slow": {"tasks": [{"id": "long", "prompt": "f"}]},
    "fail": {"tasks": [GO, {"id": "bad", "prompt": "e"}]},
}
RESPONSES: dict[str, Any] = {
    "left": {"text": LONG, "delay_ms": 300},
    "right": {"text": "<think>Which word?</think>\n\nA short one.", "delay_ms": 300},
    "typed": {"json": {"n": 1}},
    "repaired": [{"text": "no JSON"}, {"json": {"n": "é"}}],
    "bad": {"error": "boom"},
    "long": {"text": LONG, "delay_ms": 4000},
}


@pytest.fixture(params=DRIVERS)
async def service(request: pytest.FixtureRequest, tmp_path: Path, clean_environ: None) -> AsyncGenerator[Service]:
    """The service on a project whose models are slow."""
    async with open_service(request.param, tmp_path, WORKFLOWS, responses=RESPONSES) as opened:
        yield opened


@pytest.fixture
async def client(service: Service) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without a key that calls the application on loopback."""
    async with make_client(service, LOOPBACK) as made:
        yield made


async def start_streamed(
    client: httpx.AsyncClient, service: Service, workflow: str, *queries: str
) -> tuple[str, list[list[Sent]]]:
    """Run a workflow with a stream for each query, and return the run ID and the content of the streams."""
    location = (await client.post(f"{API}/workflows/{workflow}/executions")).headers["location"]
    run_id = location.rpartition("/")[2]
    paths = [query.format(run=f"{RUNS}/{run_id}/stream", id=run_id) for query in queries]
    streaming = [asyncio.create_task(client.get(path)) for path in paths]
    while len(service.hub.watches) < len(queries):  # noqa: ASYNC110 - the server sets no event for its tests
        await asyncio.sleep(0.01)
    assert (await client.post(f"{location}/signals", json={"name": "go"})).is_success
    async with asyncio.timeout(60):
        return run_id, [parse((await stream).text) for stream in streaming]


def texts_of(sent: Iterable[Sent]) -> dict[tuple[str, int], str]:
    """Join the pieces like a client does, and check that they are consecutive."""
    texts: dict[tuple[str, int], str] = {}
    attempts: dict[tuple[str, int], int] = {}
    complete: set[tuple[str, int]] = set()
    for event in sent:
        if event.name == "llm_chunk":
            assert event.id is None
            key = (event.data["path"], event.data["request"])
            assert key not in complete
            if event.data["offset"] == 0:
                assert event.data["attempt"] > attempts.get(key, 0)
                attempts[key], texts[key] = event.data["attempt"], ""
            assert event.data["attempt"] == attempts[key]
            assert event.data["offset"] == len(texts[key])
            texts[key] += event.data["text"]
            if event.data["final"]:
                complete.add(key)
        elif event.name == "task_status" and event.data["data"]["status"] == "SUCCESS":
            assert all(key in complete for key in texts if key[0] == event.data["path"])
    assert complete == set(texts)
    return texts


async def test_the_pieces_are_the_answers(client: httpx.AsyncClient, service: Service) -> None:
    run_id, (one, several, silent) = await start_streamed(
        client, service, "say", "{run}", f"{API}/stream?execution={{id}}", "{run}?events=task_status"
    )
    assert texts_of(one) == {
        ("both/left", 0): LONG,
        ("both/right", 0): "A short one.",
        ("typed", 0): '{"n": 1}',
        ("repaired", 0): "no JSON",
        ("repaired", 1): '{"n": "é"}',
    }
    assert texts_of(several) == texts_of(one)
    run = (await client.get(f"{RUNS}/{run_id}")).json()
    outputs = {task["path"]: task["output"] for task in run["tasks"]}
    assert outputs["both/left"]["text"] == LONG
    assert outputs["both/right"]["text"] == "A short one."
    # The text is not stored, and does not change stored values.
    log = [{"execution_id": run_id, **event} for event in await log_of(client, run_id)]
    assert [event.data for event in one if event.id is not None] == log
    assert {event.name for event in silent} == {"task_status", "complete"}
    assert len([event for event in one if event.name == "llm_chunk" and event.data["path"] == "both/left"]) > 1


async def test_a_stream_that_is_opened_in_the_middle_of_an_answer(client: httpx.AsyncClient, service: Service) -> None:
    """While a client lists runs to follow them, the text of each run is kept."""
    assert (await client.get(f"{RUNS}?follow=true")).is_success
    location = (await client.post(f"{API}/workflows/slow/executions")).headers["location"]
    run_id = location.rpartition("/")[2]
    async with asyncio.timeout(60):
        while not texts_in([run_id]):  # noqa: ASYNC110 - text sets no event for its tests
            await asyncio.sleep(0.01)
        sent = parse((await client.get(f"{location}/stream")).text)
    assert texts_of(sent) == {("long", 0): LONG}


async def test_a_stream_with_only_text_ends_with_the_run(client: httpx.AsyncClient, service: Service) -> None:
    _, (sent,) = await start_streamed(client, service, "fail", "{run}?events=llm_chunk")
    assert [(event.name, event.data["status"]) for event in sent] == [("error", "FAILED")]
