"""Conditions and templates of runs that use all of their time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import httpx
import pytest

from compozy import template
from tests.integration.server.conftest import API, DRIVERS, LOOPBACK, make_client, open_service

EVALUATIONS = 4
NUMBERS = range(EVALUATIONS)
SLOW = "input.text.matches('^(a|a)+$') || true"
"""Gives up after half a second."""
SLOW_TEMPLATE = "{{ range until 480 }}{{ range until 480 }}{{ end }}{{ end }}ok"
WORKFLOWS: dict[str, Any] = {
    "condition": {"tasks": [{"id": f"pass{number}", "condition": SLOW, "with": {"a": 1}} for number in NUMBERS]},
    "filter": {
        "tasks": [
            {
                "id": "each",
                "type": "collection",
                "items": "{{ until 4 }}",
                "filter": SLOW,
                "task": {"id": "pass", "with": {"n": "{{ .index }}"}},
            }
        ]
    },
    "router": {
        "tasks": [
            *(
                {"id": f"route{number}", "type": "router", "condition": SLOW, "routes": {"true": f"route{number + 1}"}}
                for number in NUMBERS
            ),
            {"id": f"route{EVALUATIONS}", "with": {"a": 1}},
        ]
    },
    "template": {"tasks": [{"id": f"pass{number}", "with": {"a": SLOW_TEMPLATE}} for number in NUMBERS]},
    "output": {
        "tasks": [{"id": "pass", "with": {"a": 1}}],
        "outputs": {f"o{n}": SLOW_TEMPLATE for n in NUMBERS},
    },
}


@pytest.fixture(params=DRIVERS)
async def client(
    request: pytest.FixtureRequest, tmp_path: Path, clean_environ: None
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a server whose workflows are costly."""
    async with (
        open_service(request.param, tmp_path, workflows=WORKFLOWS) as service,
        make_client(service, LOOPBACK) as made,
    ):
        yield made


@pytest.mark.parametrize("workflow", list(WORKFLOWS))
async def test_others_are_answered_while_a_run_computes(client: httpx.AsyncClient, workflow: str) -> None:
    cost_s = _cost_s(workflow)
    # A busy machine may delay everything for a moment, but hardly each time.
    held_s: list[float] = []
    while not held_s or (held_s[-1] > 2 * cost_s and len(held_s) < 10):
        held_s.append(await _held_s(client, workflow, cost_s * 0.8))
    assert min(held_s) <= 2 * cost_s, f"the event loop was held for most of {EVALUATIONS} evaluations"


def _cost_s(workflow: str) -> float:
    """Return about how long one evaluation takes."""
    if "{{ range" not in json.dumps(WORKFLOWS[workflow]):
        return 0.4
    began_s = thread_time()
    template.compile(SLOW_TEMPLATE, dialect="compozy").render({})
    return thread_time() - began_s


async def _held_s(client: httpx.AsyncClient, workflow: str, least_s: float) -> float:
    """Return for how long the server answered no other request during a run, counting pauses of `least_s` and more."""
    await client.get("/healthz")
    run = asyncio.create_task(
        client.post(f"{API}/workflows/{workflow}/executions/sync", json={"input": {"text": "a" * 60 + "!"}})
    )
    held_s = 0.0
    while not run.done():
        asked_s = perf_counter()
        assert (await client.get("/healthz")).status_code == 200
        await asyncio.sleep(0.005)
        pause_s = perf_counter() - asked_s
        held_s += pause_s if pause_s >= least_s else 0.0
    assert run.result().json()["status"] == "SUCCESS", run.result().text
    return held_s
