"""Lists over HTTP: pages, links, totals, and their size."""

from __future__ import annotations

import re

import httpx
import pytest
import sqlalchemy as sa

from compozy.database.executions import NewExecution, finish_execution, insert_execution
from compozy.database.status import Status
from compozy.server.lists import decode_cursor, encode_cursor
from compozy.server.service import Service
from tests.integration.server.conftest import API, RUNS, check_problem, start

_FULL = ("input", "output", "usage")


@pytest.mark.parametrize("position", [(0, "a"), (1_700_000_000_000, "x" * 128), (10**15, "a.b:c_d-e.")])
def test_cursors_are_read_back(position: tuple[int, str]) -> None:
    assert decode_cursor(encode_cursor(position)) == position


@pytest.mark.parametrize("cursor", ["", "x", "MTIz", "é", "!!!!", "MS4n", "LTEuYQ", "MS5h\n"])
def test_invalid_cursors(cursor: str) -> None:
    with pytest.raises(ValueError, match="next_cursor"):
        decode_cursor(cursor)


async def test_links_lead_through_all_pages(client: httpx.AsyncClient) -> None:
    ids = [(await start(client, "echo", labels={"n": str(number % 2)}))["execution_id"] for number in range(5)]
    url = f"{RUNS}?limit=2&label=n%3D0&total=true"
    seen: list[str] = []
    for _ in range(3):
        answer = await client.get(url)
        page = answer.json()
        assert page["total"] == 3
        seen += [run["execution_id"] for run in page["executions"]]
        link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("link", ""))
        assert (link is None) == (page["next_cursor"] is None)
        if link is None:
            break
        url = link[1]
    assert seen == ids[::-2]
    assert (await client.get(RUNS)).json()["total"] is None


async def test_summaries_and_full_executions(client: httpx.AsyncClient) -> None:
    run = await start(client, "bad", input={"a": 1})
    (short,) = (await client.get(RUNS)).json()["executions"]
    assert not [name for name in _FULL if name in short]
    assert short["error"] == {name: run["error"][name] for name in ("code", "message")}
    (full,) = (await client.get(f"{API}/workflows/bad/executions?fields=full")).json()["executions"]
    assert full == {name: value for name, value in run.items() if name in full} | {"waiting_since": None}
    assert set(full) == {*short, *_FULL}


async def test_invalid_filters_are_a_problem(client: httpx.AsyncClient) -> None:
    for query in ("fields=all", "created_after=soon", "total=2", "label=", "cursor=MTIz", "q=" + "x" * 201):
        check_problem(await client.get(f"{RUNS}?{query}"), 422)
    for query in ("q=%00", "trigger=%00", "parent=%00", "label=%00", "started_by=%00"):
        check_problem(await client.get(f"{RUNS}?{query}"), 400)


async def test_unknown_parameters_are_a_problem(client: httpx.AsyncClient) -> None:
    for path, name, message in (
        (RUNS, "statuss", "unknown parameter; did you mean 'status'?"),
        (f"{API}/workflows/echo/executions", "cursr", "unknown parameter; did you mean 'cursor'?"),
        (f"{API}/audit", "actr", "unknown parameter; did you mean 'actor'?"),
        (f"{API}/workflows", "limit", "unknown parameter"),
    ):
        answer = await client.get(f"{path}?{name}=FAILED")
        check_problem(answer, 422)
        assert answer.json()["details"]["problems"] == [{"path": f"query.{name}", "message": message}]
    check_problem(await client.post(f"{API}/workflows/echo/executions?folow=true", json={}), 422)


async def fill(service: Service, runs: int, output_bytes: int) -> None:
    """Store runs with large outputs like a process that executes them."""

    def add(connection: sa.Connection, number: int) -> None:
        new = NewExecution(
            workflow_exec_id=f"large-{number:04}",
            workflow_id="echo",
            input={"n": number},
            definition={"workflow": {"id": "echo"}},
            journal_format=1,
        )
        assert insert_execution(connection, new, owner="elsewhere")
        output = {"text": f"{number:04}" * (output_bytes // 4)}
        assert finish_execution(connection, new.workflow_exec_id, Status.SUCCESS, output=output)

    for number in range(runs):
        await service.app.database.write_async(lambda c, number=number: add(c, number))


async def test_a_list_does_not_grow_with_outputs(client: httpx.AsyncClient, service: Service) -> None:
    await fill(service, 20, 100_000)
    answer = await client.get(f"{RUNS}?limit=1000")
    assert len(answer.json()["executions"]) == 20
    assert len(answer.content) < 20 * 1000
