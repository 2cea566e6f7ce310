"""Users and API keys on a server: permissions of roles on each route, expired and revoked keys, odd headers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio

from compozy.auth.accounts import KeyRequest, bootstrap, change_user, create_key, create_user
from compozy.auth.identity import GRANTS, Permission, Role
from compozy.auth.passwords import hash_password
from compozy.database.tables import api_keys
from compozy.server.gate import GuardSettings
from compozy.server.limits import Rate
from compozy.server.permissions import find_route
from compozy.server.service import Service
from tests.integration.server.conftest import API, check_problem, make_client

pytestmark = pytest.mark.asyncio(loop_scope="module")
SETTINGS = GuardSettings(host="127.0.0.1", api_key=None, auth=True, public_workflows=frozenset({"echo"}))
_ADMIN = "admin@example.com"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A key of each role, and one that is limited to the workflow `two`."""

    admin: str
    user: str
    viewer: str
    limited: str

    def of(self, role: Role) -> str:
        """Return the key of a role."""
        return {Role.ADMIN: self.admin, Role.USER: self.user, Role.VIEWER: self.viewer}[role]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keys(shared_service: Service) -> Keys:
    database = shared_service.app.database
    first = await database.write_async(partial(bootstrap, email=_ADMIN))
    made: dict[str, str] = {}
    for role in ("user", "viewer"):
        await database.write_async(partial(create_user, email=f"{role}@example.com", role=role))
        made[role] = await new_key(shared_service, f"{role}@example.com")
    limited = await new_key(shared_service, "user@example.com", name="limited", workflows=["two"])
    return Keys(admin=first["key"]["api_key"], limited=limited, **made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asks(shared_service: Service, keys: Keys) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a server that requires a key."""
    async with make_client(shared_service, SETTINGS) as made:
        yield made


async def new_key(service: Service, user: str, *, name: str = "test", **more: Any) -> str:
    """Create a key and return it."""
    request = KeyRequest(name=name, user=user, **more)
    return str((await service.app.database.write_async(partial(create_key, request=request)))["api_key"])


def bearer(key: str) -> dict[str, str]:
    """Return the header with a key."""
    return {"authorization": f"Bearer {key}"}


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
        check_problem(await asks.request(method, f"{API}/users/{_ADMIN}", json=body, headers=admin), 409)
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
    assert by == ["user@example.com", _ADMIN, None]
    assert again.status_code in {202, 409}


async def test_the_audit_log(asks: httpx.AsyncClient, keys: Keys) -> None:
    admin = bearer(keys.admin)
    run = await asks.post(f"{API}/workflows/two/executions/sync", json={}, headers=bearer(keys.user))
    execution_id = run.json()["execution_id"]
    path = f"{API}/executions/workflows/{execution_id}"
    await asks.post(f"{path}/cancel", headers=admin)
    await asks.post(f"{path}/cancel", headers=bearer(keys.viewer))
    await asks.get(path, headers=admin)
    await asks.post(f"{path}/cancel", headers=bearer("wrong"))
    audit = f"{API}/audit?execution_id={execution_id}"
    page = (await asks.get(f"{audit}&limit=2", headers=admin)).json()
    rest = (await asks.get(f"{audit}&cursor={page['next_cursor']}", headers=admin)).json()
    entries = [*page["entries"], *rest["entries"]]
    assert [(entry["actor"], entry["action"], entry["status"]) for entry in entries] == [
        ("viewer@example.com", "cancel_execution", 403),
        (_ADMIN, "cancel_execution", 409),
        ("user@example.com", "start_execution_and_wait", 200),
    ]
    assert {(entry["address"], entry["execution_id"]) for entry in entries} == {("127.0.0.1", execution_id)}
    assert entries[0]["credential"] == f"key {keys.viewer[:12]}"
    assert rest["next_cursor"] is None
    check_problem(await asks.get(f"{API}/audit", headers=bearer(keys.user)), 403)
    everything = (await asks.get(f"{API}/audit?limit=1000", headers=admin)).text
    assert not any(key in everything for key in (keys.admin, keys.user, keys.viewer))


async def test_limits_of_requests(shared_service: Service, keys: Keys) -> None:
    rate = Rate(limit=3, period_s=3600)
    limited = GuardSettings(host="127.0.0.1", api_key=None, auth=True, key_rate=rate)
    async with make_client(shared_service, limited) as asks:
        statuses = [(await asks.get(f"{API}/project", headers=bearer(keys.user))).status_code for _ in range(4)]
        refused = await asks.get(f"{API}/project", headers=bearer(keys.user))
        other = await asks.get(f"{API}/project", headers=bearer(keys.viewer))
    assert statuses == [200, 200, 200, 429]
    check_problem(refused, 429)
    assert 1000 < int(refused.headers["retry-after"]) <= 1200
    assert other.status_code == 200
    async with make_client(shared_service, GuardSettings(host="127.0.0.1", api_key=None, address_rate=rate)) as asks:
        statuses = [(await asks.get(path)).status_code for path in (f"{API}/project", "/", "/nothing", "/", "/healthz")]
    assert statuses == [200, 200, 404, 429, 200]


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("compozy.example.com", None, 200),
        ("Compozy.Example.com", "https://compozy.example.com", 200),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", 200),
        ("compozy.example.com", "http://compozy.example.com", 403),
        ("compozy.example.com", "https://evil.example", 403),
        ("compozy.example.com", "null", 403),
        ("compozy.example.com:444", None, 403),
        ("127.0.0.1:8080", "https://compozy.example.com", 403),
        ("evil.example", None, 403),
        ("evil.compozy.example.com", None, 403),
    ],
)
async def test_the_public_url(
    shared_service: Service, keys: Keys, host: str, origin: str | None, expected: int
) -> None:
    settings = GuardSettings(host="127.0.0.1", api_key=None, public_url="https://compozy.example.com")
    headers = {"host": host, **bearer(keys.viewer), **({} if origin is None else {"origin": origin})}
    async with make_client(shared_service, settings) as asks:
        assert (await asks.get(f"{API}/project", headers=headers)).status_code == expected
        # It requires a key on loopback, too.
        check_problem(await asks.get(f"{API}/project", headers={"host": host}), 401 if host[0] != "e" else 403, 403)


async def test_a_session(shared_service: Service, asks: httpx.AsyncClient, keys: Keys) -> None:
    body = {"email": "User@example.com", "password": "correct horse battery"}
    path = f"{API}/users/user@example.com"
    check_problem(await asks.post(f"{API}/auth/login", json=body), 401)
    hidden = await asks.patch(path, json={"password": "short"}, headers=bearer(keys.admin))
    check_problem(hidden, 422)
    changed = await asks.patch(path, json={"password": body["password"]}, headers=bearer(keys.admin))
    assert (changed.status_code, changed.json()["role"], changed.json()["has_password"]) == (200, "user", True)

    async with make_client(shared_service, SETTINGS) as browser:
        signed_in = await browser.post(f"{API}/auth/login", json=body)
        assert (signed_in.status_code, signed_in.json()["credential"]) == (200, "session")
        cookie = signed_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        assert (await browser.get(f"{API}/auth/me")).json()["name"] == "user@example.com"
        start = f"{API}/workflows/two/executions/sync"
        check_problem(await browser.post(start, json={}), 403)
        run = await browser.post(start, json={}, headers={"x-compozy-request": "1"})
        assert run.json()["trigger"]["by"] == "user@example.com"
        key = await browser.post(f"{API}/auth/generate", json={"name": "mine"}, headers={"x-compozy-request": "1"})
        assert (key.status_code, key.json()["user"]) == (201, "user@example.com")
        stolen = dict(browser.cookies)
        assert (await browser.post(f"{API}/auth/logout")).status_code == 200
        check_problem(await browser.get(f"{API}/auth/me"), 401)
    # The session ended in the database, too.
    (name, token), *_ = stolen.items()
    check_problem(await asks.get(f"{API}/auth/me", headers={"cookie": f"{name}={token}"}), 401)
    check_problem(await asks.get(f"{API}/auth/me", headers={"cookie": f"{name}="}), 401)
    audited = (await asks.get(f"{API}/audit?action=login", headers=bearer(keys.admin))).json()["entries"]
    assert [entry["status"] for entry in audited] == [200, 401]


async def test_sign_ins_are_limited(shared_service: Service, keys: Keys) -> None:
    async with make_client(shared_service, SETTINGS) as browser:
        body = {"email": "viewer@example.com", "password": "a wrong password"}
        answers = [await browser.post(f"{API}/auth/login", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 60


async def test_a_cookie_requires_tls_behind_a_proxy(shared_service: Service, keys: Keys) -> None:
    body = {"email": "user@example.com", "password": "correct horse battery"}
    settings = GuardSettings(host="127.0.0.1", api_key=None, public_url="https://compozy.example.com")
    change = partial(change_user, text="user@example.com", password=hash_password(body["password"]))
    await shared_service.app.database.write_async(change)
    async with make_client(shared_service, settings) as browser:
        host = {"host": "compozy.example.com", "origin": "https://compozy.example.com"}
        signed_in = await browser.post(f"{API}/auth/login", json=body, headers=host)
        refused = await browser.post(f"{API}/auth/login", json=body, headers={**host, "origin": "https://evil.example"})
    assert signed_in.headers["set-cookie"].startswith("__Host-compozy_session=")
    assert "Secure" in signed_in.headers["set-cookie"]
    check_problem(refused, 403)


async def test_the_last_use_is_stored(shared_service: Service, asks: httpx.AsyncClient, keys: Keys) -> None:
    await asks.get(f"{API}/project", headers=bearer(keys.viewer))
    for _ in range(400):
        await asyncio.sleep(0.05)
        listed = (await asks.get(f"{API}/auth/keys", headers=bearer(keys.viewer))).json()["keys"]
        if any(key["prefix"] == keys.viewer[:12] and key["last_used_at"] for key in listed):
            return
    raise AssertionError("never stored")
