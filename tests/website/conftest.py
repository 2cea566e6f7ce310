"""Fixtures of these tests: the site, built once and served, and a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.harness.website import Build, built_site, require_browser, serve_export

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# Other tests run at the same time.
WAIT_MS = 60_000


@pytest.fixture(scope="session")
def build() -> Build:
    """Return the build of the site in docs/out."""
    made = built_site()
    assert made.status == 0, made.output
    return made


@pytest.fixture(scope="session")
def address(build: Build) -> Iterator[str]:
    """Return the address of the built site."""
    with serve_export() as served:
        yield served


@pytest.fixture(scope="module")
def chromium(address: str) -> Iterator[Browser]:
    """Return a browser. This thread has an event loop while it runs, so no test of another module sees it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_browser(), args=FLAGS)
        expect.set_options(timeout=WAIT_MS)
        yield browser
        browser.close()


@pytest.fixture
def foreign() -> list[str]:
    """Return the addresses outside of the site that `page` requested."""
    return []


@pytest.fixture
def page(chromium: Browser, address: str, foreign: list[str]) -> Iterator[Page]:
    """Return a page as wide as a laptop's, in light mode, which requests nothing from outside of the site."""
    context: BrowserContext = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    context.on("request", lambda request: foreign.append(request.url) if not request.url.startswith(address) else None)
    context.set_default_timeout(WAIT_MS)
    yield context.new_page()
    context.close()
