"""The guard of the server: host names, origins, the API key, and addresses that it may listen on."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from compozy.auth.identity import Permission
from compozy.config.loopback import is_loopback
from compozy.config.settings import ServerSettings
from compozy.errors import UsageError
from compozy.project.load import load_project
from compozy.server.gate import GuardSettings
from compozy.server.permissions import ROUTES
from compozy.server.serve import guard_settings
from compozy.server.service import Service
from tests.conftest import RunCli
from tests.harness.projects import write_project
from tests.integration.server.conftest import API, check_problem, make_client

ON_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
KEY = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:99", "[::1]", "[::1]:8080", "127.1.2.3", "x.localhost:1"],
)
@ON_ONE_LOOP
async def test_names_of_this_machine(shared_client: httpx.AsyncClient, host: str) -> None:
    assert (await shared_client.get(f"{API}/project", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("example.com", "127.0.0.1.example.com", "localhost.example.com", "example.com:8080", "evil.com#127.0.0.1"),
        *(
            "",
            "0.0.0.0",
            "10.0.0.1",
            "[::]",
            "[::1",
            "127.0.0.1:x",
            "127.0.0.1:99999",
            "user@example.com",
            "2130706433",
        ),
    ],
)
@ON_ONE_LOOP
async def test_other_names(shared_client: httpx.AsyncClient, host: str) -> None:
    """A page's host name may resolve to this machine: DNS rebinding."""
    for path in (f"{API}/project", "/docs", "/openapi.json", "/nothing"):
        check_problem(await shared_client.get(path, headers={"host": host}), 403)


@ON_ONE_LOOP
async def test_two_names(shared_client: httpx.AsyncClient) -> None:
    twice = [("host", "127.0.0.1"), ("host", "example.com")]
    check_problem(await shared_client.get(f"{API}/project", headers=httpx.Headers(twice)), 403)


@pytest.mark.parametrize(
    "origin",
    ["http://example.com", "null", "http://127.0.0.1", "https://127.0.0.1:8080", "http://127.0.0.1:8081", "", "x"],
)
@ON_ONE_LOOP
async def test_other_origins(shared_client: httpx.AsyncClient, shared_service: Service, origin: str) -> None:
    headers = {"origin": origin}
    check_problem(await shared_client.get(f"{API}/project", headers=headers), 403)
    check_problem(await shared_client.post(f"{API}/workflows/echo/executions", json={}, headers=headers), 403)
    check_problem(await shared_client.options(f"{API}/workflows/echo/executions", headers=headers), 403)
    assert (await shared_client.get(f"{API}/executions/workflows")).json()["executions"] == []


