"""Conversations over HTTP, on both databases."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from compozy.database.memories import Message, append_messages, lock_memory
from compozy.server.service import Service
from tests.harness.remembering import rows_with
from tests.integration.server.conftest import API, DRIVERS, LOOPBACK, check_problem, make_client, open_service, start

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEMORIES = [
    {"id": "chat", "type": "buffer", "privacy_policy": {"redact_patterns": [r"\d{4}-\d{4}"]}},
    {"id": "short", "type": "message_count_based", "max_messages": 2},
]
TALK: dict[str, Any] = {"tasks": [{"id": "one", "prompt": "hi", "memory": [{"id": "chat", "key": "runs"}]}]}

SECRET: dict[str, Any] = {"tasks": [{"id": "one", "prompt": "hi", "memory": [{"id": "chat", "key": "secret"}]}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Service, None]:
    """One service for all tests; each uses its own keys."""
    folder = tmp_path_factory.mktemp("memory")
    async with open_service(request.param, folder, {"talk": TALK, "secret": SECRET}, memories=MEMORIES) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: Service) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client without a key."""
    async with make_client(service, LOOPBACK) as made:
        yield made


async def post(client: httpx.AsyncClient, memory: str, operation: str, **body: Any) -> Any:
    """Send an operation and return its result."""
    answer = await client.post(f"{API}/memory/{memory}/{operation}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def read(client: httpx.AsyncClient, memory: str, key: str, **query: Any) -> Any:
    """Return a page of a conversation."""
    answer = await client.get(f"{API}/memory/{memory}/read", params={"key": key, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_turns_of_a_run_are_shown_with_their_source(client: httpx.AsyncClient) -> None:
    run = await start(client, "talk")
    page = await read(client, "chat", "runs")
    assert [(each["seq"], each["role"], each["content"]) for each in page["messages"]] == [
        (1, "user", "hi"),
        (2, "assistant", "first"),
    ]
    assert {(each["execution_id"], each["task"]) for each in page["messages"]} == {(run["execution_id"], "one")}
    assert (page["message_count"], page["summary"], page["next_before"]) == (2, None, None)


async def test_messages_are_added_once_and_redacted(client: httpx.AsyncClient) -> None:
    messages = [{"content": "card 1234-5678"}, {"role": "system", "content": "x"}]
    first = await post(client, "chat", "append", key="once", messages=messages, id="r1")
    again = await post(client, "chat", "append", key="once", messages=messages, id="r1")
    other = await post(client, "chat", "append", key="once", messages=messages)
    assert [each["appended"] for each in (first, again, other)] == [2, 0, 2]
    page = await read(client, "chat", "once")
    assert page["messages"][0]["content"] == "card [REDACTED]"
    assert {each["execution_id"] for each in page["messages"]} == {None}


async def test_redacted_text_is_in_no_table_and_no_log(client: httpx.AsyncClient, service: Service) -> None:
    """A run that reads the conversation does not record it, either."""
    with capture_logs() as logs:
        await post(client, "chat", "append", key="secret", messages=[{"content": "it is 7213-5541"}])
        await post(client, "chat", "write", key="other", messages=[{"content": "it is 7213-5541"}])
        run = await start(client, "secret")
    requests = (await client.get(f"{API}/executions/workflows/{run['execution_id']}/requests")).json()
    assert [each["content"] for each in (await read(client, "chat", "secret"))["messages"]] == [
        "it is [REDACTED]",
        "hi",
        "first",
    ]
    assert "7213-5541" not in str(logs) + str(requests)
    assert rows_with(service.app.database, "7213-5541") == []


async def test_ten_thousand_messages_are_read_in_pages(client: httpx.AsyncClient, service: Service) -> None:
    made = [Message(role="user", content=f"m{number}", tokens=1) for number in range(10_000)]
    with service.app.database.write() as connection:
        append_messages(connection, lock_memory(connection, "chat", "long"), made, ttl_ms=None)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 1000}
    page: dict[str, Any] = {}
    for _ in range(10):
        page = await read(client, "chat", "long", **query)
        found = [each["content"] for each in page["messages"]] + found
        query["before"] = page["next_before"]
    assert page["next_before"] is None
    assert page["message_count"] == 10_000
    assert found == [f"m{number}" for number in range(10_000)]


async def test_conversations_are_listed_in_pages(client: httpx.AsyncClient) -> None:
    for key in ("a", "b", "c"):
        await post(client, "short", "append", key=key, messages=[{"content": "x"}])
    found: list[str] = []
    query: dict[str, Any] = {"memory_id": "short", "limit": 2}
    while True:
        page = (await client.get(f"{API}/memory", params=query)).json()
        found += [each["key"] for each in page["conversations"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == ["a", "b", "c"]
    check_problem(await client.get(f"{API}/memory", params={"cursor": "bm8"}), 400)
    check_problem(await client.get(f"{API}/memory", params={"memory_id": "shot"}), 404)


async def test_limits_apply_to_what_is_added(client: httpx.AsyncClient) -> None:
    messages = [{"content": str(number)} for number in range(4)]
    assert (await post(client, "short", "write", key="cut", messages=messages))["count"] == 2
    dry = await post(client, "short", "flush", key="cut", dry_run=True)
    assert (dry["dry_run"], dry["would_flush"], dry["message_count"]) == (True, False, 2)
    assert (await post(client, "short", "flush", key="cut"))["message_count"] == 2
    stats = (await client.get(f"{API}/memory/short/stats", params={"key": "cut"})).json()
    assert (stats["message_count"], stats["actual_strategy"]) == (2, "simple_fifo")


async def test_a_conversation_is_cleared_and_deleted(client: httpx.AsyncClient) -> None:
    await post(client, "chat", "append", key="gone", messages=[{"content": "x"}])
    check_problem(await client.post(f"{API}/memory/chat/clear", json={"key": "gone"}), 400, 422)
    assert (await post(client, "chat", "clear", key="gone", confirm=True))["messages_cleared"] == 1
    assert (await read(client, "chat", "gone"))["messages"] == []
    assert (await post(client, "chat", "delete", key="gone"))["success"] is True
    check_problem(await client.get(f"{API}/memory/chat/read", params={"key": "gone"}), 404)
    check_problem(await client.post(f"{API}/memory/chat/delete", json={"key": "gone"}), 404)


@pytest.mark.parametrize(
    ("memory", "body", "status"),
    [
        ("none", {"key": "x", "messages": [{"content": "x"}]}, 404),
        ("chat", {"key": " ", "messages": [{"content": "x"}]}, 422),
        ("chat", {"key": "x" * 257, "messages": [{"content": "x"}]}, 400),
        ("chat", {"key": "x\0y", "messages": [{"content": "x"}]}, 400),
        ("chat", {"key": "x", "messages": []}, 400),
        ("chat", {"key": "x", "messages": [{"role": "robot", "content": "x"}]}, 400),
    ],
)
async def test_invalid_requests_are_refused(
    client: httpx.AsyncClient, memory: str, body: dict[str, Any], status: int
) -> None:
    check_problem(await client.post(f"{API}/memory/{memory}/append", json=body), status, 422)
