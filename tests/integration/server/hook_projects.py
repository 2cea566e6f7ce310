"""A project with webhooks, and signed requests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from compozy.clock import now_ms
from compozy.ids import new_call_id
from compozy.server.gate import GuardSettings
from compozy.server.hooks.hook import hooks_of
from compozy.server.service import Service
from compozy.trigger.signatures import Unsigned, scheme_of
from tests.harness.projects import write_project
from tests.harness.stores import open_store
from tests.integration.server.conftest import API, LOOPBACK
from tests.integration.server.mcp_projects import serving

SECRET = "a-long-random-secret-of-both-sides"
GITHUB: dict[str, Any] = {
    "slug": "repository",
    "verify": {"strategy": "github", "secret": SECRET},
    "events": [
        {
            "name": "issue.opened",
            "filter": 'headers["x-github-event"] == "issues" && payload.action == "opened"',
            "input": {"title": "{{ .payload.issue.title }}", "number": "{{ .payload.issue.number }}"},
            "schema": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
        },
        {"name": "push", "filter": 'headers["x-github-event"] == "push"'},
    ],
}
ORDERS: dict[str, Any] = {
    "slug": "orders",
    "verify": {"strategy": "hmac", "secret": SECRET, "header": "X-Signature", "encoding": "base64"},
    "dedupe": {"key": "payload.id"},
    "events": [{"name": "order", "filter": "has(payload.id)", "input": {"id": "{{ .payload.id }}"}}],
}
PAYMENTS: dict[str, Any] = {
    "slug": "payments",
    "verify": {"strategy": "stripe", "secret": [SECRET, "the-secret-of-last-month"]},
    "events": [
        {"name": "created", "filter": "payload.type == 'created'", "execution": "payment-{{ .payload.of }}"},
        {
            "name": "paid",
            "filter": "payload.type == 'paid'",
            "signal": {"name": "paid", "execution": "payment-{{ .payload.of }}"},
            "input": {"amount": "{{ .payload.amount }}"},
        },
    ],
}
SLACK: dict[str, Any] = {
    "slug": "slack",
    "verify": {"strategy": "slack", "secret": SECRET},
    "events": [{"name": "event", "filter": "payload.type == 'event_callback'"}],
}
PAID: dict[str, Any] = {
    "tasks": [{"id": "paid", "type": "wait", "wait_for": "paid"}],
    "output": {"amount": "{{ .tasks.paid.output.payload.amount }}"},
}
ECHO: dict[str, Any] = {
    "tasks": [{"id": "pass", "with": {"all": "{{ .input }}"}}],
    "output": {"all": "{{ .tasks.pass.output.all }}"},
}


def hooked(hook: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a workflow that a webhook starts and that returns its input."""
    return {**ECHO, "triggers": [{"type": "webhook", "webhook": dict(hook)}], **keys}


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Sends requests to the webhooks of a served project."""

    service: Service
    client: httpx.AsyncClient

    async def post(self, slug: str, body: Any, *, delivery: str | None = None, **headers: str) -> httpx.Response:
        """Send a signed request. A body that is not bytes is sent as JSON, and `_` in a name of a header is `-`."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = self.sign(slug, content, delivery)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send(slug, content, {"content-type": "application/json", **signed, **given})

    def sign(self, slug: str, content: bytes, delivery: str | None = None) -> dict[str, str]:
        """Return the headers of the sender."""
        hook = hooks_of(self.service.app.project)[slug]
        secret = hook.secrets[0] if hook.secrets else ""
        request = Unsigned(body=content, delivery_id=delivery or new_call_id(), now_ms=now_ms())
        return scheme_of(hook.config.verify).sign(hook.config.verify, secret, request)

    async def send(self, slug: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Send a request unchanged."""
        return await self.client.post(f"{API}/hooks/{slug}", content=content, headers=dict(headers))

    async def output(self, execution_id: str) -> Any:
        """Wait for the end of a run and return its output."""
        run = await self.service.wait(execution_id, timeout_s=60)
        assert run["status"] == "SUCCESS", run
        return run["output"]


@contextlib.asynccontextmanager
async def open_sender(
    driver: str, folder: Path, workflows: Mapping[str, Any], *, guard: GuardSettings = LOOPBACK, **sections: Any
) -> AsyncGenerator[Sender]:
    """Serve a project with these workflows, without a socket."""
    with open_store(driver, folder) as store:
        write_project(folder, workflows, database=store.section, **sections)
        async with serving(folder, guard) as (service, app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=60) as client:
                yield Sender(service=service, client=client)