@ON_ONE_LOOP
async def test_own_origin(shared_client: httpx.AsyncClient) -> None:
    answer = await shared_client.get(f"{API}/project", headers={"origin": "http://127.0.0.1:8080"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "given",
    [
        *([], ["Bearer"], ["Bearer "], [f"Basic {KEY}"], [KEY], [f"Bearer {KEY}x"], [f"Bearer {KEY[:-1]}"]),
        *([f"Bearer {KEY.upper()}"], ["Bearer null"], [f"Bearer {KEY}", f"Bearer {KEY}"], [f"Bearer {KEY}, Bearer x"]),
        ["Bearer \xe9"],
    ],
)
@ON_ONE_LOOP
async def test_wrong_keys(shared_service: Service, given: list[str]) -> None:
    headers = httpx.Headers([(b"authorization", value.encode("latin-1")) for value in given])
    async with make_client(shared_service, GuardSettings(host="127.0.0.1", api_key=KEY)) as asks:
        for path in (f"{API}/project", "/docs/", "/openapi.json", "/nothing"):
            answer = await asks.get(path, headers=headers)
            check_problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert KEY not in answer.text


@ON_ONE_LOOP
async def test_the_page_asks_for_the_key(shared_service: Service) -> None:
    """Otherwise the key could never be entered, since the page itself would need it."""
    async with make_client(shared_service, GuardSettings(host="127.0.0.1", api_key=KEY)) as asks:
        for path in ("/docs", "/docs/docs.css", "/docs/docs.js"):
            answer = await asks.get(path)
            assert answer.status_code == 200
            assert "json" not in answer.headers["content-type"]
        assert "API key" in (await asks.get("/docs")).text
        check_problem(await asks.get("/docs", headers={"host": "example.com"}), 403)


@ON_ONE_LOOP
async def test_every_path_requires_the_key(shared_service: Service, shared_client: httpx.AsyncClient) -> None:
    public = {path for (_, path), permission in ROUTES.items() if permission is Permission.PUBLIC}
    document = (await shared_client.get("/openapi.json")).json()
    async with make_client(shared_service, GuardSettings(host="127.0.0.1", api_key=KEY)) as asks:
        for path, operations in document["paths"].items():
            for method in operations:
                answer = await asks.request(method, re.sub(r"\{\w+\}", "x", path))
                assert (answer.status_code == 401) is (path not in public), path
        right = await asks.get(f"{API}/project", headers={"authorization": f"bearer {KEY}"})
        assert right.status_code == 200


@ON_ONE_LOOP
async def test_requests_of_other_machines_need_the_key(shared_service: Service) -> None:
    async with make_client(shared_service, GuardSettings(host="0.0.0.0", api_key=KEY)) as asks:
        headers = {"host": "compozy.example.com", "authorization": f"Bearer {KEY}"}
        assert (await asks.get(f"{API}/project", headers=headers)).status_code == 200
        check_problem(await asks.get(f"{API}/project", headers={"host": "compozy.example.com"}), 401)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com"])
def test_listening_for_other_machines_needs_a_key(tmp_path: Path, host: str) -> None:
    write_project(tmp_path, server={"host": host})
    with pytest.raises(UsageError, match=r"server\.api_key is not set") as refused:
        guard_settings(load_project(None, cwd=tmp_path, environ={}))
    assert "SERVER_API_KEY" in refused.value.hint
    with_key = load_project(None, cwd=tmp_path, environ={"SERVER_API_KEY": KEY})
    assert guard_settings(with_key) == GuardSettings(host=host, api_key=KEY)


def test_start_refuses_before_it_opens_anything(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    done = cli("start", "--host", "0.0.0.0", "--port", "0")
    assert (done.status, done.out) == (2, "")
    assert "server.api_key is not set" in done.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("short", "at least 16 letters"),
        ("x" * 15, "at least 16 letters"),
        ("with blanks in between them", "a key of ASCII letters"),
        ("schlüssel-schlüssel", "a key of ASCII letters"),
        ("a\tb" * 9, "a key of ASCII letters"),
    ],
)
def test_keys_that_can_be_guessed_or_cannot_be_sent(cli: RunCli, tmp_path: Path, key: str, expected: str) -> None:
    write_project(tmp_path, server={"api_key": key})
    done = cli("config", "validate")
    assert done.status == 5
    assert "server.api_key" not in done.out
    assert f"expected {expected}" in done.err
    assert key not in done.err
    assert key not in done.err


def test_the_key_is_never_shown(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, server={"api_key": KEY})
    shown = cli("config", "show", "--sources")
    assert "server.api_key" in shown.out
    assert KEY not in shown.out + shown.err
    assert KEY not in repr(ServerSettings.model_validate({"api_key": KEY}))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.1.2.3", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@ON_ONE_LOOP
async def test_no_log_contains_a_key(shared_service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings: Any = GuardSettings(host="127.0.0.1", api_key=KEY)
    async with make_client(shared_service, settings) as asks:
        await asks.get(f"{API}/project", headers={"authorization": f"Bearer {KEY}"})
        await asks.get(f"{API}/project", headers={"authorization": f"Bearer x{KEY}"})
    assert KEY not in caplog.text
    assert KEY not in repr(settings)
