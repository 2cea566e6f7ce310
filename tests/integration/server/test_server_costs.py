"""Costs over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from tests.integration.server.conftest import API, check_problem, start

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("group", ["day", "workflow", "agent", "model", "execution"])
async def test_costs_are_summed(shared_client: httpx.AsyncClient, group: str) -> None:
    before = (await shared_client.get(f"{API}/costs", params={"group_by": group})).json()["total"]
    await start(shared_client)
    answer = await shared_client.get(f"{API}/costs", params={"group_by": group})
    assert answer.status_code == 200
    found = answer.json()
    assert found["group_by"] == group
    assert found["total"]["requests"] == before["requests"] + 2
    assert sum(row["requests"] for row in found["costs"]) == found["total"]["requests"]


async def test_costs_of_some_days(shared_client: httpx.AsyncClient) -> None:
    await start(shared_client)
    today = datetime.now(UTC).date().isoformat()

    async def requests(**days: str) -> int:
        answer = await shared_client.get(f"{API}/costs", params=days)
        assert answer.status_code == 200
        return answer.json()["total"]["requests"]

    # The day can change while the test runs.
    assert await requests(since=today) + await requests(until=today) > 0
    assert await requests(since="9999-01-01") == await requests(until="1999-12-31") == 0


@pytest.mark.parametrize("day", ["0", "1e3", "2026-13-01", "2026-1-1", "2026-01-01T00:00:00", "yesterday", ""])
async def test_other_texts_are_not_days(shared_client: httpx.AsyncClient, day: str) -> None:
    check_problem(await shared_client.get(f"{API}/costs", params={"since": day}), 422)
    check_problem(await shared_client.get(f"{API}/costs", params={"until": day}), 422)
