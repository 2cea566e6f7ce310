"""Signing in with an OpenID Connect provider: the flow, roles by claim, and ID tokens that must be refused."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt

from compozy.auth.accounts import create_user
from compozy.database.audit import AuditFilter, list_audit
from compozy.database.users import find_user
from compozy.server.gate import OWN_HEADER
from compozy.server.http import make_http
from compozy.server.serve import guard_settings
from compozy.server.service import Service
from tests.harness.oidcprovider import Provider, new_key, serve_provider, sign
from tests.harness.projects import write_project
from tests.harness.stores import open_store
from tests.integration.server.conftest import API, DRIVERS, check_problem
from tests.integration.server.mcp_projects import serving

BASE = "http://127.0.0.1:8080"
KEY = "correct-horse-battery-staple"
LOGIN = f"{API}/auth/oidc/login"
OIDC: dict[str, Any] = {"client_id": "compozy", "client_secret": "s3cret", "roles": {"ops": "admin", "staff": "viewer"}}


@contextlib.asynccontextmanager
async def signing_in(
    driver: str, folder: Path, issuer: str, **settings: Any
) -> AsyncGenerator[tuple[Service, Callable[[], httpx.AsyncClient]]]:
    """Serve a project with a provider; return the service, and a function that opens a browser."""
    with open_store(driver, folder) as store:
        auth = {"oidc": {**OIDC, "issuer": issuer, **settings}}
        write_project(folder, database=store.section, server={"api_key": KEY, "auth": auth})
        async with serving(folder) as (service, _):
            application = make_http(service, guard_settings(service.app.project))

            def browser() -> httpx.AsyncClient:
                return httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url=BASE, timeout=60)

            yield service, browser


async def visit_provider(client: httpx.AsyncClient, **query: str) -> str:
    """Start a sign-in, visit the provider, and return where it sends the browser to."""
    started = await client.get(LOGIN, params=query)
    assert started.status_code == 302, started.text
    async with httpx.AsyncClient(trust_env=False) as outside:
        return (await outside.get(started.headers["location"])).headers["location"]


async def sign_in(client: httpx.AsyncClient, **query: str) -> httpx.Response:
    """Sign in and return the last answer of this server."""
    return await client.get(await visit_provider(client, **query))


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_person_signs_in_with_the_role_of_their_group(driver: str, tmp_path: Path) -> None:
    with serve_provider() as provider:
        provider.claims["groups"] = ["staff", "ops", "unknown"]
        async with signing_in(driver, tmp_path, provider.url) as (service, browser):
            async with browser() as client:
                assert (await client.get(f"{API}/auth/methods")).json() == {"password": True, "oidc": LOGIN}
                answer = await sign_in(client, next="/ui/runs?status=FAILED")
                assert (answer.status_code, answer.headers["location"]) == (302, "/ui/runs?status=FAILED")
                me = (await client.get(f"{API}/auth/me")).json()
                assert (me["name"], me["role"]) == ("ana@example.com", "admin")
                check_problem(await client.post(f"{API}/users", json={"email": "bo@example.com"}), 403)
                own = {OWN_HEADER: "1"}
                created = await client.post(f"{API}/users", json={"email": "bo@example.com"}, headers=own)
                assert created.status_code == 201, created.text
            # A person who leaves a group loses its role with the next sign-in, and cannot sign in without a role.
            provider.claims["groups"] = "staff"
            async with browser() as client:
                assert (await sign_in(client)).headers["location"] == "/"
                assert (await client.get(f"{API}/auth/me")).json()["role"] == "viewer"
            provider.claims["groups"] = []
            async with browser() as client:
                check_problem(await sign_in(client), 403)
                check_problem(await client.get(f"{API}/auth/me"), 401)
            users = await service.app.database.read_async(partial(find_user, text="ana@example.com"))
            assert users is not None
            assert users.subject == f"{provider.url} account-7"
            audit = await service.app.database.read_async(
                partial(list_audit, wanted=AuditFilter(limit=10, action="login"))
            )
            assert [(entry.actor, entry.status) for entry in audit][:3] == [
                ("unknown", 403),
                ("ana@example.com", 302),
                ("ana@example.com", 302),
            ]


def with_claim(name: str, value: Any) -> Callable[[Provider, dict[str, Any]], str]:
    """Return a signer that falsifies a claim; None leaves it out."""

    def falsify(provider: Provider, claims: dict[str, Any]) -> str:
        changed = {**claims, name: value}
        return sign(provider, {key: each for key, each in changed.items() if each is not None})

    return falsify


def encode_parts(*parts: dict[str, Any]) -> str:
    """Return parts of a token as they are signed."""
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join(texts)


def unsigned(_: Provider, claims: dict[str, Any]) -> str:
    """Return a token without a signature."""
    return f"{encode_parts({'alg': 'none', 'typ': 'JWT'}, claims)}."


def signed_with_the_public_key(provider: Provider, claims: dict[str, Any]) -> str:
    """Return a token whose key is the public key of the provider, as a shared secret."""
    content = encode_parts({"alg": "HS256", "kid": provider.key.kid}, claims)
    mac = hmac.new(provider.key.as_pem(private=False), content.encode(), hashlib.sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def signed_by_others(provider: Provider, claims: dict[str, Any]) -> str:
    """Return a token with the ID of the provider's key and another key."""
    other = new_key(str(provider.key.kid))
    return jwt.encode({"alg": "RS256", "kid": other.kid}, claims, other)


