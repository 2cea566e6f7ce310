"""API keys that are limited to workflows: every route either shows these only, or is refused with the reason."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from compozy.auth.accounts import bootstrap, create_user
from compozy.auth.identity import GRANTS, Permission, Role
from compozy.server.permissions import LIMITED, find_route
from tests.generated.openapi import make_document
from tests.integration.server.conftest import API, DRIVERS, make_client, open_service
from tests.integration.server.keys import SETTINGS, bearer, new_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

_TASKS = {"tasks": [{"id": "pass", "with": {"a": 1}}]}
_SECRET = "a-secret-of-the-shop"


def _workflow(name: str) -> dict[str, Any]:
    webhook = {
        "slug": f"{name}-orders",
        "verify": {"strategy": "token", "header": "X-Token", "secret": _SECRET},
        "events": [{"name": "any"}],
    }
    return {**_TASKS, "schedule": {"every": "1d"}, "triggers": [{"type": "webhook", "webhook": webhook}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def limited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client with a key that is limited to the workflow `mine` of a user who may also use `other`."""
    folder: Path = tmp_path_factory.mktemp("limited")
    async with open_service(request.param, folder, {name: _workflow(name) for name in ("mine", "other")}) as service:
        database = service.app.database
        await database.write_async(partial(bootstrap, email="admin@example.com"))
        await database.write_async(partial(create_user, email="user@example.com", role="user"))
        key = await new_key(service, "user@example.com", workflows=["mine"])
        async with make_client(service, SETTINGS) as client:
            client.headers.update(bearer(key))
            yield client


async def test_each_route_with_a_limited_key(limited: httpx.AsyncClient) -> None:
    """The routes come from the OpenAPI document of the application, so that a new one is tested as well."""
    for method, template, permission in _operations():
        answer = await limited.request(method, re.sub(r"\{\w+\}", "missing", template))
        details: dict[str, Any] = answer.json().get("details", {}) if answer.status_code >= 400 else {}
        by_role = answer.status_code == 403 and "role" in details
        by_limit = answer.status_code == 403 and details.get("workflows") == ["mine"]
        assert by_role is (permission not in GRANTS[Role.USER]), (method, template, answer.text)
        is_run = "{execution_id}" in template and "{base_id}" not in template
        is_open = permission is Permission.PUBLIC or (method, template) in LIMITED
        assert by_limit is not (by_role or is_run or is_open), (method, template, answer.text)
        if by_limit:
            detail = answer.json()["detail"]
            assert detail.startswith("this API key is limited to the workflows mine; "), detail
        elif is_run and not by_role:
            assert answer.status_code == 404, (method, template, answer.text)


async def test_lists_contain_what_belongs_to_its_workflows(limited: httpx.AsyncClient) -> None:
    schedules = (await limited.get(f"{API}/schedules")).json()["schedules"]
    hooks = (await limited.get(f"{API}/hooks")).json()["webhooks"]
    assert [each["workflow_id"] for each in schedules] == ["mine"]
    assert [each["slug"] for each in hooks] == ["mine-orders"]


async def test_routes_of_the_whole_project_are_refused_with_the_reason(limited: httpx.AsyncClient) -> None:
    refused = await limited.get(f"{API}/memory")
    assert refused.status_code == 403
    assert refused.json()["detail"] == (
        "this API key is limited to the workflows mine; GET /api/v0/memory is not about one of them"
    )
    foreign = await limited.post(f"{API}/workflows/other/executions")
    assert foreign.json()["detail"].endswith("POST /api/v0/workflows/{workflow_id}/executions is about 'other'")


def _operations() -> list[tuple[str, str, Permission]]:
    found: list[tuple[str, str, Permission]] = []
    for template, operations in make_document()["paths"].items():
        for method in map(str.upper, operations):
            permission = find_route(method, re.sub(r"\{\w+\}", "missing", template)).permission
            assert permission is not None
            found.append((method, template, permission))
    return found
