"""Users and API keys on a server: permissions of roles on each route, expired and revoked keys, odd headers."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from compozy.auth.identity import GRANTS, Permission, Role
from compozy.database.tables import api_keys
from compozy.server.permissions import find_route
from compozy.server.service import Service
from tests.integration.server.conftest import API, check_problem, make_client
from tests.integration.server.keys import ADMIN, SETTINGS, Keys, bearer, new_key

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_on_each_route(asks: httpx.AsyncClient, keys: Keys, role: Role) -> None:
    """The routes come from the OpenAPI document, so that a new one is tested as well."""
    document = (await asks.get("/openapi.json", headers=bearer(keys.admin))).json()
    for template, operations in document["paths"].items():
        for method in map(str.upper, operations):
            path = re.sub(r"\{\w+\}", "missing", template)
            permission = find_route(method, path).permission
            assert permission is not None, template
            answer = await asks.request(method, path, headers=bearer(keys.of(role)))
            # Other reasons for 403, such as that a key cannot create keys, do not name the role.
            is_refused = answer.status_code == 403 and answer.json().get("details", {}).get("role") == role.value
            assert answer.status_code != 401
            assert is_refused is (permission not in GRANTS[role]), (method, path, answer.text)
            if permission is not Permission.PUBLIC:
                check_problem(await asks.request(method, path), 401)


async def test_keys_for_workflows_that_do_not_exist(asks: httpx.AsyncClient, keys: Keys) -> None:
    body = {"name": "of-two", "user": ADMIN, "workflows": ["two", "tpyed"]}
    refused = await asks.post(f"{API}/auth/generate", json=body, headers=bearer(keys.admin))
    check_problem(refused, 404)
    assert (refused.json()["detail"], refused.json()["hint"]) == (
        "no workflow 'tpyed' in project 'demo'",
        "did you mean 'typed'?",
    )
    body["workflows"] = ["two", "typed"]
    created = await asks.post(f"{API}/auth/generate", json=body, headers=bearer(keys.admin))
    assert sorted(created.json()["workflows"]) == ["two", "typed"]


async def test_paths_without_a_route(asks: httpx.AsyncClient, keys: Keys) -> None:
    for key in (keys.admin, keys.user, keys.viewer, keys.limited):
        check_problem(await asks.get("/nothing", headers=bearer(key)), 404)
        check_problem(await asks.get(f"{API}/project/", headers=bearer(key)), 404)
        check_problem(await asks.put(f"{API}/project", headers=bearer(key)), 404, 405)
    check_problem(await asks.get("/nothing"), 401)


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Basic {key}"],
        ["{key}"],
        ["Bearer {key} {key}"],
        ["Bearer {key}x"],
        ["Bearer x{key}"],
        ["Bearer {KEY}"],
        ["Bearer {key}", "Bearer {key}"],
        ["", "Bearer {key}"],
        ["Bearer \xe9"],
        ["Bearer cpzy_"],
        ["Bearer cpzy_" + "%" * 32],
        ["Bearer ' OR 1=1 --"],
        ["Bearer " + "x" * 5000],
    ],
)
async def test_odd_headers(asks: httpx.AsyncClient, keys: Keys, values: list[str]) -> None:
    given = [value.format(key=keys.admin, KEY=keys.admin.upper()) for value in values]
    headers = httpx.Headers([(b"authorization", value.encode("latin-1")) for value in given])
    answer = await asks.get(f"{API}/project", headers=headers)
    check_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert keys.admin not in answer.text


async def test_the_sender_of_a_request(asks: httpx.AsyncClient, keys: Keys) -> None:
    me = (await asks.get(f"{API}/auth/me", headers={"authorization": f"BEARER   {keys.limited}"})).json()
    assert me == {
        "name": "user@example.com",
        "role": "user",
        "credential": f"key {keys.limited[:12]}",
        "user_id": me["user_id"],
        "workflows": ["two"],
        "permissions": ["public", "read", "run", "account"],
    }


async def test_a_revoked_key_is_refused(shared_service: Service, asks: httpx.AsyncClient, keys: Keys) -> None:
    """Also by another server, which gets it only from the database and caches a key for half a second."""
    created = await asks.post(
        f"{API}/auth/generate", json={"name": "short", "user": "user@example.com"}, headers=bearer(keys.admin)
    )
    assert created.status_code == 201
    key = created.json()
    path = f"{API}/auth/keys/{key['prefix']}"
    async with make_client(shared_service, SETTINGS) as other:
        for server in (asks, other):
            assert (await server.get(f"{API}/project", headers=bearer(key["api_key"]))).status_code == 200
        check_problem(await asks.delete(path, headers=bearer(keys.user)), 403)
        revoked = await asks.delete(path, headers=bearer(keys.admin))
        assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
        check_problem(await asks.get(f"{API}/project", headers=bearer(key["api_key"])), 401)
        refused = await _until_refused(other, key["api_key"])
    assert "was revoked" in refused.json()["detail"]
    again = await asks.delete(path, headers=bearer(keys.admin))
    assert again.json()["revoked_at"] == revoked.json()["revoked_at"]


async def _until_refused(server: httpx.AsyncClient, key: str) -> httpx.Response:
    for _ in range(400):
        await asyncio.sleep(0.05)
        answer = await server.get(f"{API}/project", headers=bearer(key))
        if answer.status_code != 200:
            return answer
    raise AssertionError("the key is still accepted")


async def test_an_expired_key_is_refused(shared_service: Service, asks: httpx.AsyncClient, keys: Keys) -> None:
    key = await new_key(shared_service, "viewer@example.com", name="old", expires_in_s=3600)
    assert (await asks.get(f"{API}/project", headers=bearer(key))).status_code == 200
    late = await new_key(shared_service, "viewer@example.com", name="late", expires_in_s=0)
    answer = await asks.get(f"{API}/project", headers=bearer(late))
    check_problem(answer, 401)
    assert "expired at" in answer.json()["detail"]


async def test_an_unknown_role(shared_service: Service, asks: httpx.AsyncClient, keys: Keys) -> None:
    key = await new_key(shared_service, "user@example.com", name="future")
    change = api_keys.update().where(api_keys.c.prefix == key[:12]).values(role="owner")
    await shared_service.app.database.write_async(lambda connection: connection.execute(change).rowcount)
    check_problem(await asks.get(f"{API}/project", headers=bearer(key)), 403)


async def test_a_rotated_key_overlaps(asks: httpx.AsyncClient, shared_service: Service, keys: Keys) -> None:
    old = await new_key(shared_service, "user@example.com", name="rotated", workflows=["two"], role="viewer")
    path = f"{API}/auth/keys/{old[:12]}/rotate"
    rotated = (await asks.post(path, headers=bearer(keys.admin))).json()
    both = [old, rotated["api_key"]]
    assert [(await asks.get(f"{API}/workflows", headers=bearer(key))).status_code for key in both] == [200, 200]
    assert (rotated["name"], rotated["role"], rotated["workflows"]) == ("rotated", "viewer", ["two"])
    assert rotated["replaces"]["revoked_at"] > rotated["created_at"]
    await asks.post(f"{API}/auth/keys/{rotated['key_id']}/rotate", json={"overlap": 0}, headers=bearer(keys.admin))
    check_problem(await asks.get(f"{API}/workflows", headers=bearer(rotated["api_key"])), 401)


async def test_a_limited_key(asks: httpx.AsyncClient, keys: Keys) -> None:
    other = (await asks.post(f"{API}/workflows/echo/executions/sync", json={}, headers=bearer(keys.user))).json()
    own = await asks.post(f"{API}/workflows/two/executions/sync", json={}, headers=bearer(keys.limited))
    assert own.status_code == 200, own.text
    listed = (await asks.get(f"{API}/workflows", headers=bearer(keys.limited))).json()
    assert [workflow["id"] for workflow in listed["workflows"]] == ["two"]
    runs = f"{API}/executions/workflows"
    seen = (await asks.get(runs, params={"limit": 100, "total": True}, headers=bearer(keys.limited))).json()
    assert {run["workflow_id"] for run in seen["executions"]} == {"two"}
    assert seen["total"] == len(seen["executions"])
    elsewhere = await asks.get(runs, params={"workflow_id": "echo"}, headers=bearer(keys.limited))
    assert elsewhere.json()["executions"] == []
    mine = runs + "/" + own.json()["execution_id"]
    foreign = f"{runs}/{other['execution_id']}"
    assert (await asks.get(mine, headers=bearer(keys.limited))).status_code == 200
    for method, path in (("GET", foreign), ("GET", f"{foreign}/events"), ("POST", f"{foreign}/cancel")):
        missing = await asks.request(method, path.replace(other["execution_id"], "none"), headers=bearer(keys.limited))
        refused = await asks.request(method, path, headers=bearer(keys.limited))
        check_problem(refused, 404)
        assert refused.text.replace(other["execution_id"], "none") == missing.text
    for method, path in (
        ("POST", f"{API}/workflows/echo/executions"),
        ("GET", f"{API}/workflows/echo"),
        ("GET", f"{API}/stream?execution={other['execution_id']}"),
        ("GET", f"{API}/knowledge-bases"),
        ("POST", f"{API}/auth/generate"),
        ("POST", "/mcp"),
    ):
        check_problem(await asks.request(method, path, headers=bearer(keys.limited)), 403)


async def test_a_key_creates_no_keys(asks: httpx.AsyncClient, keys: Keys) -> None:
    """A stolen key would otherwise keep access after it was revoked."""
    check_problem(await asks.post(f"{API}/auth/generate", json={"name": "more"}, headers=bearer(keys.user)), 403)
    listed = (await asks.get(f"{API}/auth/keys", headers=bearer(keys.viewer))).json()["keys"]
    assert {key["user"] for key in listed} == {"viewer@example.com"}
    everyone = (await asks.get(f"{API}/auth/keys", headers=bearer(keys.admin))).text
    assert all(key not in everyone for key in (keys.admin, keys.user, keys.viewer, keys.limited))


async def test_users(asks: httpx.AsyncClient, keys: Keys) -> None:
    admin = bearer(keys.admin)
    made = await asks.post(f"{API}/users", json={"email": "Eva@Example.com"}, headers=admin)
    assert (made.status_code, made.json()["email"], made.json()["role"]) == (201, "eva@example.com", "user")
    check_problem(await asks.post(f"{API}/users", json={"email": "EVA@example.com"}, headers=admin), 409)
    check_problem(await asks.post(f"{API}/users", json={"email": "no address"}, headers=admin), 400)
    key = (await asks.post(f"{API}/auth/generate", json={"name": "k", "user": "eva@example.com"}, headers=admin)).json()
    path = f"{API}/users/{made.json()['user_id']}"
    assert (await asks.patch(path, json={"role": "viewer"}, headers=admin)).json()["role"] == "viewer"
    # The role of the user limits that of the key.
    check_problem(await asks.post(f"{API}/workflows/two/executions", headers=bearer(key["api_key"])), 403)
    assert (await asks.delete(path, headers=admin)).status_code == 200
    check_problem(await asks.get(f"{API}/project", headers=bearer(key["api_key"])), 401)
    for method, body in (("PATCH", {"role": "user"}), ("DELETE", None)):
        check_problem(await asks.request(method, f"{API}/users/{ADMIN}", json=body, headers=admin), 409)
    check_problem(await asks.delete(path, headers=admin), 404)


async def test_public_workflows(asks: httpx.AsyncClient, keys: Keys) -> None:
    run = await asks.post(f"{API}/workflows/echo/executions/sync", json={})
    assert run.status_code == 200
    for path in (f"{API}/workflows/echo", run.headers["location"], f"{API}/workflows/echo/executions"):
        check_problem(await asks.get(path), 401)
    check_problem(await asks.post(f"{API}/workflows/two/executions/sync", json={}), 401)
    check_problem(await asks.post(f"{API}/workflows/echo/executions", headers=bearer("wrong")), 401)
    # Otherwise it would contain the ID of a run.
    chosen = {"execution_id": run.json()["execution_id"]}
    check_problem(await asks.post(f"{API}/workflows/echo/executions", json=chosen), 403)


async def test_a_run_records_who_started_it(
    asks: httpx.AsyncClient, keys: Keys, shared_client: httpx.AsyncClient
) -> None:
    path = f"{API}/workflows/two/executions"
    started = [await asks.post(path, json={}, headers=bearer(key)) for key in (keys.limited, keys.admin)]
    again = await asks.post(f"{started[0].headers['location']}/rerun", headers=bearer(keys.admin))
    nobody = await shared_client.post(path, json={})
    by = [
        (await asks.get(each.headers["location"], headers=bearer(keys.viewer))).json()["trigger"]["by"]
        for each in (*started, nobody)
    ]
    assert by == ["user@example.com", ADMIN, None]
    assert again.status_code in {202, 409}
