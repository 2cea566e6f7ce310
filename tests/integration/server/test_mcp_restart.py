"""The MCP server after restarts, during its shutdown, and in a project without MCP triggers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from mcp_types import CallToolResult, ElicitResult

from compozy.server.entry import new_entries
from compozy.server.http import make_http
from tests.harness.mcpclient import RawClient, connect, text_of
from tests.harness.projects import write_project
from tests.harness.stores import open_store
from tests.integration.server.conftest import DRIVERS, LOOPBACK, count_runs
from tests.integration.server.mcp_projects import OFFERED, RESPONSES, ask, call, leave, resume, serving


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_answer_reaches_its_run_after_a_restart(driver: str, tmp_path: Path) -> None:
    with open_store(driver, tmp_path) as store:
        write_project(tmp_path, OFFERED, responses=RESPONSES, database=store.section)
        async with (
            serving(tmp_path) as (_, app),
            connect(app, answer=leave) as client,
        ):
            asked = await ask(client, "refund", {})
        async with (
            serving(tmp_path) as (service, app),
            connect(app, answer=leave) as client,
        ):
            yes = {"approve": ElicitResult(action="accept", content={"approve": True})}
            result = await resume(client, "refund", {}, yes, asked.request_state)
            runs = count_runs(service)

    assert isinstance(result, CallToolResult)
    assert result.structured_content == {"approved": True}
    assert runs == 1


async def test_the_endpoint_does_not_exist_without_a_trigger(tmp_path: Path) -> None:
    write_project(tmp_path, {"hidden": OFFERED["hidden"]})
    async with serving(tmp_path) as (service, app):
        answer = await RawClient(app=app).post("tools/list")
        entries = new_entries(service)

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert entries == []


def test_a_server_without_a_trigger_does_not_load_the_library(tmp_path: Path) -> None:
    write_project(tmp_path, {"hidden": OFFERED["hidden"]})
    program = """
import sys
from pathlib import Path
from types import SimpleNamespace
import compozy.cli.server, compozy.server.serve
from compozy.project.load import load_project
from compozy.server.entry import check_packages, new_entries
project = load_project(None, cwd=Path.cwd(), environ={})
check_packages(project)
entries = new_entries(SimpleNamespace(app=SimpleNamespace(project=project)))
print(entries, sorted(name for name in sys.modules if name.split(".")[0] in {"mcp", "mcp_types"}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[] []\n", "")


async def test_a_shutdown_answers_calls_that_wait(tmp_path: Path) -> None:
    workflow = {**OFFERED["slow"], "triggers": [{"type": "mcp", "wait": "1h"}]}
    write_project(tmp_path, {"slow": workflow}, responses={"slow": RESPONSES["slow"]})
    async with serving(tmp_path) as (service, _), AsyncExitStack() as stack:
        entries = new_entries(service)
        app = make_http(service, LOOPBACK, entries)
        client = await stack.enter_async_context(connect(app))
        waiting = asyncio.create_task(call(client, "slow", {}))
        for _ in range(3000):
            if service.app.runtime.in_hand():
                break
            await asyncio.sleep(0.01)
        service.stopping.set()
        result = await waiting
        refused = await call(client, "slow", {})
        async with asyncio.timeout(60):
            await asyncio.gather(*(entry.aclose() for entry in entries))
        late = await RawClient(app=app).post("tools/list")

    assert "is still running" in text_of(result)
    assert refused.is_error
    assert text_of(refused).startswith("the server is shutting down")
    assert (late.status_code, late.json()["code"]) == (503, "stopping")