def changed_after_signing(provider: Provider, claims: dict[str, Any]) -> str:
    """Return a token whose claims were changed."""
    header, _, signature = sign(provider, claims).split(".")
    body = base64.urlsafe_b64encode(json.dumps({**claims, "email": "eve@example.com"}).encode()).rstrip(b"=").decode()
    return f"{header}.{body}.{signature}"


def no_token(_: Provider, __: dict[str, Any]) -> str:
    """Return a text that is not a token."""
    return "a.b"


FALSE: dict[str, tuple[Callable[[Provider, dict[str, Any]], str], str]] = {
    "nonce": (with_claim("nonce", "another"), "another sign-in"),
    "no nonce": (with_claim("nonce", None), "another sign-in"),
    "issuer": (with_claim("iss", "https://evil.example.com"), "issuer"),
    "issuer with a slash": (with_claim("iss", "http://127.0.0.1/"), "issuer"),
    "audience": (with_claim("aud", "another"), "another client"),
    "several audiences": (with_claim("aud", ["compozy", "another"]), "another client"),
    "azp": (with_claim("azp", "another"), "another client"),
    "expired": (with_claim("exp", 1_000_000_000), "expired"),
    "no end": (with_claim("exp", None), "'exp' is not a number"),
    "a start that is text": (with_claim("nbf", "soon"), "'nbf' is not a number"),
    "future": (with_claim("iat", 4_000_000_000), "future"),
    "no account": (with_claim("sub", ""), "no account"),
    "alg none": (unsigned, "signature"),
    "alg HS256": (signed_with_the_public_key, "signature"),
    "another key": (signed_by_others, "signature"),
    "changed": (changed_after_signing, "signature"),
    "no token": (no_token, "signature"),
}


async def test_false_id_tokens_are_refused(tmp_path: Path) -> None:
    with serve_provider() as provider:
        provider.claims["groups"] = ["ops"]
        async with signing_in("sqlite", tmp_path, provider.url) as (service, browser):
            for name, (falsify, reason) in FALSE.items():
                provider.sign = falsify
                async with browser() as client:
                    answer = await sign_in(client)
                    check_problem(answer, 401)
                    assert reason in answer.json()["detail"], name
                    assert "session" not in str(client.cookies), name
            assert await service.app.database.read_async(partial(find_user, text="eve@example.com")) is None
            # Bad signatures do not make this server ask for the keys again and again.
            assert provider.key_requests <= 3


