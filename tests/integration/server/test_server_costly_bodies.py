"""Small bodies that are costly to process."""

from __future__ import annotations

import asyncio
import json
from time import perf_counter, process_time

import httpx
import pytest

from compozy.schema.bounded import PATTERN_S
from compozy.server.guard import MAX_VALUES
from tests.integration.server.conftest import API, COSTLY, check_problem

URL = f"{API}/workflows/echo/executions"
JSON = {"content-type": "application/json"}


async def test_too_many_values_are_refused_quickly(client: httpx.AsyncClient) -> None:
    """10 MiB of them blocked the server for four seconds."""
    body = b'{"input":[' + b"[]," * 3_000_000 + b"[]]}"
    began = process_time()
    check_problem(await client.post(URL, content=body, headers=JSON), 413)
    assert process_time() - began < 2


async def test_commas_in_texts_do_not_count_as_values(client: httpx.AsyncClient) -> None:
    text = r"a,\"[{:" * 200_000
    body = json.dumps({"input": {"text": text}}).encode()
    assert body.count(b",") + body.count(b"[") > MAX_VALUES / 2
    answer = await client.post(URL, content=body, headers=JSON)
    assert answer.status_code == 202
    assert answer.json()["input"] == {"text": text}


@pytest.mark.parametrize("count", [20_000, 200_000])
async def test_repeated_keys_are_found_in_linear_time(client: httpx.AsyncClient, count: int) -> None:
    keys = ",".join(f'"k{number}":0' for number in range(count))
    body = f'{{"input":{{{keys},"k{count - 1}":1}}}}'.encode()
    began = process_time()
    answer = await client.post(URL, content=body, headers=JSON)
    check_problem(answer, 400)
    assert "appears twice" in answer.json()["detail"]
    assert process_time() - began < 4


@pytest.mark.parametrize("workflow", COSTLY)
async def test_others_are_answered_while_values_are_validated(client: httpx.AsyncClient, workflow: str) -> None:
    body = {"input": {"text": "a" * 60 + "!"}}
    # The first run imports modules, which takes time.
    for path in ("/healthz", "/readyz"):
        await client.get(path)
    await client.post(f"{API}/workflows/{workflow}/executions/sync", json={"input": {"text": "aaa"}})
    # A busy machine may delay everything for a moment, but hardly each time.
    pauses_s: list[float] = []
    while not pauses_s or (pauses_s[-1] > PATTERN_S * 0.8 and len(pauses_s) < 10):
        run = asyncio.create_task(client.post(f"{API}/workflows/{workflow}/executions/sync", json=body))
        pauses_s.append(await longest_pause_s(client, run))
        assert f"took longer than {PATTERN_S:g} s" in run.result().text
    assert min(pauses_s) < PATTERN_S * 0.8, "validation held the event loop"


async def longest_pause_s(client: httpx.AsyncClient, run: asyncio.Task[httpx.Response]) -> float:
    """Return the longest time in which the server answered no other request until `run` was answered."""
    longest_s = 0.0
    while not run.done():
        began_s = perf_counter()
        assert (await client.get("/healthz")).status_code == 200
        await asyncio.sleep(0.01)
        longest_s = max(longest_s, perf_counter() - began_s)
    return longest_s
