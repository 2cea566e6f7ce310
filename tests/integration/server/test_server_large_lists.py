"""A list of 1,000 executions with outputs of 1 MB stays below 1 MB."""

from __future__ import annotations

import httpx

from compozy.server.service import Service
from tests.integration.server.conftest import RUNS
from tests.integration.server.test_server_lists import fill


async def test_a_thousand_large_outputs(client: httpx.AsyncClient, service: Service) -> None:
    await fill(service, 1000, 1_000_000)
    answer = await client.get(f"{RUNS}?limit=1000")
    assert len(answer.json()["executions"]) == 1000
    assert len(answer.content) < 1_000_000