async def test_a_sign_in_belongs_to_the_browser_that_started_it(tmp_path: Path) -> None:
    with serve_provider() as provider:
        provider.claims["groups"] = ["ops"]
        async with signing_in("sqlite", tmp_path, provider.url) as (_, browser):
            async with browser() as client, browser() as other:
                back = await visit_provider(client)
                # Another browser, a false state, a false issuer, an error of the provider, and the same code twice.
                check_problem(await other.get(back), 401)
                check_problem(await client.get(re.sub(r"state=[^&]*", "state=false", back)), 401)
                check_problem(await client.get(f"{back}&iss=https://evil.example.com"), 401)
                state = parse_qs(urlsplit(back).query)["state"][0]
                callback = back.partition("?")[0]
                check_problem(await client.get(callback, params={"state": state, "error": "access_denied"}), 401)
                check_problem(await client.get(callback, params={"state": state}), 401)
                cookies = dict(client.cookies)
                assert (await client.get(back)).status_code == 302
                replayed = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
                check_problem(await other.get(back, headers=replayed), 401)
            async with browser() as client:
                for path in ("https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "ui"):
                    assert (await sign_in(client, next=path)).headers["location"] == "/"


async def test_a_new_key_of_the_provider_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compozy.auth.oidc._KEYS_S", 0.0)
    with serve_provider() as provider:
        provider.claims["groups"] = ["ops"]
        async with signing_in("sqlite", tmp_path, provider.url) as (_, browser):

            async def status() -> int:
                async with browser() as client:
                    return (await sign_in(client)).status_code

            assert (await status(), await status(), provider.key_requests) == (302, 302, 1)
            old = provider.key
            provider.key = new_key("second")
            provider.published = [old, provider.key]
            assert (await status(), provider.key_requests) == (302, 2)
            # A key that the provider does not publish: its keys are read again, and the token is refused.
            provider.key = new_key("third")
            assert (await status(), provider.key_requests) == (401, 3)
            provider.key = old
            assert (await status(), provider.key_requests) == (302, 3)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_address_alone_does_not_give_an_account(driver: str, tmp_path: Path) -> None:
    with serve_provider() as provider:
        async with signing_in(driver, tmp_path, provider.url, roles={}, default_role="user") as (service, browser):
            await service.app.database.write_async(partial(create_user, email="ana@example.com", role="admin"))
            provider.claims["email_verified"] = False
            async with browser() as client:
                check_problem(await sign_in(client), 403)
            provider.claims["email_verified"] = True
            async with browser() as client:
                assert (await sign_in(client)).status_code == 302
            # Another account with the same address is another person.
            provider.claims["sub"] = "account-8"
            async with browser() as client:
                check_problem(await sign_in(client), 403)


@contextlib.contextmanager
def serve_mock() -> Generator[str]:
    """Run `oidc-provider-mock` as its own process, and return its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://localhost:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False)
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


async def test_the_whole_flow_with_another_provider(tmp_path: Path) -> None:
    with serve_mock() as issuer:
        settings: dict[str, Any] = {"roles": {}, "default_role": "user"}
        async with (
            signing_in("sqlite", tmp_path, issuer, **settings) as (_, browser),
            httpx.AsyncClient(trust_env=False) as outside,
            browser() as client,
        ):
            claims = {"email": "ana@example.com", "email_verified": True}
            stored = await outside.put(f"{issuer}/users/ana", json=claims)
            assert stored.status_code == 204, stored.text
            started = await client.get(LOGIN)
            allowed = await outside.post(started.headers["location"], data={"sub": "ana"})
            assert (await client.get(allowed.headers["location"])).status_code == 302
            me = (await client.get(f"{API}/auth/me")).json()
            assert (me["name"], me["role"]) == ("ana@example.com", "user")


async def test_a_server_without_a_provider(tmp_path: Path) -> None:
    with open_store("sqlite", tmp_path) as store:
        write_project(tmp_path, database=store.section, server={"api_key": KEY})
        async with serving(tmp_path) as (service, _):
            application = make_http(service, guard_settings(service.app.project))
            transport = httpx.ASGITransport(app=application)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                check_problem(await client.get(LOGIN), 404)
                assert (await client.get(f"{API}/auth/methods")).json()["oidc"] is None
