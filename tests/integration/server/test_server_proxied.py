"""A trusted proxy names users in a header; others cannot."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from compozy.auth.accounts import create_user
from compozy.server.gate import OWN_HEADER
from compozy.server.http import make_http
from compozy.server.serve import guard_settings
from tests.harness.projects import write_project
from tests.harness.stores import open_store
from tests.integration.server.conftest import API, DRIVERS, check_problem
from tests.integration.server.mcp_projects import serving

PROXY: dict[str, Any] = {"header": "X-Forwarded-Email", "from": ["10.1.0.0/16", "fd00::/8"]}
ANA = {"x-forwarded-email": "Ana@Example.com"}


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_header_of_the_proxy_is_the_user(driver: str, tmp_path: Path) -> None:
    with open_store(driver, tmp_path) as store:
        server = {"api_key": "correct-horse-battery-staple", "auth": {"trusted_proxy": PROXY}}
        write_project(tmp_path, database=store.section, server=server)
        async with serving(tmp_path) as (service, _):
            await service.app.database.write_async(partial(create_user, email="ana@example.com", role="user"))
            application = make_http(service, guard_settings(service.app.project))

            async def ask(address: str, headers: Any, method: str = "GET", path: str = "auth/me") -> httpx.Response:
                transport = httpx.ASGITransport(app=application, client=(address, 4711))
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                    return await client.request(method, f"{API}/{path}", headers=headers)

            for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
                me = await ask(address, ANA)
                assert (me.status_code, me.json()["name"], me.json()["role"]) == (200, "ana@example.com", "user")
            for address in ("10.2.0.1", "127.0.0.1", "fe80::1", "testclient"):
                check_problem(await ask(address, ANA), 401)
            check_problem(await ask("10.1.2.3", {}), 401)
            check_problem(await ask("10.1.2.3", {"x-forwarded-email": ""}), 401)
            check_problem(await ask("10.1.2.3", {"x-forwarded-email": "eve@example.com"}), 403)
            for wrong in ("ana@example.com, bo@example.com", "ana"):
                check_problem(await ask("10.1.2.3", {"x-forwarded-email": wrong}), 401)
            check_problem(await ask("10.1.2.3", [("x-forwarded-email", "ana@example.com")] * 2), 401)
            # A web page cannot use the proxy's cookie to change something.
            check_problem(await ask("10.1.2.3", ANA, "POST", "workflows/none/executions"), 403)
            check_problem(await ask("10.1.2.3", {**ANA, OWN_HEADER: "1"}, "POST", "workflows/none/executions"), 404)
