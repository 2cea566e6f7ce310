"""A type of trigger that exists only in this file: one record, its model and its path on the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from pydantic import Field
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from compozy.errors import ProjectError
from compozy.project.definition import snapshot
from compozy.project.jsonschema import workflow_schema
from compozy.project.load import load_project
from compozy.server.service import Service, StartRequest
from compozy.trigger.registry import TRIGGER_KINDS, TriggerBase, TriggerKind, register
from compozy.workflow.config import WorkflowConfig
from tests.harness.projects import write_project
from tests.integration.server.mcp_projects import serving


class BellTrigger(TriggerBase):
    """Starts the workflow when its bell is rung."""

    type: Literal["bell"] = Field(description="Kind of trigger.")
    tone: str = Field(description="Name of the bell, unique in the project.")
    payload: dict[str, Any] | None = Field(default=None, description="JSON Schema of the payload.")


class Bells:
    """Answers requests to the bells."""

    path = "/bells"

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start a run of each workflow with a bell."""
        started = [
            (await self._service.start(StartRequest(workflow_id=workflow.config.id, body={})))[0]["workflow_id"]
            for workflow in self._service.app.project.workflows.values()
            if any(isinstance(trigger, BellTrigger) for trigger in workflow.config.triggers or ())
        ]
        await JSONResponse(started)(scope, receive, send)

    async def preload(self) -> None:
        """Load nothing."""

    async def aclose(self) -> None:
        """Close nothing."""


new_entry = Bells
KIND = TriggerKind(
    name="bell",
    model=BellTrigger,
    page="/docs/workflows/overview",
    entry=__name__,
    unique=("tone",),
    noun="bell",
    schemas=(("payload",),),
)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Register the kind, and remove it again."""
    register(KIND)
    WorkflowConfig.model_rebuild(force=True)
    yield
    del TRIGGER_KINDS[KIND.name]
    WorkflowConfig.model_rebuild(force=True)


async def test_its_path_is_answered(tmp_path: Path) -> None:
    bell: dict[str, Any] = {"type": "bell", "tone": "a"}
    tasks = [{"id": "pass", "with": {"text": "x"}}]
    write_project(tmp_path, {"rings": {"triggers": [bell], "tasks": tasks}, "silent": {"tasks": tasks}})
    async with serving(tmp_path) as (service, app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1:8080")
        async with client:
            answer = await client.get("/bells")
            foreign = await client.get("/bells", headers={"origin": "http://evil.example"})
        definition = snapshot(service.app.project, "rings")

    assert (answer.status_code, answer.json()) == (200, ["rings"])
    assert foreign.status_code == 403
    # A run does not depend on the triggers of other runs.
    assert "triggers" not in definition["workflow"]
    assert "BellTrigger" in workflow_schema()["$defs"]


def test_errors_have_their_location(tmp_path: Path) -> None:
    bell = {"type": "bell", "tone": "a", "payload": {"type": "nothing"}}
    tasks = [{"id": "pass", "with": {"text": "x"}}]
    write_project(tmp_path, {name: {"triggers": [bell], "tasks": tasks} for name in ("one", "two")})
    with pytest.raises(ProjectError) as refused:
        load_project(None, cwd=tmp_path, environ={})
    lines = str(refused.value).splitlines()
    assert any(
        "workflows/one.yaml:1:" in line and "duplicate bell 'a', also in workflows/two.yaml" in line for line in lines
    )
    assert any("payload schema: " in line for line in lines)
