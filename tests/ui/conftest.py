"""A real server with the showcase on each database, and pages in Chromium that must stay free of errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.harness.processes import Commands
from tests.harness.servers import API, Running, start_server
from tests.harness.showcase import write_showcase
from tests.harness.stores import open_store
from tests.harness.website import require_browser, require_node

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# Other tests run at the same time.
WAIT_MS = 30_000
ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class Site:
    """A server with the showcase, and its folder."""

    folder: Path
    commands: Commands
    server: Running

    def start(self, workflow: str, given: Any = None) -> str:
        """Start a run over HTTP and return its ID."""
        answer = self.server.ask("POST", f"{API}/workflows/{workflow}/executions", {"input": given or {}})
        assert answer.status == 202, answer.content
        return str(answer.document["execution_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run."""
        return self.server.ask("GET", f"{API}/executions/workflows/{run_id}").document


@pytest.fixture(scope="session")
def built_page() -> None:
    """Build the web page if its sources changed."""
    require_node()
    subprocess.run([sys.executable, "packaging/page.py"], cwd=ROOT, check=True, timeout=280)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, built_page: None) -> Iterator[Site]:
    """Return a server of the showcase, for the tests of a module."""
    folder = tmp_path_factory.mktemp("showcase")
    commands = Commands(tmp_path_factory.mktemp("commands"))
    with open_store(request.param, folder, migrated=False) as store:
        write_showcase(store.home, store.section)
        yield Site(folder=store.home, commands=commands, server=start_server(commands, store.home))
        commands.end()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a browser. While it lives this thread has an event loop, so no test of another module sees it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_browser(), args=FLAGS)
        expect.set_options(timeout=WAIT_MS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, site: Site) -> Iterator[Page]:
    """Return a page as wide as a laptop. It prints no error, reports no violation, and loads nothing from elsewhere."""
    context = chromium.new_context(base_url=site.server.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    faults: list[str] = []
    context.on(
        "request", lambda request: None if request.url.startswith(site.server.url) else faults.append(request.url)
    )
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("console", lambda message: faults.append(message.text) if message.type in {"error", "warning"} else None)
    yield context.new_page()
    context.close()
    # The browser prints each answer with an error status; tests that cause one look at it.
    assert [fault for fault in faults if "Failed to load resource" not in fault] == []
