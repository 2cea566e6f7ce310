"""The site for these tests: built once, served, and a browser to look at it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.harness.website import Build, built_site, require_browser, serve_export

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# Other tests run beside these.
WAIT_MS = 60_000


@pytest.fixture(scope="session")
def build() -> Build:
    """Return the build of the site that docs/out holds."""
    made = built_site()
    assert made.status == 0, made.output
    return made


@pytest.fixture(scope="session")
def address(build: Build) -> Iterator[str]:
    """Return where the built site is served."""
    with serve_export() as served:
        yield served


@pytest.fixture(scope="module")
def chromium(address: str) -> Iterator[Browser]:
    """Return a browser. While it lives this thread has an event loop, so no test of another module sees it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_browser(), args=FLAGS)
        expect.set_options(timeout=WAIT_MS)
        yield browser
        browser.close()


@pytest.fixture
def foreign() -> list[str]:
    """Return the addresses outside of the site that `page` asked for."""
    return []


@pytest.fixture
def page(chromium: Browser, address: str, foreign: list[str]) -> Iterator[Page]:
    """Return a page as wide as a laptop's, light, which finds nothing outside of the site."""
    context: BrowserContext = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    context.on("request", lambda request: foreign.append(request.url) if not request.url.startswith(address) else None)
    context.set_default_timeout(WAIT_MS)
    yield context.new_page()
    context.close()
