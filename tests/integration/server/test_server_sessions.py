"""Sign-ins, sessions, limits and the audit log of a server with users."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import httpx
import pytest
from starlette.types import Message, Scope

from compozy.auth.accounts import change_user
from compozy.auth.identity import Role
from compozy.auth.passwords import hash_password
from compozy.database.audit import AuditEntry, AuditFilter, list_audit
from compozy.server.gate import GuardSettings
from compozy.server.http import make_http
from compozy.server.limits import Rate
from compozy.server.service import Service
from tests.integration.server.conftest import API, check_problem, make_client
from tests.integration.server.keys import ADMIN, SETTINGS, Keys, bearer

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
        (ADMIN, "cancel_execution", 409),
        ("user@example.com", "start_execution_and_wait", 200),
    ]
    assert {(entry["address"], entry["execution_id"]) for entry in entries} == {("127.0.0.1", execution_id)}
    assert entries[0]["credential"] == f"key {keys.viewer[:12]}"
    assert rest["next_cursor"] is None
    check_problem(await asks.get(f"{API}/audit", headers=bearer(keys.user)), 403)
    everything = (await asks.get(f"{API}/audit?limit=1000", headers=admin)).text
    assert not any(key in everything for key in (keys.admin, keys.user, keys.viewer))


@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
async def test_paths_that_no_database_can_store_are_audited(
    shared_service: Service, asks: httpx.AsyncClient, keys: Keys, role: Role
) -> None:
    for method, path, status in (
        ("POST", "executions/workflows/%00/cancel", 404),
        ("DELETE", "users/%00", 400),
        ("DELETE", "users/%ED%A0%80", 404),
    ):
        answer = await asks.request(method, f"{API}/{path}", headers=bearer(keys.of(role)))
        check_problem(answer, 403 if role is Role.VIEWER else status)
    entries = await _latest(shared_service, 3)
    assert [entry.target for entry in entries[1:]] == [
        f"{API}/users/\\x00",
        f"{API}/executions/workflows/\\x00/cancel",
    ]
    assert {entry.actor for entry in entries} == {ADMIN if role is Role.ADMIN else f"{role.value}@example.com"}


async def test_surrogates_in_a_path_are_audited(shared_service: Service, keys: Keys) -> None:
    """Python decodes no path to half of a surrogate pair, but another ASGI server may."""
    application, statuses = make_http(shared_service, SETTINGS), list[int]()

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    scope: Scope = {
        "type": "http",
        "method": "DELETE",
        "path": f"{API}/users/\ud800",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {keys.admin}".encode())],
    }
    await application(scope, receive, send)
    assert statuses[0] == 422
    (entry,) = await _latest(shared_service, 1)
    assert (entry.target, entry.status) == (f"{API}/users/\\ud800", 422)


async def test_a_request_that_waits_for_a_run_is_audited_when_the_run_is_accepted(
    shared_service: Service, asks: httpx.AsyncClient, keys: Keys
) -> None:
    body = {"execution_id": "waited-for", "timeout": 3}
    path = f"{API}/workflows/slow/executions/sync"
    waiting = asyncio.create_task(asks.post(path, json=body, headers=bearer(keys.user)))
    wanted = AuditFilter(limit=10, execution_id="waited-for")
    open_entries = list[AuditEntry]()
    while not open_entries:
        assert not waiting.done()
        open_entries = await shared_service.app.database.read_async(partial(list_audit, wanted=wanted))
        await asyncio.sleep(0.05)
    answer = await waiting
    check_problem(answer, 408)
    ended = await shared_service.app.database.read_async(partial(list_audit, wanted=wanted))
    assert [(entry.status, entry.actor, entry.action) for entry in open_entries] == [
        (202, "user@example.com", "start_execution_and_wait")
    ]
    assert ended == [replace(open_entries[0], status=408)]
    await asks.post(f"{API}/executions/workflows/waited-for/cancel", headers=bearer(keys.user))


async def _latest(service: Service, count: int) -> list[AuditEntry]:
    return await service.app.database.read_async(partial(list_audit, wanted=AuditFilter(limit=count)))


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
    assert statuses == [200, 307, 404, 429, 200]


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
